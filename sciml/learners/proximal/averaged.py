"""A proximal network that is being trained: projected before every use, with a running average of its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciml.learners.proximal.constrained import ConstrainedNetwork

__all__ = ["AveragedNetwork"]


class AveragedNetwork(nn.Module):
    """A convex network and the exponential average of its weights, which is convex, too.

    In training mode it is the network of the last step, else the average.

    Parameters
    ----------
    network
        Trained in place.
    decay
        Of the average, reached gradually: after few steps younger weights count more.
    """

    def __init__(self, network: ConstrainedNetwork, decay: float) -> None:
        super().__init__()
        self.network, self.decay = network, decay
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        for name, value in network.named_parameters():
            self.register_buffer(_buffer(name), value.detach().clone())
        self.register_load_state_dict_pre_hook(_admit)

    def forward(self, *given: Tensor) -> Tensor:
        """F(v), or whatever the network is called with."""
        if self.training:
            answer: Tensor = self.network(*given)
            return answer
        weights = {name: getattr(self, _buffer(name)) for name, _ in self.network.named_parameters()}
        averaged: Tensor = torch.func.functional_call(self.network, weights, given)
        return averaged

    @torch.no_grad()
    def advance(self) -> None:
        """Take in what the optimiser has done: make the weights admissible, then average them."""
        self.network.project_()
        count = int(self.steps)
        decay = min(self.decay, count / (count + 9)) if count else 0.0
        for name, value in self.network.named_parameters():
            getattr(self, _buffer(name)).lerp_(value, 1 - decay)
        self.steps += 1

    @torch.no_grad()
    def settle(self) -> None:
        """Give the network its averaged weights."""
        self.advance()
        for name, value in self.network.named_parameters():
            value.copy_(getattr(self, _buffer(name)))


def _admit(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Project what is loaded, as the next step would.

    A checkpoint holds the weights as the optimiser left them, perhaps negative, beside an admissible average; where the
    average is negative the file is none of ours, and the network warns.
    """
    assert isinstance(module, AveragedNetwork)
    for name in module.network.constrained_names:
        average, weight = prefix + _buffer(name), f"{prefix}network.{name}"
        if average not in state or weight not in state:
            continue
        if bool((state[average] >= 0).all()):
            state[weight] = state[weight].clamp(min=0)
        else:
            state[weight] = state[average]
            state[average] = state[average].clamp(min=0)


def _buffer(name: str) -> str:
    return "averaged_" + name.replace(".", "_")
