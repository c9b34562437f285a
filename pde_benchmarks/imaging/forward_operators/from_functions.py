"""Forward operators made of a user's own functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.operator import ForwardOperator, LinearForwardOperator

__all__ = ["from_functions", "from_linear_function", "from_nonlinear_function"]

Map = Callable[[Tensor], Tensor]


def from_functions(
    apply: Map,
    adjoint: Map | None = None,
    *,
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    norm: float | None = None,
    name: str = "operator",
) -> LinearForwardOperator:
    """A linear operator given by functions, which may leave torch on their way.

    Parameters
    ----------
    apply
        A, from ``(batch, *input_shape)`` to ``(batch, *output_shape)``; of the dtype that it is given.
    adjoint
        Its exact transpose. Without it, whatever needs the adjoint raises; where ``apply`` is written in torch,
        `from_linear_function` finds the transpose itself.
    input_shape, output_shape
        (channels, *grid) of a field, and the shape of one sample's data.
    norm
        ‖A‖₂ where it is known; else it is estimated.
    name
        What messages call the operator.

    Returns
    -------
    LinearForwardOperator

    Raises
    ------
    OperatorError
        When used: if a function returns another shape or dtype, or the missing adjoint is needed.

    Examples
    --------
    >>> double = from_functions(lambda x: 2 * x, lambda y: 2 * y, input_shape=(1, 4), output_shape=(1, 4))
    >>> double.apply(torch.ones(1, 1, 4)).tolist(), round(double.norm(), 2)
    ([[[2.0, 2.0, 2.0, 2.0]]], 2.0)
    """
    return _LinearFunctions(apply, adjoint, tuple(input_shape), tuple(output_shape), norm, name)


def from_linear_function(
    apply: Map, *, input_shape: Sequence[int], output_shape: Sequence[int], name: str = "operator"
) -> LinearForwardOperator:
    """A linear operator given by a function in differentiable torch operations; autograd gives its transpose.

    Parameters
    ----------
    apply
        A, from ``(batch, *input_shape)`` to ``(batch, *output_shape)``, every sample on its own.
    input_shape, output_shape, name
        As in `from_functions`.

    Examples
    --------
    >>> sums = from_linear_function(lambda x: x.cumsum(-1), input_shape=(1, 3), output_shape=(1, 3))
    >>> sums.adjoint(torch.ones(1, 1, 3))
    tensor([[[3., 2., 1.]]])
    """
    inside, outside = tuple(input_shape), tuple(output_shape)

    def adjoint(y: Tensor) -> Tensor:
        with torch.enable_grad():
            zero = torch.zeros(len(y), *inside, dtype=y.dtype, device=y.device, requires_grad=True)
            image = apply(zero)
            if not image.requires_grad:
                raise OperatorError(f"{name}: the function does not record its operations: use from_functions.")
            return torch.autograd.grad(image, zero, y.detach())[0]

    return _LinearFunctions(apply, adjoint, inside, outside, None, name)


def from_nonlinear_function(
    apply: Map, *, input_shape: Sequence[int], output_shape: Sequence[int], name: str = "operator"
) -> ForwardOperator:
    """A nonlinear operator given by a function in differentiable torch operations; autograd gives its `vjp`.

    Parameters
    ----------
    apply
        G, from ``(batch, *input_shape)`` to ``(batch, *output_shape)``, every sample on its own.
    input_shape, output_shape, name
        As in `from_functions`.

    Examples
    --------
    >>> square = from_nonlinear_function(lambda x: x**2, input_shape=(1, 2), output_shape=(1, 2))
    >>> square.vjp(torch.tensor([[[3.0, 1.0]]]), torch.ones(1, 1, 2))
    tensor([[[6., 2.]]])
    """
    return _Functions(apply, tuple(input_shape), tuple(output_shape), name)


class _Functions(ForwardOperator):
    def __init__(self, function: Map, input_shape: tuple[int, ...], output_shape: tuple[int, ...], name: str) -> None:
        self._function, self._input_shape, self._output_shape, self._name = function, input_shape, output_shape, name

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._output_shape

    @property
    def name(self) -> str:
        return self._name

    def _apply(self, x: Tensor) -> Tensor:
        return self._returned(self._function, x, self._output_shape, "apply")

    def _returned(self, function: Map, given: Tensor, shape: tuple[int, ...], verb: str) -> Tensor:
        result = function(given)
        expected = (len(given), *shape)
        if not isinstance(result, Tensor) or tuple(result.shape) != expected or result.dtype != given.dtype:
            found = f"{result.dtype} {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise OperatorError(f"{self.name}: {verb} returned {found}: {given.dtype} {expected} is expected.")
        return result


class _LinearFunctions(_Functions, LinearForwardOperator):
    def __init__(
        self,
        function: Map,
        adjoint: Map | None,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        norm: float | None,
        name: str,
    ) -> None:
        super().__init__(function, input_shape, output_shape, name)
        if norm is not None and not 0 <= norm < float("inf"):
            raise OperatorError(f"{name}: norm {norm}: a finite number ≥ 0 is expected.")
        self._transpose, self._given_norm = adjoint, norm

    def norm(self) -> float:
        return super().norm() if self._given_norm is None else self._given_norm

    def _adjoint(self, y: Tensor) -> Tensor:
        if self._transpose is None:
            raise OperatorError(
                f"{self.name} has no adjoint, and one is needed here: give from_functions(apply, adjoint=…), or use "
                "from_linear_function if apply is written in torch."
            )
        return self._returned(self._transpose, y, self._input_shape, "adjoint")
