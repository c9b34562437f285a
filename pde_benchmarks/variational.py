"""Problems that can be learned without labels: their residual kinds, and boundary values built into the solution."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.problem import Batch
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = ["VariationalProblem", "product", "scaled", "sine_bubble", "summed"]


class VariationalProblem(ABC):
    """Mixin of a `Problem` whose equation can be posed as residuals of decoded fields at arbitrary points.

    ``residual_kinds`` names the forms it has, the default first.
    """

    name: ClassVar[str]
    residual_kinds: ClassVar[tuple[str, ...]]

    @abstractmethod
    def weak_form(self, kind: str | None = None, **options: Any) -> WeakForm:
        """The residual of the given kind, or the default one.

        Parameters
        ----------
        options
            Parameters of the form, as ``cells`` of the energy or ``functions`` and ``radius`` of the weak form.

        Raises
        ------
        ProblemError
            If the problem has no such kind.
        """

    @abstractmethod
    def impose(self, name: str, points: Tensor, raw: Jet, inputs: Batch) -> Jet:
        """The field ``name`` from what a network answers for it at ``points (n, dim)``.

        Boundary and initial values are built in by the product rule, and the size of the field is taken care of: a
        network whose answers are of order one gives a field of the right order.
        """

    @abstractmethod
    def coefficient_at(self, inputs: Batch, points: Tensor) -> Tensor:
        """The input field at ``points (n, dim)``: ``(batch, n, channels)``."""

    @property
    def mesh_points(self) -> Tensor:
        """Points ``(n, dim)`` of the mesh that outputs on a mesh live on, float64.

        Raises
        ------
        ProblemError
            If the problem has no mesh.
        """
        raise ProblemError(f"{self.name}: no field lives on a mesh.")

    def decoded_field(self, output: str) -> str:
        """The field of the equation that an output of the problem follows from: usually itself."""
        return output

    def output_of(self, output: str, field: Jet) -> Tensor:
        """Values ``(batch, n, channels)`` of an output, from the imposed field `decoded_field`: usually its values."""
        return field.value

    def chosen_kind(self, kind: str | None) -> str:
        """``kind``, or the default where it is None.

        Raises
        ------
        ProblemError
            If the problem has no such kind; ``energy`` exists for symmetric operators only.
        """
        if kind is None:
            return self.residual_kinds[0]
        if kind not in self.residual_kinds:
            known = ", ".join(self.residual_kinds)
            if kind == "energy":
                raise ProblemError(
                    f"{self.name}: residual 'energy' needs a symmetric operator, as only its solution minimises an "
                    f"energy, and this equation has none: use one of {known}."
                )
            raise ProblemError(f"{self.name}: residual {kind!r} is unknown: use one of {known}.")
        return kind

    def check_options(self, form: type[WeakForm], options: Mapping[str, Any]) -> None:
        """Refuse options that are no parameters of ``form``, a dataclass whose first field is its ``equation``.

        Raises
        ------
        ProblemError
            The known ones are listed.
        """
        known = [name for name in inspect.signature(form).parameters if name != "equation"]
        for key in options:
            if key not in known:
                raise ProblemError(f"{self.name}: residual {form.kind!r} has no {key!r}: it has {', '.join(known)}.")


def sine_bubble(points: Tensor, box: Box, order: int = 1) -> Jet:
    """Π sin(π tᵢ), tᵢ = (xᵢ − lowᵢ)/(highᵢ − lowᵢ) as a jet of batch size one: exactly zero on the box's boundary.

    Parameters
    ----------
    points
        Shape ``(n, dim)``.
    order
        2 for the second derivatives too.

    Returns
    -------
    Jet
        ``value (1, n, 1)`` and its derivatives.

    Examples
    --------
    >>> bubble = sine_bubble(torch.tensor([[0.5, 0.5], [1.0, 0.3]]), Box())
    >>> bubble.value.flatten().tolist()
    [1.0, 0.0]
    """
    low, width = points.new_tensor(box.low), points.new_tensor(box.high) - points.new_tensor(box.low)
    t = (points - low) / width
    # sin π(1 − t) = sin πt: the smaller of the two arguments is exactly zero on either side, sin(π) in floats is not.
    sine, cosine = torch.sin(math.pi * torch.minimum(t, 1 - t)), torch.cos(math.pi * t)
    dim = points.shape[1]
    first = math.pi / width * cosine
    gradient = torch.stack([first[:, i] * _others(sine, (i,)) for i in range(dim)], -1)
    value = sine.prod(-1)
    hessian = None
    if order == 2:
        rows = []
        for i in range(dim):
            row = [first[:, i] * first[:, j] * _others(sine, (i, j)) for j in range(dim)]
            row[i] = -((math.pi / width[i]) ** 2) * value
            rows.append(torch.stack(row, -1))
        hessian = torch.stack(rows, -2)[None, :, None]
    return Jet(value[None, :, None], gradient[None, :, None], hessian)


def product(first: Jet, second: Jet) -> Jet:
    """The pointwise product by the product rule; second derivatives where both have them. Batches broadcast."""
    u, v = first.value[..., None], second.value[..., None]
    gradient = u * second.gradient + v * first.gradient
    if first.hessian is None or second.hessian is None:
        return Jet(first.value * second.value, gradient)
    cross = first.gradient[..., :, None] * second.gradient[..., None, :]
    hessian = u[..., None] * second.hessian + v[..., None] * first.hessian + cross + cross.transpose(-1, -2)
    return Jet(first.value * second.value, gradient, hessian)


def scaled(jet: Jet, factor: float) -> Jet:
    """The field times a number."""
    hessian = None if jet.hessian is None else factor * jet.hessian
    return Jet(factor * jet.value, factor * jet.gradient, hessian)


def summed(first: Jet, second: Jet) -> Jet:
    """The sum of two fields; second derivatives where both have them. Batches broadcast."""
    hessian = None
    if first.hessian is not None and second.hessian is not None:
        hessian = first.hessian + second.hessian
    return Jet(first.value + second.value, first.gradient + second.gradient, hessian)


def _others(sine: Tensor, left_out: tuple[int, ...]) -> Tensor:
    """Π sin over all axes but those left out, ``(n,)``."""
    kept = [i for i in range(sine.shape[1]) if i not in left_out]
    return sine[:, kept].prod(-1)
