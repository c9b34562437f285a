"""Networks some of whose weights must not be negative."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ConstrainedNetwork"]


class ConstrainedNetwork(nn.Module):
    """A network that is convex only while some of its weights are not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_post_hook(_project_loaded)

    @abstractmethod
    def constrained(self) -> list[Tensor]:
        """The weights that must not be negative."""

    @property
    def constrained_names(self) -> list[str]:
        """Names of the parameters that must not be negative."""
        owned = {id(weight) for weight in self.constrained()}
        return [name for name, weight in self.named_parameters() if id(weight) in owned]

    @torch.no_grad()
    def project_(self) -> None:
        """Set negative weights to zero where convexity forbids them; call it after each step of the optimiser."""
        for weight in self.constrained():
            weight.clamp_(min=0)


def _project_loaded(network: nn.Module, _: Any) -> None:
    """Weights from elsewhere may be negative: they would make the potential non-convex."""
    assert isinstance(network, ConstrainedNetwork)
    negative = sum(int((weight < 0).sum()) for weight in network.constrained())
    if negative:
        warnings.warn(
            f"{negative} loaded weights are negative where convexity needs non-negative ones: set to zero. The network "
            "is convex now, but not the one that was saved.",
            stacklevel=2,
        )
        network.project_()
