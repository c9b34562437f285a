"""What every forward operator can do: what is measured of a field, and the adjoint of that."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.samples import require_samples
from solvers.eigen import lobpcg
from solvers.operators.function import FunctionOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["NORM_SAFETY", "ForwardOperator", "LinearForwardOperator"]

#: By what an estimated norm, which is below the true one, is enlarged.
NORM_SAFETY = 1.001
_NORM_RTOL = 1e-4

Pullback = Callable[[Tensor], Tensor]


class ForwardOperator(ABC):
    """A differentiable map from fields ``(batch, *input_shape)`` to data ``(batch, *output_shape)``.

    Every sample is mapped on its own. Fields are float32 or float64, and the data has the dtype and the device of the
    field: constants of the operator follow it.
    """

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """(channels, *grid) of one field."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one sample's data."""

    def apply(self, x: Tensor) -> Tensor:
        """The data of fields.

        Parameters
        ----------
        x
            Shape ``(batch, *input_shape)``, float32 or float64.

        Returns
        -------
        Tensor
            Shape ``(batch, *output_shape)``, differentiable in x.

        Raises
        ------
        OperatorError
            If the shape or the dtype is another.
        """
        require_samples(x, self.input_shape, f"{self.name}: the field")
        return self._apply(x)

    def vjp(self, x: Tensor, y: Tensor) -> Tensor:
        """G'(x)ᵀ y, the derivative of ⟨G(x), y⟩ in x.

        Parameters
        ----------
        x
            Where the map is linearised, ``(batch, *input_shape)``.
        y
            Shape ``(batch, *output_shape)``.

        Returns
        -------
        Tensor
            Shape ``(batch, *input_shape)``.

        Raises
        ------
        OperatorError
            If a shape or dtype is another.
        """
        require_samples(y, self.output_shape, f"{self.name}: the data")
        again = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
        with torch.enable_grad():
            at = x.detach().requires_grad_() if not x.requires_grad else x
            (slope,) = torch.autograd.grad(self.apply(at), at, y, create_graph=again)
        return slope

    def linearised(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """The data of ``x``, and the map y ↦ G'(x)ᵀ y: a gradient without computing the data twice.

        Returns
        -------
        tuple
            The data ``(batch, *output_shape)``, without history, and a function from ``(batch, *output_shape)`` to
            ``(batch, *input_shape)`` that can be called any number of times.
        """
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            data = self.apply(at)

        def pullback(y: Tensor) -> Tensor:
            require_samples(y, self.output_shape, f"{self.name}: the data")
            return torch.autograd.grad(data, at, y, retain_graph=True)[0]

        return data.detach(), pullback

    @property
    def name(self) -> str:
        """What messages call the operator."""
        return type(self).__name__

    @abstractmethod
    def _apply(self, x: Tensor) -> Tensor:
        """`apply` of checked fields."""


class LinearForwardOperator(ForwardOperator):
    """A linear map A with its exact transpose; a subclass gives `_apply`, `_adjoint` and, where known, the norm.

    Products are differentiated by the transpose, any number of times, so that `_apply` and `_adjoint` need not record
    what they do.
    """

    def apply(self, x: Tensor) -> Tensor:
        require_samples(x, self.input_shape, f"{self.name}: the field")
        product: Tensor = _Product.apply(x, self, False)
        return product

    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ y.

        Parameters
        ----------
        y
            Shape ``(batch, *output_shape)``, float32 or float64.

        Returns
        -------
        Tensor
            Shape ``(batch, *input_shape)``, differentiable in y.

        Raises
        ------
        OperatorError
            If the shape or the dtype is another, or the operator has no adjoint.
        """
        require_samples(y, self.output_shape, f"{self.name}: the data")
        product: Tensor = _Product.apply(y, self, True)
        return product

    def vjp(self, x: Tensor, y: Tensor) -> Tensor:
        """Aᵀ y, wherever x is."""
        return self.adjoint(y)

    def linearised(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A x, and the map y ↦ Aᵀ y."""
        return self.apply(x), self.adjoint

    def norm(self) -> float:
        """‖A‖₂, the largest singular value.

        Exact where it has a closed form; else the largest eigenvalue of AᵀA found by `solvers.lobpcg`, an estimate from
        below that is enlarged by `NORM_SAFETY`. Computed once.
        """
        return self._norm

    def normal_operator(
        self,
        shift: float | Tensor = 0.0,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> LinearOperator:
        """AᵀA + shift on flat vectors ``(batch, n)``, n = prod(input_shape).

        Parameters
        ----------
        shift
            A number, or a tensor ``()`` or ``(batch,)`` in which solutions are then differentiable.
        dtype, device
            Of the vectors.

        Returns
        -------
        LinearOperator
            Tagged ``spd`` if every shift is positive, so that `CG` takes it; ``symmetric`` if one is zero.

        Raises
        ------
        OperatorError
            If a shift is negative or not finite, or the operator has no adjoint.
        """
        shifts = torch.as_tensor(shift, dtype=dtype, device=device)
        if shifts.ndim > 1 or bool((shifts < 0).any()) or not bool(shifts.isfinite().all()):
            raise OperatorError(f"{self.name}: shift {shift}: a number ≥ 0, or one a sample, is expected.")

        def product(v: Tensor, shifts: Tensor) -> Tensor:
            x = v.reshape(-1, *self.input_shape)
            return self.adjoint(self.apply(x)).reshape(v.shape) + shifts[..., None] * v

        size = math.prod(self.input_shape)
        tags = ("spd",) if bool((shifts > 0).all()) else ("symmetric",)
        return FunctionOperator(product, (size, size), (shifts,), product, tags, batch_shape=shifts.shape)

    @cached_property
    def _norm(self) -> float:
        largest = lobpcg(self.normal_operator(), 1, largest=True, rtol=_NORM_RTOL).values
        return NORM_SAFETY * float(largest.clamp(min=0).sqrt())

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor:
        """`adjoint` of checked data."""


class _Product(torch.autograd.Function):
    """A x or Aᵀ x; the derivative of the one is the other."""

    @staticmethod
    def forward(x: Tensor, operator: LinearForwardOperator, transposed: bool) -> Tensor:
        if not len(x):  # Fourier transforms refuse what is empty
            return x.new_zeros(0, *(operator.input_shape if transposed else operator.output_shape))
        return operator._adjoint(x) if transposed else operator._apply(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, LinearForwardOperator, bool], output: Tensor) -> None:
        _, ctx.operator, ctx.transposed = inputs

    @staticmethod
    def backward(ctx: Any, y: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(y, ctx.operator, not ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, x: Tensor, operator: None, transposed: None) -> Tensor:
        product: Tensor = _Product.apply(x, ctx.operator, ctx.transposed)
        return product

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, operator: LinearForwardOperator, transposed: bool
    ) -> tuple[Tensor, int]:
        """One more batch axis is no more than a larger batch."""
        assert in_dims[0] is not None  # nothing else can be mapped over
        x = x.movedim(in_dims[0], 0)
        return _Product.apply(x.flatten(0, 1), operator, transposed).unflatten(0, x.shape[:2]), 0
