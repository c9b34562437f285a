"""The nearest row of the training set in the place of a regression."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes import GaussianProcesses, restore
from sciml.learners.mmgp.gaussian_processes.standardisation import column_moments, standardised
from sciml.learners.mmgp.model import JointNormal, Model

__all__ = ["NearestModel", "nearest_other", "stored_rows"]


class NearestModel(Model):
    """MMGP's stages, but for the regression: the answer is the row of the training set whose inputs are nearest.

    ``processes`` holds the rows; ``correlation`` is the diagonal of standard deviations of the columns.
    """

    def regress(self, shapes: Tensor, given: Tensor) -> list[JointNormal]:
        """Columns of samples with shape coefficients ``(n, r)`` and scalars ``(n, p)``."""
        rows = self.processes
        z = standardised(self.inputs(shapes, given), rows.input_mean, rows.input_deviation)
        nearest = torch.cdist(z, rows.inputs).argmin(dim=1)
        found = rows.target_mean + rows.target_deviation * rows.targets[nearest]
        return [JointNormal(mean, self.correlation) for mean in found]

    def parameters(self) -> int:
        """Numbers that are kept: modes, and a row of each training sample."""
        modes = self.shape.modes.numel() + sum(field.reduction.modes.numel() for field in self.fields.values())
        return modes + self.processes.inputs.numel() + self.processes.targets.numel()

    @classmethod
    def of(cls, model: Model) -> NearestModel:
        """The same stages with this regression."""
        return cls(**{f.name: getattr(model, f.name) for f in dataclasses.fields(model)})


def stored_rows(inputs: Tensor, targets: Tensor) -> GaussianProcesses:
    """Rows ``(n, d)`` and ``(n, m)``, kept as those of Gaussian processes are, so that both are saved alike.

    The kernel is a placeholder: nothing is fitted, and nothing is asked of it.
    """
    m = targets.shape[1]
    one = torch.ones(1, dtype=torch.float64)
    mean, deviation = column_moments(inputs)
    return restore(
        {
            "inputs": standardised(inputs, mean, deviation),
            "targets": targets,
            "input_mean": mean,
            "input_deviation": deviation,
            "target_mean": torch.zeros(m, dtype=torch.float64),
            "target_deviation": torch.ones(m, dtype=torch.float64),
            "status": torch.zeros(m, dtype=torch.int64),
            "length_scales": torch.ones(1, inputs.shape[1], dtype=torch.float64),
            "signal_variance": one,
            "noise_variance": one,
            "kernel_of_column": torch.zeros(m, dtype=torch.int64),
        }
    )


def nearest_other(rows: Tensor, groups: Tensor) -> Tensor:
    """Number ``(n,)`` of the row of ``(n, d)`` that is nearest to each one, outside of its own group.

    Examples
    --------
    >>> nearest_other(torch.tensor([[0.0], [0.1], [0.5], [2.0]]), torch.tensor([0, 0, 1, 2]))
    tensor([2, 2, 1, 2])
    """
    away = torch.cdist(rows, rows)
    away[groups[:, None] == groups] = torch.inf
    return away.argmin(dim=1)
