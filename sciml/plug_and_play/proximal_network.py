"""What plug-and-play inversion asks of a learned proximal network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.func import functional_call

from sciml.errors import LearnerError

__all__ = ["ProximalNetwork", "check_network_input", "without_weights"]


class ProximalNetwork(Protocol):
    """A network that is the gradient f of a convex potential ψ, ``(B, channels, *grid)`` to the same shape."""

    def __call__(self, v: Tensor) -> Tensor:
        """f(v)."""

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v) ``(B,)`` and f(v)."""

    @property
    def strong_convexity(self) -> float:
        """A lower bound of the eigenvalues of f's Jacobian."""


def check_network_input(network: Any, v: Tensor) -> None:
    """Raise `LearnerError` unless v is real, of the network's dtype and finite in shape."""
    if not v.is_floating_point() or v.ndim < 2:
        raise LearnerError(
            f"a learned prior takes real fields (B, channels, *grid), found {v.dtype} of shape {tuple(v.shape)}: "
            "convert them with .to(torch.float32), or .float() of what was an integer image divided by its range."
        )
    weights = next(network.parameters(), None) if isinstance(network, nn.Module) else None
    if weights is not None and weights.dtype != v.dtype:
        raise LearnerError(
            f"the prior's network holds {weights.dtype}, the field is {v.dtype}: convert one of them "
            "(network.double() for certificates at the level of 1e-8)."
        )


def without_weights(network: ProximalNetwork) -> ProximalNetwork:
    """The same network, without a graph to its weights: gradients flow to what it is given alone."""
    if not isinstance(network, nn.Module):
        return network
    module = _Frozen(network)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    return _FrozenNetwork(module, weights, network.strong_convexity)


class _Frozen(nn.Module):
    """The network without a graph to its weights."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = self.network.potential_and_gradient(v)  # type: ignore[operator]
        return answer


@dataclass(frozen=True)
class _FrozenNetwork:
    module: _Frozen
    weights: dict[str, Tensor]
    strong_convexity: float

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = functional_call(self.module, self.weights, (v,))
        return answer

    def __call__(self, v: Tensor) -> Tensor:
        return self.potential_and_gradient(v)[1]
