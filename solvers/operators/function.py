"""Matrix-free operators: a linear map given as a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from solvers.errors import DTypeError, ShapeError, TagError
from solvers.operators.linear_operator import DTYPES, LinearOperator, closed
from solvers.operators.product_rule import variables

__all__ = ["FunctionOperator"]

LinearFunction = Callable[..., Tensor]


class FunctionOperator(LinearOperator):
    """A x = f(x, θ) for a function that is linear in x.

    Parameters
    ----------
    fn
        ``f(x, *params)``, vectors ``(*batch, n)`` to ``(*batch, m)`` for any leading axes, in torch operations.
        Called once with x = 0 when the operator is made, to see that it fits.
    shape
        (m, n).
    params
        θ, the differentiable parameters, real or complex, of any shape: every tensor on which f depends and whose
        gradient is wanted.
    adjoint_fn
        ``Aᴴ y = adjoint_fn(y, *params)``. Without it, the adjoint product is f's vector-Jacobian product.
    tags
        What is known of the matrix: "symmetric", "spd".
    batch_shape
        Leading shape of the batch of matrices, if f stands for several.
    dtype, device
        Of the vectors; those of the first parameter by default, and needed if there is none.

    Raises
    ------
    ShapeError, DTypeError
        f returns something else than ``(*batch, m)`` of this dtype, or the dtype is not given.
    TagError
        f is not linear (f(0) ≠ 0), or depends on a tensor with gradient that is not among `params`.

    Examples
    --------
    >>> import torch
    >>> weight = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> A = FunctionOperator(lambda x, w: torch.cumsum(w * x, -1), (3, 3), (weight,))
    >>> (A @ torch.ones(3)).tolist(), A.rmv(torch.ones(3)).tolist()
    ([1.0, 3.0, 6.0], [3.0, 4.0, 3.0])
    """

    def __init__(
        self,
        fn: LinearFunction,
        shape: tuple[int, int],
        params: Sequence[Tensor] = (),
        adjoint_fn: LinearFunction | None = None,
        tags: Iterable[str] = (),
        *,
        batch_shape: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.fn, self.adjoint_fn, self.params, self.tags = fn, adjoint_fn, tuple(params), closed(tags)
        self._shape, self._batch_shape = (int(shape[0]), int(shape[1])), torch.Size(batch_shape)
        for tensor in self.params:
            if tensor.dtype not in DTYPES:
                raise DTypeError(f"parameter of dtype {tensor.dtype}: keep tensors without derivative inside of fn")
        if dtype is None and not self.params:
            raise DTypeError("no dtype: a FunctionOperator without params needs one, e.g. dtype=torch.float64")
        self._dtype = dtype or self.params[0].dtype
        if self._dtype not in DTYPES:
            raise DTypeError(f"dtype {self._dtype}: expected {', '.join(map(str, DTYPES))}")
        given = device or (self.params[0].device if self.params else "cpu")
        self._device = torch.empty(0, device=given).device
        self._probe(fn, self.shape)
        if adjoint_fn is not None:
            self._probe(adjoint_fn, self.shape[::-1])

    def _probe(self, fn: LinearFunction, shape: tuple[int, int]) -> None:
        with torch.enable_grad():
            zero = torch.zeros(*self.batch_shape, shape[1], dtype=self.dtype, device=self.device)
            y = fn(zero, *(p.detach() for p in self.params))
        self._check_result(y, (*self.batch_shape, shape[0]))
        if y.requires_grad:
            raise TagError("fn depends on a tensor with gradient that is not among params: give it there, or detach it")
        if bool((y != 0).any()):
            raise TagError(
                "fn(0) is not zero, so that fn is not linear in x: leave constant terms out, or use "
                "solvers.nonlinear for nonlinear equations"
            )

    def _check_result(self, y: Tensor, shape: Sequence[int]) -> None:
        if tuple(y.shape) != tuple(shape):
            raise ShapeError(
                f"fn returned {tuple(y.shape)}: an operator of shape {self.shape} makes {tuple(shape)} of it; fn must "
                "keep all leading axes"
            )
        if y.dtype != self.dtype:
            raise DTypeError(f"fn returned {y.dtype}: the operator's vectors are {self.dtype}; give dtype=, or convert")

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def batch_shape(self) -> torch.Size:
        return self._batch_shape

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def device(self) -> torch.device:
        return self._device

    def parameters(self) -> tuple[Tensor, ...]:
        return self.params

    def replace(self, parameters: tuple[Tensor, ...]) -> FunctionOperator:
        new = FunctionOperator.__new__(FunctionOperator)
        new.__dict__.update(self.__dict__)
        new.params = tuple(parameters)
        if new.params:
            kind = new.params[0].dtype
            changed = kind != self.params[0].dtype
            new._dtype = (kind.to_complex() if self.dtype.is_complex else kind) if changed else self.dtype
            new._device = new.params[0].device
        return new

    def to(self, target: torch.dtype | torch.device | str) -> FunctionOperator:
        """The operator with parameters (and for vectors) of another precision, or on another device.

        Real parameters of a complex operator stay real. What `fn` holds besides its parameters stays as it is.
        """
        if not isinstance(target, torch.dtype):
            new = self.replace(tuple(p.to(target) for p in self.params))
            new._device = torch.empty(0, device=target).device
            return new
        super().to(target)
        kinds = [target.to_complex() if p.is_complex() else target.to_real() for p in self.params]
        new = self.replace(tuple(p.to(kind) for p, kind in zip(self.params, kinds, strict=True)))
        new._dtype = target
        return new

    def conj(self) -> LinearOperator:
        if not self.dtype.is_complex:
            return self
        new = self.replace(self.params)
        new.fn = _conjugated(self.fn)
        new.adjoint_fn = None if self.adjoint_fn is None else _conjugated(self.adjoint_fn)
        return new

    def is_finite(self) -> Tensor:
        """Whether all parameters are finite: they need not have batch axes."""
        finite = torch.ones((), dtype=torch.bool, device=self.device)
        for parameter in self.params:
            finite = finite & parameter.isfinite().all()
        return finite.expand(self.batch_shape)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        if not self.params:
            return ()
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            theta = variables(self.params)
            y = self._recorded(self._covering(right, left), theta)
            return torch.autograd.grad(y, theta, left.expand_as(y), create_graph=again, materialize_grads=True)

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """(∂f/∂θ θ̇)(x): the vector-Jacobian product is linear in its cotangent u; its transpose is this derivative."""
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            theta = variables(self.params)
            y = self._recorded(self._covering(x), theta)
            u = torch.zeros_like(y).requires_grad_()
            pulled = torch.autograd.grad(y, theta, u, create_graph=True, materialize_grads=True)
            slopes = [(p * t.conj()).real.sum() for p, t in zip(pulled, tangents, strict=True)]
            slope = torch.stack(slopes).sum()
            if not slope.requires_grad:  # f does not depend on these parameters
                return torch.zeros_like(y)
            return torch.autograd.grad(slope, u, create_graph=again, materialize_grads=True)[0]

    def _mv(self, x: Tensor) -> Tensor:
        return self._applied(self.fn, x, self.shape[0])

    def _rmv(self, x: Tensor) -> Tensor:
        if self.adjoint_fn is not None:
            return self._applied(self.adjoint_fn, x, self.shape[1])
        u = self._covering(x)
        with torch.enable_grad():
            at = torch.zeros(*u.shape[:-1], self.shape[1], dtype=self.dtype, device=self.device, requires_grad=True)
            y = self._recorded(at, [p.detach() for p in self.params])
            return torch.autograd.grad(y, at, u)[0]

    def _applied(self, fn: LinearFunction, x: Tensor, length: int) -> Tensor:
        x = self._covering(x)
        y = fn(x, *self.params)
        self._check_result(y, (*x.shape[:-1], length))
        return y

    def _recorded(self, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """f(x, θ) with the graph that led to it."""
        y = self.fn(x, *theta)
        self._check_result(y, (*x.shape[:-1], self.shape[0]))
        if not y.requires_grad:
            raise TagError(
                "fn does not record its operations (no torch, or detached): give adjoint_fn for the adjoint product, "
                "and no params"
            )
        return y

    def _covering(self, x: Tensor, *others: Tensor) -> Tensor:
        """X with the batch axes of the operator and the others written out."""
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1], *(v.shape[:-1] for v in others))
        return x.expand(*batch, x.shape[-1])


def _conjugated(fn: LinearFunction) -> LinearFunction:
    return lambda x, *params: fn(x.conj(), *params).conj()
