"""The problems of the operator benchmark and who competes on them: two variants of every family of learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.contenders import Case, Contender

__all__ = ["BURGERS", "CASES", "DARCY_SMOOTH", "NAVIER_STOKES", "PHYSICS", "ROLL_OUTS", "UPSCALED"]

SQUARE = {
    "mgno": {
        "mgno patch 4": Contender("mgno-data"),
        "mgno patch 2": Contender("mgno-data", {"patch": 2, "channels": 24, "levels": "11 11 11 20"}),
    },
    "fno": {
        "fno 24 channels, 8 modes": Contender("fno"),
        "fno 32 channels, 16 modes": Contender("fno", {"channels": 32, "modes": 16}, {"learning_rate": 2e-3}),
    },
    "unet": {
        "unet 16 channels": Contender("unet"),
        "unet 32 channels": Contender("unet", {"channels": 32}),
    },
    "multionet": {"multionet": Contender("multionet")},
}
PERIODIC = {
    **SQUARE,
    "mgno": {
        "mgno patch 4": Contender("mgno-data", {"boundary": "periodic"}),
        "mgno patch 2": Contender(
            "mgno-data", {"boundary": "periodic", "patch": 2, "channels": 24, "levels": "11 11 11 20"}
        ),
    },
}
# Shocks fill the H¹ norm: on them every learner does better with the L² norm alone.
LINE = {
    "mgno": {
        "mgno patch 8, 64 channels": Contender(
            "mgno-data",
            {"patch": 8, "channels": 64, "layers": 6, "levels": "10 10 20", "h1_weight": 0.0},
            {"batch_size": 16, "learning_rate": 3e-3},
        ),
        "mgno patch 4, 32 channels": Contender(
            "mgno-data", {"levels": "10 10 20", "h1_weight": 0.0}, {"batch_size": 16, "learning_rate": 4e-3}
        ),
    },
    "fno": {
        "fno 32 channels, 16 modes": Contender("fno", {"channels": 32, "modes": 16, "h1_weight": 0.0}),
        "fno 64 channels, 32 modes": Contender(
            "fno", {"channels": 64, "modes": 32, "h1_weight": 0.0}, {"learning_rate": 3e-3}
        ),
    },
    "unet": {
        "unet 16 channels": Contender("unet", {"depth": 4, "h1_weight": 0.0}),
        "unet 32 channels": Contender("unet", {"channels": 32, "depth": 4, "h1_weight": 0.0}),
    },
    "multionet": {"multionet": Contender("multionet", {"h1_weight": 0.0})},
}
TURBULENT: Mapping[str, Any] = {"viscosity": 1e-5, "law": "generated"}

DARCY_SMOOTH = Case("darcy_smooth", "darcy", {"law": "smooth"}, (1024, 200), SQUARE, {"resolution": 32})
DARCY_ROUGH = Case("darcy_rough", "darcy", {"law": "rough"}, (1024, 200), SQUARE, {"resolution": 32})
DARCY_MULTISCALE = Case("darcy_multiscale", "darcy", {"law": "multiscale"}, (1024, 200), SQUARE, {"resolution": 32})
HELMHOLTZ = Case("helmholtz", "helmholtz", {}, (1024, 200), SQUARE, {"resolution": 33})
NAVIER_STOKES = Case(
    "navier_stokes", "navier-stokes", TURBULENT, (256, 32), PERIODIC, {"resolution": 32, "frames": 4, "refinement": 1}
)
PIPE = Case("pipe", "pipe", {}, (512, 100), SQUARE, {"resolution": 33})
BURGERS = Case("burgers", "burgers", {}, (1024, 200), LINE, {"resolution": 64})
UPSCALED = Case(
    "darcy_upscaled", "darcy-upscaled", {}, (1024, 200), SQUARE, {"resolution": 32, "refinement": 2, "factors": 4}
)

CASES = (DARCY_ROUGH, DARCY_SMOOTH, DARCY_MULTISCALE, HELMHOLTZ, NAVIER_STOKES, PIPE, BURGERS)

_OPERATOR = {"residual": "operator", "base": "fmg", "patch": 1, "channels": 12, "layers": 3, "levels": "11 11 11 11 20"}

# The equation inside, by row: the network sees a first guess and corrects it, or V-cycles with the true residual.
PHYSICS: dict[str, tuple[Case, Contender]] = {
    "darcy_upscaled": (UPSCALED, Contender("mgno-data", {"base": "upscaled"})),
    "darcy_multiscale": (DARCY_MULTISCALE, Contender("mgno")),
    "darcy_multiscale, true residual": (DARCY_MULTISCALE, Contender("mgno-data", _OPERATOR)),
    "darcy_rough": (DARCY_ROUGH, Contender("mgno")),
    "helmholtz": (HELMHOLTZ, Contender("mgno-data", {"base": "krylov"})),
    "navier_stokes": (NAVIER_STOKES, Contender("mgno-data", {"boundary": "periodic", "base": "large_steps"})),
    "burgers": (
        BURGERS,
        Contender("mgno-data", {"boundary": "periodic", "base": "upwind", "levels": "11 11 11 11 20"}),
    ),
    "pipe": (PIPE, Contender("mgno-data", {"base": "poiseuille"})),
}

_ROLL_OUT = {"boundary": "periodic"}
ROLL_OUTS = {
    "mgno": Contender("mgno-data", _ROLL_OUT),
    "mgno, pushed forward": Contender("mgno-data", {**_ROLL_OUT, "push_forward": 2}),
    "mgno, two steps unrolled": Contender("mgno-data", {**_ROLL_OUT, "unroll": 2}),
    "mgno, noise of 1 %": Contender("mgno-data", {**_ROLL_OUT, "noise": 0.01}),
    "mgno, large steps inside": Contender("mgno-data", {**_ROLL_OUT, "base": "large_steps"}),
    "fno": Contender("fno"),
    "unet": Contender("unet"),
}
