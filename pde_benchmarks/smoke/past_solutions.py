"""A start value from the solutions of earlier steps: the best of their span in the energy norm."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from solvers import LinearOperator

__all__ = ["PastSolutions"]


class PastSolutions:
    """The A-orthogonal projection of the next solution on the last ones (Fischer 1998), per system.

    With A-orthonormal s_i it is x₀ = Σ ⟨b, s_i⟩ s_i, one inner product each, since ⟨A x, s_i⟩ = ⟨b, s_i⟩.

    Parameters
    ----------
    count
        How many are kept; 0: none, and the start value is zero.

    Examples
    --------
    >>> import torch
    >>> from solvers import poisson_operator
    >>> A, past = poisson_operator((4,)), PastSolutions(2)
    >>> x = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    >>> past.remember(x, A)
    >>> torch.allclose(past.guess(A.mv(2 * x)), 2 * x)
    True
    """

    def __init__(self, count: int = 6) -> None:
        #: A-orthonormal ``(batch, n)``, and their products with A.
        self.basis: deque[tuple[Tensor, Tensor]] = deque(maxlen=count)

    def guess(self, b: Tensor) -> Tensor:
        """x₀ for right-hand sides ``(batch, n)``."""
        x = torch.zeros_like(b)
        for s, _ in self.basis:
            x.addcmul_((b * s).sum(-1, keepdim=True), s)
        return x

    def remember(self, x: Tensor, A: LinearOperator) -> None:
        """Add the direction that solutions ``(batch, n)`` have beside the kept ones; zero where there is none."""
        if self.basis.maxlen == 0:
            return
        s, As = x.clone(), A.mv(x)
        size = (s * As).sum(-1, keepdim=True)
        for past, product in self.basis:
            component = (As * past).sum(-1, keepdim=True)
            s.addcmul_(component, past, value=-1)
            As = As.addcmul(component, product, value=-1)
        square = (s * As).sum(-1, keepdim=True)
        # What is left of a solution within the span is rounding: a direction that would be noise.
        new = square > 1e3 * torch.finfo(x.dtype).eps * size
        scale = torch.where(new, square.clamp(min=torch.finfo(x.dtype).tiny).rsqrt(), 0)
        if bool(new.any()):
            self.basis.append((s * scale, As * scale))

    def clear(self) -> None:
        """Forget everything: for another operator."""
        self.basis.clear()

    def tensors(self) -> list[Tensor]:
        """All that is remembered, for a checkpoint."""
        return [tensor for pair in self.basis for tensor in pair]

    def restore(self, tensors: list[Tensor]) -> None:
        """Remember what `tensors` returned."""
        self.basis.clear()
        self.basis.extend(zip(tensors[::2], tensors[1::2], strict=True))
