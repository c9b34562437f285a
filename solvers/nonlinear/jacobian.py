"""The Jacobian of a batched function as a linear operator, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import is_differentiated, variables

__all__ = ["BatchedFunction", "JacobianOperator", "vjp"]

#: ``f(x, *parameters)`` with x ``(*batch, n)`` and the result ``(*batch, m)``, every system by itself.
BatchedFunction = Callable[..., Tensor]

#: Entries of cotangents that are carried through a graph at once.
_AT_ONCE = 1 << 24


class JacobianOperator(LinearOperator):
    """J = ∂f/∂x at (x, θ) for a batch of systems that do not depend on each other.

    Products cost one pass backward through the graph of f (J v: through the graph of that pass); nothing of size m × n
    is formed, unless `to_dense` is asked for: then products are with that matrix. The Jacobian is differentiable in x
    and θ.

    Parameters
    ----------
    function
        ``f(x, *parameters)``, differentiable twice where J is differentiated or multiplied from the right.
    x
        Where the derivative is taken, ``(*batch, n)``.
    parameters
        The tensors θ on which f depends.
    tags
        "symmetric" for the Jacobian of a gradient, and "spd" where that is convex.

    Examples
    --------
    >>> import torch
    >>> J = JacobianOperator(lambda x: x**2 + x.flip(-1), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> J.mv(torch.tensor([1.0, 0.0]))
    tensor([[2., 1.],
            [6., 1.]])
    """

    def __init__(
        self,
        function: BatchedFunction,
        x: Tensor,
        parameters: tuple[Tensor, ...] = (),
        tags: frozenset[str] = frozenset(),
    ) -> None:
        self.function, self.x, self.theta, self.tags = function, x, parameters, tags

    @property
    def shape(self) -> tuple[int, int]:
        return self.value.shape[-1], self.x.shape[-1]

    @property
    def batch_shape(self) -> torch.Size:
        return self.x.shape[:-1]

    @property
    def value(self) -> Tensor:
        """f(x, θ), ``(*batch, m)``."""
        return self._graph[1].detach()

    def parameters(self) -> tuple[Tensor, ...]:
        return self.x, *self.theta

    def replace(self, parameters: tuple[Tensor, ...]) -> JacobianOperator:
        x, *theta = parameters
        return JacobianOperator(self.function, x, tuple(theta), self.tags)

    def is_finite(self) -> Tensor:
        """Whether x and f(x, θ) are finite: the parameters need not have batch axes."""
        return self.x.isfinite().all(-1) & self.value.isfinite().all(-1)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            x, *theta = variables(self.parameters())
            (pulled,) = vjp(self.function(x, *theta), (x,), left, create_graph=True)
            return vjp((pulled * right).sum(), (x, *theta), pulled.new_ones(()), create_graph=again)

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """(∂J/∂(x, θ) · tangents) v: the derivative of J v, which is not linear in the parameters."""
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            inputs = variables(self.parameters())
            y = self.function(*inputs)
            u = torch.zeros_like(y).requires_grad_()
            (pulled,) = vjp(y, inputs[:1], u, create_graph=True)
            # ⟨Jᵀu, v⟩ is linear in u with the coefficient J v; its derivative along the tangents, too.
            slopes = vjp((pulled * x).sum(), inputs, pulled.new_ones(()), create_graph=True)
            slope = torch.stack([(s * t).sum() for s, t in zip(slopes, tangents, strict=True)]).sum()
            return vjp(slope, (u,), slope.new_ones(()), create_graph=again)[0]

    def diagonal(self) -> Tensor:
        return self.to_dense().diagonal(dim1=-2, dim2=-1)

    def to_dense(self) -> Tensor:
        return super().to_dense() if is_differentiated(*self.parameters()) else self._matrix

    @cached_property
    def _matrix(self) -> Tensor:
        m, n = self.shape
        # A row is one pass through the graph, a column two.
        if m <= 2 * n:
            return self._products_with_unit_vectors(self._rmv, m).movedim(0, -2)
        return self._products_with_unit_vectors(self._mv, n).movedim(0, -1)

    def _products_with_unit_vectors(self, product: Callable[[Tensor], Tensor], length: int) -> Tensor:
        units = torch.eye(length, dtype=self.dtype, device=self.device)
        units = units.reshape(length, *(1,) * len(self.batch_shape), length)
        return product(units.expand(length, *self.batch_shape, length))

    @cached_property
    def _graph(self) -> tuple[Tensor, Tensor]:
        """X and f(x), connected."""
        with torch.enable_grad():
            x = self.x.detach().requires_grad_()
            return x, self.function(x, *(t.detach() for t in self.theta))

    @cached_property
    def _transposed_graph(self) -> tuple[Tensor, Tensor]:
        """U and Jᵀu, connected: linear, so that u = 0 does."""
        x, y = self._graph
        with torch.enable_grad():
            u = torch.zeros_like(y).requires_grad_()
            return u, vjp(y, (x,), u, create_graph=True)[0]

    def _mv(self, x: Tensor) -> Tensor:
        x = self._covering(x)
        if "_matrix" in self.__dict__:
            return (self._matrix @ x.unsqueeze(-1)).squeeze(-1)
        u, pulled = self._transposed_graph
        return vjp(pulled, (u,), x)[0]

    def _rmv(self, x: Tensor) -> Tensor:
        x = self._covering(x)
        if "_matrix" in self.__dict__:
            return (self._matrix.mT @ x.unsqueeze(-1)).squeeze(-1)
        at, y = self._graph
        return vjp(y, (at,), x)[0]

    def _covering(self, v: Tensor) -> Tensor:
        """V with the operator's batch axes written out."""
        batch = torch.broadcast_shapes(self.batch_shape, v.shape[:-1])
        if batch[len(batch) - len(self.batch_shape) :] != self.batch_shape:
            raise ShapeError(
                f"vector batch {tuple(v.shape[:-1])}: the Jacobian was taken at x {tuple(self.x.shape)}; expand x to "
                "the whole batch"
            )
        return v.expand(*batch, v.shape[-1])


def vjp(y: Tensor, inputs: Sequence[Tensor], u: Tensor, create_graph: bool = False) -> tuple[Tensor, ...]:
    """(∂y/∂input)ᵀ u for each input; leading axes that u has and y has not are carried through, in one sweep.

    The graph is kept.
    """
    leading = u.shape[: u.ndim - y.ndim]
    if u.numel() == 0 or not y.requires_grad:
        return tuple(t.new_zeros(*leading, *t.shape) for t in inputs)
    if not leading:
        return torch.autograd.grad(
            y, inputs, u, retain_graph=True, create_graph=create_graph, allow_unused=True, materialize_grads=True
        )
    cotangents = u.reshape(-1, *y.shape)
    chunk = max(1, _AT_ONCE // max(1, y.numel()))
    parts = [_together(y, inputs, c, create_graph) for c in cotangents.split(chunk)]
    return tuple(
        torch.cat(p).reshape(*leading, *t.shape) for p, t in zip(zip(*parts, strict=True), inputs, strict=True)
    )


def _together(y: Tensor, inputs: Sequence[Tensor], cotangents: Tensor, create_graph: bool) -> tuple[Tensor, ...]:
    try:
        return torch.autograd.grad(
            y,
            inputs,
            cotangents,
            retain_graph=True,
            create_graph=create_graph,
            is_grads_batched=True,
            allow_unused=True,
            materialize_grads=True,
        )
    except RuntimeError:  # an operation of y, such as a solve, that cannot be vectorised: one cotangent after the other
        rows = [vjp(y, inputs, c, create_graph) for c in cotangents]
        return tuple(torch.stack(r) for r in zip(*rows, strict=True))
