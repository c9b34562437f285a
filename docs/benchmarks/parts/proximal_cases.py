"""What the benchmark of learned proximal networks trains on, and the inverse problems it solves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from parts.contenders import Case, Contender, Scale, data_of, trained
from parts.training_script import Session
from pde_benchmarks.imaging.forward_operators import (
    CompressedSensing,
    DarcyPressure,
    ForwardOperator,
    HeatSource,
    ReflectingBlur,
    SparseRadon,
    TwoPhases,
    gaussian_kernel,
    normalised,
)
from pde_benchmarks.imaging.forward_operators.parallel_beams import ParallelBeams
from pde_benchmarks.imaging.laws import LAWS
from sciml.learner import Learner

__all__ = ["CASES", "CNN", "FAMILIES", "LPN", "Draw", "Family", "chosen_families", "learner_of", "scale_of"]

#: Of every network: equal numbers of steps, whatever a step costs.
STEPS = 1500
QUICK_STEPS = 3
LPN, CNN = Contender("lpn"), Contender("cnn-denoiser")
TRAINING_NOISE = 0.1


def _case(law: str, resolution: int) -> Case:
    families = {"learned proximal network": {"LPN": LPN}, "plain CNN": {"plain CNN": CNN}}
    settings = {"law": law, "resolution": resolution, "noise": TRAINING_NOISE}
    return Case(law, "denoising", settings, (4096, 128), families, {"resolution": 16})


CASES = {law: _case(law, 64 if law == "signals" else 32) for law in ("signals", "ellipses", "permeability")}


@dataclass(frozen=True)
class Family:
    """An inverse problem: a law of fields, a forward operator, and noise levels in units of the data.

    ``unit`` is 1 where data lie in the range of the fields, else the root mean square of clean data.
    """

    name: str
    law: str
    operator: Callable[[int], ForwardOperator]
    unit: str = "range"

    @property
    def is_linear(self) -> bool:
        """Whether the operator is linear."""
        return self.name != "darcy"

    def resolution(self, session: Session) -> int:
        """Points along an axis."""
        settings = CASES[self.law].tiny if session.scale.small else CASES[self.law].settings
        return int(settings["resolution"])


def _sensing(n: int) -> ForwardOperator:
    return normalised(CompressedSensing((1, n, n), 0.25, torch.Generator().manual_seed(0)))


FAMILIES = (
    Family("heat_source", "signals", lambda n: HeatSource((1, n), 1e-3)),
    Family("deblurring", "ellipses", lambda n: ReflectingBlur((1, n, n), gaussian_kernel(1.0, 2))),
    Family("tomography", "ellipses", lambda n: normalised(SparseRadon(ParallelBeams(n, 15))), unit="data"),
    Family("compressed_sensing", "ellipses", _sensing, unit="data"),
    Family("darcy", "permeability", lambda n: DarcyPressure(n, TwoPhases()), unit="data"),
)


@dataclass(frozen=True)
class Draw:
    """Fields, what is measured of them, and the unit of the data, of which the noise is a known part."""

    truth: Tensor
    data: Tensor
    unit: float
    operator: ForwardOperator

    @classmethod
    def of(cls, family: Family, resolution: int, level: float, count: int, seed: int) -> Draw:
        """``count`` fields of the family's law with their data, in float64; other seeds are other fields."""
        generator = torch.Generator().manual_seed(seed)
        law = LAWS[family.law]
        truth = law.draw(count, (resolution,) * law.dim, generator)
        operator = family.operator(resolution)
        clean = operator.apply(truth)
        unit = 1.0 if family.unit == "range" else float(clean.square().mean().sqrt())
        noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        return cls(truth, clean + level * unit * noise, unit, operator)


def chosen_families(session: Session) -> list[Family]:
    """Those that the command line names, or all."""
    return [family for family in FAMILIES if not session.cases or family.name in session.cases]


def scale_of(session: Session) -> Scale:
    """Steps in place of seconds."""
    return replace(session.scale, steps=QUICK_STEPS if session.scale.small else STEPS)


def learner_of(session: Session, law: str, label: str, seed: int) -> tuple[Learner, dict[str, object]]:
    """A network trained to remove noise from fields of a law, and its measurements."""
    case = CASES[law]
    contender = {"LPN": LPN, "plain CNN": CNN}[label]
    scale = scale_of(session)
    return trained(case, scale, label, contender, seed, data_of(case, scale), session.work)
