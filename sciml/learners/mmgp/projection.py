"""The distribution of the regression's columns, carried by the modes to the nodes of one mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.learners.mmgp.alignment import turned
from sciml.learners.mmgp.carrying import Carried
from sciml.learners.mmgp.gaussian_processes import Transform
from sciml.learners.mmgp.model import JointNormal, Model

__all__ = ["NodalNormal"]


@dataclass(frozen=True, eq=False)
class NodalNormal:
    """Normal distribution of all fields at the nodes of a mesh and of all scalars, each on its own scale.

    A field is Q (mean + Σ c_a mode_a) with jointly normal c, and a normal variable at every node for what modes and
    transfer leave out. Hence its variance is diag(A C Aᵀ) + Q (residual + floor) with A = Q modesᵀ.

    Parameters
    ----------
    model, carried, joint
        The surrogate, the mesh, and the distribution of the columns for it.
    inflation
        By which all standard deviations are multiplied.
    """

    model: Model
    carried: Carried
    joint: JointNormal
    inflation: float

    @property
    def transforms(self) -> dict[str, Transform]:
        """Name of a field or scalar to the map to its scale."""
        fields = {name: field.transform for name, field in self.model.fields.items()}
        return fields | dict(zip(self.model.family.output_scalars, self.model.transforms, strict=True))

    def moments(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation of each field ``(n,)`` and scalar ``()``."""
        means = {name: self._mean(name) for name in self.model.fields}
        variances = {}
        for name in self.model.fields:
            if name not in self._mixed:
                variances[name] = self._loading(name).square().sum(dim=1) + self._rough(name)
        if self.carried.rotation is not None:
            means = turned(means, self.model.family.vectors, self._back)
            for vector in self.model.family.vectors:
                variances |= self._vector_variances(vector)
        found = {name: (mean, variances[name].sqrt()) for name, mean in means.items()}
        for number, name in enumerate(self.model.family.output_scalars):
            column = self.model.columns.scalar(name)
            factor = self.inflation * self.model.scalar_factors[number]
            found[name] = (self.joint.mean[column], factor * self.joint.deviation[column])
        return found

    def draw(self, count: int, generator: Generator, rough: bool) -> dict[str, Tensor]:
        """Joint draws of fields ``(count, n)`` and scalars ``(count,)``, with or without what is drawn node by node."""
        white = torch.randn(count, len(self.joint.mean), generator=generator, dtype=torch.float64)
        fields = {}
        for name in self.model.fields:
            drawn = self._mean(name) + white @ self._loading(name).mT
            if rough:
                noise = torch.randn(drawn.shape, generator=generator, dtype=torch.float64)
                drawn = drawn + noise * self._rough(name).sqrt()
            fields[name] = drawn
        if self.carried.rotation is not None:
            fields = turned(fields, self.model.family.vectors, self._back)
        for number, name in enumerate(self.model.family.output_scalars):
            column = self.model.columns.scalar(name)
            factor = self.inflation * self.model.scalar_factors[number]
            fields[name] = self.joint.mean[column] + factor * (white @ self.joint.root[column])
        return fields

    @property
    def _mixed(self) -> set[str]:
        """Fields that are components of vectors, where the part was turned."""
        vectors = () if self.carried.rotation is None else self.model.family.vectors
        return {name for vector in vectors for name in vector}

    @property
    def _back(self) -> Tensor:
        """The rotation from the common frame to the mesh's."""
        assert self.carried.rotation is not None
        return self.carried.rotation.mT

    def _vector_variances(self, vector: tuple[str, ...]) -> dict[str, Tensor]:
        """Components mix when they are turned back, with their correlations."""
        loadings = torch.stack([self._loading(name) for name in vector])
        rough = torch.stack([self._rough(name) for name in vector])
        return {
            name: torch.einsum("b,bnm->nm", row, loadings).square().sum(dim=1) + row.square() @ rough
            for name, row in zip(vector, self._back, strict=True)
        }

    def _mean(self, name: str) -> Tensor:
        field = self.model.fields[name]
        return self.carried.to_mesh(field.reduction.expand(self.joint.mean[self.model.columns.of(name)]))

    def _loading(self, name: str) -> Tensor:
        """What standard normal variables ``(m,)`` add at the nodes, ``(n, m)``."""
        field = self.model.fields[name]
        modes = self.carried.to_mesh(field.reduction.modes)
        return self.inflation * field.factor * (modes.mT @ self.joint.root[self.model.columns.of(name)])

    def _rough(self, name: str) -> Tensor:
        """Variance ``(n,)`` of what is drawn node by node."""
        field = self.model.fields[name]
        # Nodes outside of the common mesh are extrapolated to, which may take a variance below zero.
        variance = self.carried.to_mesh(field.residual + field.floor).clamp_min(0)
        return (self.inflation * field.factor) ** 2 * variance
