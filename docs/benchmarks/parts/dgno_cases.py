"""The problems of the DGNO benchmark, and who learns them."""

from __future__ import annotations

from parts.contenders import Case, Contender

__all__ = ["BLIND", "SMOOTH", "SUPERVISED", "TWO_PHASE", "TWO_PHASE_LABELLED"]

TINY = {"resolution": 9}

# Without labels: residual kinds and the same networks without a decoder of the input (a physics-informed MultiONet).
_DGNO = {"branch": "dense"}
_VARIANTS = {
    "dgno": {"dgno, energy": Contender("dgno", _DGNO)},
    "weak": {"dgno, weak": Contender("dgno", {**_DGNO, "residual": "weak", "residual_weight": 1.0})},
    "mixed": {"dgno, mixed": Contender("dgno", {**_DGNO, "residual": "mixed", "residual_weight": 1.0})},
    "multionet": {"multionet, energy": Contender("dgno", {**_DGNO, "reconstruction_weight": 0.0})},
    "deeponet": {"deeponet, energy": Contender("dgno", {**_DGNO, "reconstruction_weight": 0.0, "aggregate": 1})},
}
SMOOTH = Case("darcy_smooth", "darcy-smooth", {}, (10000, 200), _VARIANTS, TINY)
TWO_PHASE = Case("darcy_two_phase", "darcy-two-phase", {}, (10000, 200), _VARIANTS, TINY)
BLIND = (SMOOTH, TWO_PHASE)

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
