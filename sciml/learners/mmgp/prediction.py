"""What is predicted for one mesh: means, standard deviations, quantiles and samples at its own nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from meshes.mesh import Mesh
from pde_benchmarks.mesh_steps import split_step
from sciml.errors import LearnerError
from sciml.learners.mmgp.carrying import Carried
from sciml.learners.mmgp.gaussian_processes import GaussianPrediction, Transform, original_moments
from sciml.learners.mmgp.model import JointNormal, Model
from sciml.learners.mmgp.projection import NodalNormal
from sciml.learners.mmgp.trust import TrustScore

__all__ = ["MeshPrediction", "Samples", "StepSeries", "predicted"]


@dataclass(frozen=True)
class Samples:
    """Draws from the predictive distribution: fields ``(count, n)`` and scalars ``(count,)`` by name."""

    fields: dict[str, Tensor]
    scalars: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class StepSeries:
    """A field or scalar at its steps ``(s,)``, rising: mean and standard deviation ``(n, s)`` or ``(s,)``."""

    steps: Tensor
    mean: Tensor
    std: Tensor


@dataclass(frozen=True, eq=False)
class MeshPrediction:
    """Fields and scalars of one mesh.

    Attributes
    ----------
    mesh
        The mesh that was asked for.
    mean, std
        Name of a field to values at its nodes ``(n,)``, float64.
    scalar_mean, scalar_std
        Name of a scalar to its value.
    trust
        How far the shape is from those of training; where it lies outside of their span, all standard deviations have
        been multiplied by ``trust.inflation``.
    notes
        What was odd about the mesh or its scalars, in sentences.
    """

    mesh: Mesh
    mean: dict[str, Tensor]
    std: dict[str, Tensor]
    scalar_mean: dict[str, float]
    scalar_std: dict[str, float]
    trust: TrustScore
    notes: tuple[str, ...]
    nodal: NodalNormal
    on_scale: dict[str, tuple[Tensor, Tensor]]
    units: dict[str, float]

    def series(self, name: str) -> StepSeries:
        """A field or scalar at all its steps.

        Raises
        ------
        LearnerError
            Nothing of that name is predicted in steps.
        """
        mean: dict[str, Any] = {**self.mean, **self.scalar_mean}
        std: dict[str, Any] = {**self.std, **self.scalar_std}
        steps = sorted((found[1], key) for key in mean if (found := split_step(key)) and found[0] == name)
        if not steps:
            raise LearnerError(f"no steps of {name!r} are predicted: there are {', '.join(mean)}.")
        keys = [key for _, key in steps]
        mean_at, std_at = (
            torch.stack([torch.as_tensor(side[key], dtype=torch.float64) for key in keys], dim=-1)
            for side in (mean, std)
        )
        return StepSeries(torch.tensor([step for step, _ in steps], dtype=torch.float64), mean_at, std_at)

    def quantile(self, level: float) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Quantiles of fields ``(n,)`` and scalars, each value by itself.

        Raises
        ------
        LearnerError
            A level that is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise LearnerError(f"quantile {level}: expected a level between 0 and 1, such as 0.975.")
        z = float(torch.special.ndtri(torch.tensor(level, dtype=torch.float64)))
        transforms = self.nodal.transforms
        found = {n: self._unit(n) * transforms[n].inverse(m + z * s) for n, (m, s) in self.on_scale.items()}
        return {name: found[name] for name in self.mean}, {name: float(found[name]) for name in self.scalar_mean}

    def samples(self, count: int, generator: Generator) -> Samples:
        """Draws whose mean and standard deviation are the predicted ones.

        What modes and regression explain is drawn jointly for all fields and scalars; what they miss is drawn at each
        node by itself, for its size is known from training and its correlation is not.
        """
        return self._samples(self.nodal.draw(count, generator, rough=True))

    def smooth_samples(self, count: int, generator: Generator) -> Samples:
        """The same without what is drawn node by node: for functionals such as a maximum over nodes."""
        return self._samples(self.nodal.draw(count, generator, rough=False))

    def to_mesh(self) -> Mesh:
        """The mesh with point fields ``NAME_mean``, ``NAME_std`` and global data of these names for scalars."""
        points = {f"{name}_mean": values.numpy() for name, values in self.mean.items()}
        points |= {f"{name}_std": values.numpy() for name, values in self.std.items()}
        numbers = {f"{name}_mean": np.array(value) for name, value in self.scalar_mean.items()}
        numbers |= {f"{name}_std": np.array(value) for name, value in self.scalar_std.items()}
        return replace(
            self.mesh,
            point_data={**self.mesh.point_data, **points},
            global_data={**self.mesh.global_data, **numbers},
        )

    def _unit(self, name: str) -> float:
        return self.units.get(name, 1.0)

    def _samples(self, drawn: dict[str, Tensor]) -> Samples:
        found = {n: self._unit(n) * self.nodal.transforms[n].inverse(values) for n, values in drawn.items()}
        return Samples({n: found[n] for n in self.mean}, {n: found[n].flatten() for n in self.scalar_mean})


def predicted(
    model: Model,
    mesh: Mesh,
    carried: Carried,
    joint: JointNormal,
    trust: TrustScore,
    notes: tuple[str, ...],
    units: dict[str, float],
) -> MeshPrediction:
    """Carry the distribution of the coefficients to the nodes of a mesh; what is predicted has these units."""
    nodal = NodalNormal(model, carried, joint, trust.inflation)
    on_scale = nodal.moments()
    found = {
        name: _moments(nodal.transforms[name], mean, std, trust.inflation) for name, (mean, std) in on_scale.items()
    }
    found = {name: (units.get(name, 1.0) * m, abs(units.get(name, 1.0)) * s) for name, (m, s) in found.items()}
    fields, scalars = model.family.fields, model.family.output_scalars
    return MeshPrediction(
        mesh,
        {name: found[name][0] for name in fields},
        {name: found[name][1] for name in fields},
        {name: float(found[name][0]) for name in scalars},
        {name: float(found[name][1]) for name in scalars},
        trust,
        notes,
        nodal,
        on_scale,
        units,
    )


def _moments(transform: Transform, mean: Tensor, std: Tensor, inflation: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation in the original unit; distrust widens the one and leaves the other alone."""
    usual = original_moments(transform, GaussianPrediction(mean, (std / inflation).square()))
    wide = original_moments(transform, GaussianPrediction(mean, std.square()))
    return usual.mean, wide.variance.sqrt()
