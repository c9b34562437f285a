"""The problems of the DGNO benchmark, and who learns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.contenders import Case, Contender

__all__ = ["BLIND", "COARSE", "COARSE_TINY", "FAR", "SMOOTH", "SUPERVISED", "TWO_PHASE", "TWO_PHASE_LABELLED"]

TINY = {"resolution": 9}


# Without labels: residual kinds and the same networks without a decoder of the input (a physics-informed MultiONet).
def _variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Contender]]:
    alone = {**settings, "reconstruction_weight": 0.0}
    return {
        "dgno": {"dgno, energy": Contender("dgno", settings)},
        "weak": {"dgno, weak": Contender("dgno", {**settings, "residual": "weak", "residual_weight": 1.0})},
        "mixed": {"dgno, mixed": Contender("dgno", {**settings, "residual": "mixed", "residual_weight": 1.0})},
        "multionet": {"multionet, energy": Contender("dgno", alone)},
        "deeponet": {"deeponet, energy": Contender("dgno", {**alone, "aggregate": 1})},
    }


_SMOOTH = _variants({"branch": "dense"})
_TWO_PHASE = _variants({"branch": "dense", "symmetry": True})  # whose law knows no direction
SMOOTH = Case("darcy_smooth", "darcy-smooth", {}, (10000, 200), _SMOOTH, TINY)
TWO_PHASE = Case("darcy_two_phase", "darcy-two-phase", {}, (10000, 200), _TWO_PHASE, TINY)
COARSE = Contender("dgno", {**_TWO_PHASE["dgno"]["dgno, energy"].settings, "coarse_cells": 7})
COARSE_TINY = Contender("dgno", {**COARSE.settings, "coarse_cells": 4})
BLIND = (SMOOTH, TWO_PHASE)

_STRONG = {"residual": "strong", "branch": "dense"}
_FEW = {"frames": 4, "interval": 0.25}
_COARSE = {"size": 0.2}
# Without labels, and further away than minutes of one core reach.
FAR = (
    Case(
        "burgers_walls", "burgers-walls", {}, (1000, 200), {"dgno": {"dgno, strong": Contender("dgno", _STRONG)}}, _FEW
    ),
    Case("stokes_cylinder", "stokes-cylinder", {}, (1000, 200), {"dgno": {"dgno, strong": Contender("dgno")}}, _COARSE),
)

# With labels: equal parameters and steps.
_PAIR = {"multionet": {"multionet": Contender("multionet")}, "deeponet": {"deeponet": Contender("deeponet")}}
_LINE = {
    "multionet": {"multionet": Contender("multionet", {"h1_weight": 0.0})},
    "deeponet": {"deeponet": Contender("deeponet", {"h1_weight": 0.0})},
}
TWO_PHASE_LABELLED = Case("labelled_two_phase", "darcy-two-phase", {}, (1000, 200), _PAIR, TINY)
SUPERVISED = (
    Case("labelled_smooth", "darcy-smooth", {}, (1000, 200), _PAIR, TINY),
    TWO_PHASE_LABELLED,
    Case("labelled_blocks", "darcy-blocks", {}, (1000, 200), _PAIR, TINY),
    Case("labelled_burgers", "burgers", {}, (1024, 200), _LINE, {"resolution": 64}),
)
