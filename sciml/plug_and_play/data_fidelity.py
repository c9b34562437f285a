"""How badly a field explains the data: value, gradient, and the minimum together with a quadratic function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from pde_benchmarks.imaging.forward_operators.operator import ForwardOperator, LinearForwardOperator
from sciml.errors import ConfigurationError, ObservationError
from sciml.plug_and_play.inversion import per_sample
from solvers import IdentityOperator, LinearOperator

__all__ = ["DataFidelity", "check_data"]


class DataFidelity(ABC):
    """h(x), a function of G(x) and the data; B samples.

    A subclass is a frozen dataclass with the fields `operator` (G) and `data` ``(B, *output_shape)``.
    """

    operator: ForwardOperator
    data: Tensor

    @property
    @abstractmethod
    def lipschitz(self) -> float | None:
        """A bound of the Lipschitz constant of ∇h; None where there is none."""

    @property
    @abstractmethod
    def convex(self) -> bool:
        """Whether h is convex."""

    @abstractmethod
    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """H(x) ``(B,)`` and ∇h(x) ``(B, *input_shape)``.

        Raises
        ------
        SolveError
            If the equation behind G could not be solved for a sample.
        """

    @abstractmethod
    def discrepancy(self, x: Tensor) -> Tensor:
        """Root mean square of the data's deviations in units of their noise, ``(B,)``: about 1 for the truth."""

    @abstractmethod
    def minimum(self, curvature: LinearOperator, centre: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """argmin_x h(x) + ½⟨x − c, Q (x − c)⟩ and where it was found ``(B,)``.

        Parameters
        ----------
        curvature
            Q, symmetric and positive semi-definite, on flat vectors ``(B, n)``.
        centre, start
            c and a first guess, ``(B, *input_shape)``.
        """

    def value(self, x: Tensor) -> Tensor:
        """H(x), ``(B,)``."""
        return self.value_and_gradient(x)[0]

    def gradient(self, x: Tensor) -> Tensor:
        """∇h(x), shape of x."""
        return self.value_and_gradient(x)[1]

    def prox(self, v: Tensor, penalty: float | Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """argmin_x h(x) + ½ penalty ‖x − v‖² and where it was found ``(B,)``; penalty is a number or ``(B,)``."""
        identity = IdentityOperator(v[0].numel(), v.dtype, v.device)
        rho = per_sample(penalty, v).reshape(-1) if isinstance(penalty, Tensor) else penalty
        return self.minimum(rho * identity, v, v if start is None else start)

    def first_guess(self) -> Tensor:
        """Where iterations start: the back-projected data Aᵀb/‖A‖², zero for nonlinear G; ``(B, *input_shape)``."""
        if isinstance(self.operator, LinearForwardOperator):
            return self.operator.adjoint(self.data) / max(self.operator.norm() ** 2, torch.finfo(self.data.dtype).tiny)
        return self.data.new_zeros(len(self.data), *self.operator.input_shape)

    def rows(self, index: Tensor) -> Self:
        """The same for some of the samples."""
        return replace(self, data=self.data[index])  # type: ignore[type-var]


def check_data(operator: ForwardOperator, data: Tensor) -> None:
    """Raise unless the data are finite real numbers of the operator's shape.

    Raises
    ------
    ConfigurationError
        `operator` is no forward operator.
    ObservationError
        Says what was found, what is expected and how to mend it.
    """
    if not isinstance(operator, ForwardOperator):
        raise ConfigurationError(
            f"operator is a {type(operator).__name__}: a ForwardOperator is expected; make one of functions by "
            "pde_benchmarks.imaging.forward_operators.from_functions(apply, adjoint, ...)."
        )
    if not isinstance(data, Tensor) or not data.is_floating_point():
        kind = data.dtype if isinstance(data, Tensor) else type(data).__name__
        raise ObservationError(f"data: {kind}, expected a float32 or float64 tensor; convert it with .to(dtype).")
    if data.ndim == 0 or tuple(data.shape[1:]) != tuple(operator.output_shape):
        expected = ", ".join(["B", *map(str, operator.output_shape)])
        raise ObservationError(f"data of shape {tuple(data.shape)}: {operator.name} makes data of shape ({expected}).")
    if not bool(data.isfinite().all()):
        bad = int((~data.isfinite()).sum())
        raise ObservationError(
            f"data: {bad} of {data.numel()} values are not finite; leave them out of what the operator measures "
            "(a mask), or fill them."
        )
