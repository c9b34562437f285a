"""What training found: ranks, floors, errors of samples left out, seconds by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from sciml.learners.mmgp.gaussian_processes import Identity
from sciml.learners.mmgp.model import Model
from sciml.learners.mmgp.residual_variance import LeftOutField
from solvers import Status

__all__ = ["FieldReport", "FitReport", "ScalarReport", "fit_report"]


@dataclass(frozen=True)
class FieldReport:
    """One field.

    Attributes
    ----------
    modes
        How many are kept.
    discarded
        Relative error of the training snapshots that the modes leave.
    floor
        RRMSE of bringing the field to the common mesh and back: no regression goes below it.
    left_out_rrmse, left_out_q2
        RRMSE and Q² of samples that were left out, at some nodes of their own meshes: what to expect of new meshes.
    factor
        Conformal factor of the standard deviation.
    transform
        Of the values before modes are sought.
    """

    modes: int
    discarded: float
    floor: float
    left_out_rrmse: float
    left_out_q2: float
    factor: float
    transform: str


@dataclass(frozen=True)
class ScalarReport:
    """One predicted scalar: Q² of samples that were left out, conformal factor of its deviation, and transform."""

    left_out_q2: float
    factor: float
    transform: str


@dataclass(frozen=True)
class FitReport:
    """What training found.

    Attributes
    ----------
    samples, common_nodes
        Training samples (with mirror images) and nodes of the common mesh.
    reference
        Number of the sample whose mesh is the common one.
    shape_modes, shape_discarded
        Shape modes, and the relative error of the training shapes that they leave.
    fields, scalars
        By name.
    seconds
        By stage.
    unfinished
        Columns of the regression whose search of hyper-parameters did not converge.
    growth
        Power of the Mahalanobis distance with which errors of shapes grew beyond what was foretold; 0: they did not.
    notes
        What was dropped or looks odd.
    """

    samples: int
    common_nodes: int
    reference: int
    shape_modes: int
    shape_discarded: float
    fields: dict[str, FieldReport]
    scalars: dict[str, ScalarReport]
    seconds: dict[str, float]
    unfinished: int
    growth: float
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.samples} samples on {self.common_nodes} common nodes (sample {self.reference}), "
            f"{self.shape_modes} shape modes leave {self.shape_discarded:.1e}"
        ]
        for name, found in self.fields.items():
            lines.append(
                f"  {name}: {found.modes} modes leave {found.discarded:.1e}, floor {found.floor:.1e}, left-out RRMSE "
                f"{found.left_out_rrmse:.1e}, Q² {found.left_out_q2:.4f}, factor {found.factor:.2f}, "
                f"{found.transform}"
            )
        for scalar, judged in self.scalars.items():
            lines.append(
                f"  {scalar}: left-out Q² {judged.left_out_q2:.4f}, factor {judged.factor:.2f}, {judged.transform}"
            )
        lines.append("  " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds.items()))
        if self.growth:
            lines.append(f"  error bars of unusual shapes grow with their distance to the power {self.growth:.2g}")
        if self.unfinished:
            lines.append(f"  {self.unfinished} searches of hyper-parameters have not converged")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def summary(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def fit_report(
    model: Model,
    left_out: Mapping[str, LeftOutField],
    floors: Mapping[str, float],
    scalar_q2: Tensor,
    reference: int,
    seconds: dict[str, float],
) -> FitReport:
    """Put together what the stages have found, fields by name."""
    fields = {}
    for name, field in model.fields.items():
        found, own = left_out[name], field.reduction
        scale = _words(field.transform)
        fields[name] = FieldReport(
            own.rank, own.discarded_share, floors[name], found.rrmse, found.q2, found.factor, scale
        )
    judged = zip(model.family.output_scalars, scalar_q2, model.scalar_factors, model.transforms, strict=True)
    return FitReport(
        len(model.processes.inputs),
        len(model.carrier.common.mesh.points),
        reference,
        model.shape.rank,
        model.shape.discarded_share,
        fields,
        {name: ScalarReport(float(q2), float(factor), _words(scale)) for name, q2, factor, scale in judged},
        seconds,
        int((model.processes.status != Status.CONVERGED).sum()),
        model.trust.growth,
        tuple(f"scalar {name} is the same in all samples and was left out" for name in model.inputs.dropped),
    )


def _words(transform: object) -> str:
    return "as it is" if isinstance(transform, Identity) else str(transform)
