"""Training of a graph network for a budget: Adam, a cosine of learning rates, the best weights on held-out graphs."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

__all__ = ["Budget", "ProcessorSeconds", "Rates", "Steps", "one_thread", "train", "validation_error"]

_WARM_UP, _CLIP, _DECAY = 0.05, 1.0, 1e-4
#: How often weights are looked at on the validation graphs.
_LOOKS = 12


class Budget(Protocol):
    """How long a training may last."""

    def spent(self) -> float:
        """The share that is gone, 1 or more at the end."""

    def step(self) -> None:
        """One step was made."""

    def part(self, share: float) -> Self:
        """A budget that begins now with a share of the whole."""

    def rest(self) -> Self:
        """A budget that begins now with what is left of the whole."""


@dataclass
class ProcessorSeconds:
    """Seconds of processor time of this process, from now."""

    seconds: float
    start: float = field(default_factory=time.process_time)

    def spent(self) -> float:
        return (time.process_time() - self.start) / self.seconds

    def step(self) -> None:
        """Time passes by itself."""

    def part(self, share: float) -> ProcessorSeconds:
        return ProcessorSeconds(share * self.seconds)

    def rest(self) -> ProcessorSeconds:
        return ProcessorSeconds(max(self.seconds * (1 - self.spent()), 1e-9))


@dataclass
class Steps:
    """A number of steps: the same result on every machine."""

    steps: int
    made: int = 0
    whole: Steps | None = None

    def spent(self) -> float:
        return self.made / self.steps

    def step(self) -> None:
        self.made += 1
        if self.whole is not None:
            self.whole.step()

    def part(self, share: float) -> Steps:
        return Steps(max(1, round(share * self.steps)), whole=self)

    def rest(self) -> Steps:
        return Steps(max(1, self.steps - self.made), whole=self)


@dataclass(frozen=True)
class Rates:
    """Largest learning rate, and graphs a step."""

    learning_rate: float
    batch: int


def train(
    network: nn.Module,
    training: Sequence[Any],
    validation: Sequence[Any],
    budget: Budget,
    rates: Rates,
    generator: torch.Generator,
) -> list[float]:
    """Train in place until the budget is spent, keep the best weights on the validation graphs, return the losses."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rates.learning_rate, weight_decay=_DECAY)
    losses: list[float] = []
    best, kept, looks = validation_error(network, validation), copy.deepcopy(network.state_dict()), 0
    batches = _batches(training, rates.batch, generator)
    while (spent := budget.spent()) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rates.learning_rate * _schedule(spent)
        loss = _loss(network.train(), next(batches), "weight")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
        losses.append(loss.item())
        budget.step()
        if budget.spent() >= (looks + 1) / _LOOKS:
            looks = int(budget.spent() * _LOOKS)
            error = validation_error(network, validation)
            if error < best:
                best, kept = error, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return losses


def validation_error(network: nn.Module, graphs: Sequence[Any]) -> float:
    """Mean over fields of the RRMSE; infinite if it is not a number."""
    network.eval()
    with torch.no_grad():
        squares = torch.stack([_squares(network, Batch.from_data_list([graph]), "unit")[0] for graph in graphs])
    error = squares.mean(0).sqrt().mean().item()
    return error if math.isfinite(error) else math.inf


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on one thread, so that processor time is what a user waits for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _batches(graphs: Sequence[Any], size: int, generator: torch.Generator) -> Iterator[Any]:
    """Endless: every graph once an epoch."""
    while True:
        order = torch.randperm(len(graphs), generator=generator).tolist()
        for first in range(0, len(order), size):
            yield Batch.from_data_list([graphs[i] for i in order[first : first + size]])


def _schedule(spent: float) -> float:
    """A linear rise, then half a cosine down to zero."""
    if spent < _WARM_UP:
        return (0.02 + spent) / (0.02 + _WARM_UP)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (spent - _WARM_UP) / (1 - _WARM_UP))))


def _loss(network: nn.Module, graph: Any, weight: str) -> Tensor:
    return _squares(network, graph, weight).mean()


def _squares(network: nn.Module, graph: Any, weight: str) -> Tensor:
    """Weighted mean squares ``(graphs, fields)`` of the errors at the nodes of each graph."""
    squares = (network(graph) - graph.y).square()
    counts = graph.counts[:, 0]
    number = torch.repeat_interleave(torch.arange(len(counts)), counts)
    total = squares.new_zeros(len(counts), squares.shape[1]).index_add_(0, number, squares)
    result: Tensor = total / counts[:, None] * graph[weight]
    return result
