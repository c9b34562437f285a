"""The problems of the hard-constraint benchmark, and who learns them without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.contenders import Case, Contender

__all__ = ["CASES", "FIXED", "PLAIN", "PUBLISHED", "SHORT"]

SHORT = {"sorption": "diffusion_sorption", "sorption_hard": "diffusion_sorption_hard", "vorticity": "navier_stokes"}
# Relative L² in per cent as published, soft, hard and with experts; other resolutions, networks and hours of a GPU.
PUBLISHED = {
    "sorption": "soft 805, hard 48, experts 15",
    "sorption_hard": "no figure",
    "vorticity": "soft 18, hard 12, experts 8.3",
}
NORMS = ("error", "plain")


def _contenders(boxes: str, more: str, validations: int = 10) -> dict[str, dict[str, Contender]]:
    """By family: the learned bases alone in both norms, then with closed forms added.

    ``validations`` are those of the experts: not charged to the budget, and they do not choose the weights.
    """
    watched = {"validations": validations}
    hard: dict[str, Mapping[str, Any]] = {
        "one solve": {},
        "coupled experts": {"experts": boxes},
        "independent experts": {"experts": boxes, "coupling": "independent"},
    }
    families: dict[str, dict[str, Contender]] = {
        "soft": {f"soft, {norm}": Contender("soft-constraint", {"loss": norm}) for norm in NORMS}
    }
    for name, settings in hard.items():
        alone = {**settings, "closed_forms": False}
        training = watched if "experts" in settings else {}
        families[name] = {
            f"{name}, {norm}": Contender("hard-constraint", {**alone, "norm": norm}, training) for norm in NORMS
        }
    families["with closed forms"] = {
        f"coupled experts and closed forms, {count}": Contender("hard-constraint", {"experts": count}, watched)
        for count in (boxes, more)
    }
    families["labels"] = {"the network with labels": Contender("soft-constraint", {"loss": "data"})}
    return families


# No network: nothing to train.
def _fixed(*boxes: str) -> dict[str, Contender]:
    return {f"no network, {count} boxes": Contender("fixed-basis", {"experts": count}) for count in boxes}


def _plain(*boxes: str) -> dict[str, Contender]:
    return {
        f"no network, {count} boxes, plain": Contender("fixed-basis", {"experts": count, "norm": "plain"})
        for count in boxes
    }


LINE = _contenders("1 4", "1 8")
TINY_LINE = {"resolution": 32, "frames": 21}
TINY_FLOW = {"resolution": 8, "frames": 6, "refinement": 1, "carried_points": 8}
CASES = (
    Case("sorption_hard", "diffusion-sorption-hard", {}, (100, 40), LINE, TINY_LINE),
    Case("sorption", "diffusion-sorption", {}, (100, 40), LINE, TINY_LINE),
    Case("vorticity", "navier-stokes-decay", {}, (100, 16), _contenders("1 2 2", "2 2 2", validations=1), TINY_FLOW),
)
FIXED = {
    "sorption_hard": _fixed("1 1", "1 4", "1 8", "2 8"),
    "sorption": _fixed("1 1", "1 4", "1 8", "2 8"),
    "vorticity": _fixed("1 1 1", "1 2 2", "2 2 2"),
}
PLAIN = {"sorption_hard": _plain("1 4"), "sorption": _plain("1 4"), "vorticity": _plain("1 2 2")}
