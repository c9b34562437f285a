"""What a trained surrogate consists of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.mmgp.carrying import Carried, Carrier
from sciml.learners.mmgp.gaussian_processes import GaussianProcesses, Transform
from sciml.learners.mmgp.inner_products import InnerProduct
from sciml.learners.mmgp.inputs import InputColumns
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.reduction import Reduction
from sciml.learners.mmgp.regression import Columns
from sciml.learners.mmgp.trust import TrustLimits, TrustScore

__all__ = ["FieldModel", "JointNormal", "Model"]


@dataclass(frozen=True)
class FieldModel:
    """A field on the common mesh.

    Attributes
    ----------
    reduction
        Its mean and modes.
    residual, floor
        Variances ``(N,)`` beside that of the coefficients: of what the regression misses, and of what the transfer
        between meshes loses.
    factor
        By which standard deviations are multiplied.
    transform
        Monotone map from the field to what the modes describe.
    """

    reduction: Reduction
    residual: Tensor
    floor: Tensor
    factor: float
    transform: Transform


@dataclass(frozen=True)
class JointNormal:
    """Normal distribution of all columns of one sample: mean ``(m,)`` and a root ``(m, m)`` of the covariance."""

    mean: Tensor
    root: Tensor

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of each column ``(m,)``."""
        return self.root.square().sum(dim=1).sqrt()


@dataclass(frozen=True, eq=False)
class Model:
    """A trained surrogate: all that `MMGP` needs to predict, and nothing of the training set but the regression's rows.

    Attributes
    ----------
    carrier
        Brings a mesh onto the common one.
    product
        Inner product of the shape modes.
    shape, fields
        Reductions of the coordinates and of each field.
    columns, inputs, processes
        The regression.
    correlation
        Root ``(m, m)`` of the correlation matrix of its errors.
    scalar_factors
        By which standard deviations of the scalars are multiplied ``(q,)``.
    transforms
        Monotone map of each scalar to the regression's target.
    trust
        What shapes are judged by.
    """

    family: PartFamily
    carrier: Carrier
    product: InnerProduct
    shape: Reduction
    fields: dict[str, FieldModel]
    columns: Columns
    inputs: InputColumns
    processes: GaussianProcesses
    correlation: Tensor
    scalar_factors: Tensor
    transforms: tuple[Transform, ...]
    trust: TrustLimits

    @property
    def carrier_dimension(self) -> int:
        """Coordinates of a point of the parts."""
        return len(self.shape.mean) // len(self.carrier.common.mesh.points)

    def judge(self, carried: Carried) -> tuple[Tensor, TrustScore]:
        """Shape coefficients ``(r,)`` of a mesh, and how far its shape is from those of training."""
        coefficients = self.shape.coefficients(carried.shape, self.product)
        rest = carried.shape - self.shape.expand(coefficients)
        outside = float(self.product.squared_norm(rest).clamp_min(0).sqrt())
        return coefficients, self.trust.score(outside, coefficients)

    def regress(self, shapes: Tensor, given: Tensor) -> list[JointNormal]:
        """Columns of samples with shape coefficients ``(n, r)`` and scalars ``(n, p)``."""
        found = self.processes.predict(self.inputs(shapes, given))
        deviations = (found.variance + self.processes.noise).sqrt()
        return [
            JointNormal(mean, std[:, None] * self.correlation) for mean, std in zip(found.mean, deviations, strict=True)
        ]

    def parameters(self) -> int:
        """Numbers in modes and kernels."""
        modes = self.shape.modes.numel() + sum(field.reduction.modes.numel() for field in self.fields.values())
        return modes + sum(int(torch.numel(v)) for v in self.processes.state_dict().values())
