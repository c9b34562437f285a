"""The right-hand side as the solver sees it: on flat groups of states, counted and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from sciml.learners.neural_ode.errors import IntegrationInputError

__all__ = ["Counter", "Dynamics", "Field", "Integrand", "RowField", "ScalarTime", "refuse_random_layers"]

Dynamics = Callable[..., Tensor]


class Integrand(Protocol):
    """A quantity integrated in time along with the state."""

    @property
    def name(self) -> str:
        """Key of the integral in `ODESolution.integrals`."""
        ...

    def noise(self, z0: Tensor) -> Tensor:
        """Return what stays fixed during one solve, one row per sample, ``(B, ...)``; may have no columns."""
        ...

    def rate(self, f: Callable[[Tensor, Tensor], Tensor], t: Tensor, z: Tensor, dz: Tensor, noise: Tensor) -> Tensor:
        """Return the rate of the integral, ``(B,)``, at times ``(B,)``, states and slopes ``(B, ...)``."""
        ...


class RowField(Protocol):
    """What the integrator needs of a right-hand side on rows."""

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the slopes of rows ``(G, n)`` at times ``(G,)``."""
        ...

    def size(self, x: Tensor) -> int:
        """Return how many leading entries of a row control the step size."""
        ...

    def take(self, rows: Tensor) -> RowField:
        """Return the field of some of the rows."""
        ...


class ScalarTime:
    """Let a network written for one scalar time run with a time per sample.

    Parameters
    ----------
    f
        ``f(t, z)`` with ``t`` a scalar tensor and ``z`` a batch ``(B, ...)``.

    Notes
    -----
    With shared step sizes all times are one and `f` is called once; with step sizes per sample it is mapped over the
    samples by `torch.func.vmap`, which is slower than a network that takes times ``(B,)``.

    Examples
    --------
    >>> growth = ScalarTime(lambda t, z: z * t)
    >>> growth(torch.tensor([1.0, 2.0]), torch.ones(2, 1)).flatten()
    tensor([1., 2.])
    """

    def __init__(self, f: Dynamics) -> None:
        self.f = f

    def __call__(self, t: Tensor, z: Tensor, *args: Tensor) -> Tensor:
        """Return the slopes ``(B, ...)`` at times ``(B,)``."""
        if t.stride(0) == 0 or len(t) == 1:  # one time, expanded
            return self.f(t[0], z, *args)
        return torch.func.vmap(lambda s, row: self.f(s, row[None], *args)[0])(t, z)

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the network inside."""
        return list(self.f.parameters()) if isinstance(self.f, nn.Module) else []


@dataclass
class Counter:
    """Calls of the right-hand side."""

    calls: int = 0


@dataclass(frozen=True)
class Field:
    """The right-hand side on states ``(G, n)`` at times ``(G,)``.

    With a step size per sample a row is a sample; with shared step sizes there is one row, the whole batch.
    A row holds the state first and then the integrals.

    Parameters
    ----------
    f
        ``f(t, z, *sample_args, *args)`` with ``t`` ``(B,)`` of the dtype of ``z`` and ``z`` ``(B, *shape)``.
    shape
        Shape of the state of one sample.
    samples
        B where the batch is one row; None where a row is a sample.
    args, sample_args
        Further arguments: shared by the samples; one row per sample.
    integrands, noises
        What is integrated along, and its fixed noise, one row per sample.
    """

    f: Dynamics
    shape: tuple[int, ...]
    samples: int | None
    args: tuple[object, ...] = ()
    sample_args: tuple[Tensor, ...] = ()
    integrands: tuple[Integrand, ...] = ()
    noises: tuple[Tensor, ...] = ()
    counter: Counter = field(default_factory=Counter)

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the slopes ``(G, n)``; ``t`` has the dtype of ``x``."""
        self.counter.calls += 1
        if self.samples is not None:
            t = t.expand(self.samples)
        z = self.state(x)
        dz = self.f(t, z, *self.sample_args, *self.args)
        if dz.shape != z.shape or dz.dtype != z.dtype:
            raise IntegrationInputError(
                f"the right-hand side returned {tuple(dz.shape)} {dz.dtype} for states {tuple(z.shape)} {z.dtype}; "
                "expected the shape and the dtype of the state (with a time per sample, t has shape (B,): "
                "wrap a network of a scalar time in ScalarTime; rows of a tensor per sample belong in sample_args)."
            )
        if not self.integrands:
            return dz if dz.shape == x.shape else dz.reshape(x.shape)
        rates = [
            integrand.rate(self.at_samples, t, z, dz, noise)
            for integrand, noise in zip(self.integrands, self.noises, strict=True)
        ]
        return self.joined(dz, torch.stack(rates, dim=1))

    def at_samples(self, t: Tensor, z: Tensor) -> Tensor:
        """Evaluate the right-hand side itself on ``(B, *shape)``; integrands call it."""
        self.counter.calls += 1
        return self.f(t, z, *self.sample_args, *self.args)

    def state(self, x: Tensor) -> Tensor:
        """Return the states ``(B, *shape)`` in rows ``(G, n)``."""
        if self.integrands:
            x = x[:, : self.size(x)]
        return x if self.samples is None and len(self.shape) == 1 else x.reshape(-1, *self.shape)

    def integrals(self, x: Tensor) -> Tensor:
        """Return the integrals ``(B, number of integrands)`` in rows ``(G, n)``."""
        return x[:, self.size(x) :].reshape(-1, len(self.integrands))

    def joined(self, z: Tensor, integrals: Tensor) -> Tensor:
        """Return rows ``(G, n)`` from states ``(B, *shape)`` and integrals ``(B, number of integrands)``."""
        rows = z.shape[0] if self.samples is None else 1
        if not self.integrands:
            return z.reshape(rows, -1)
        return torch.cat([z.reshape(rows, -1), integrals.reshape(rows, -1)], dim=1)

    def size(self, x: Tensor) -> int:
        """Number of entries of a row that belong to the state; they alone control the step size."""
        return x.shape[1] - len(self.integrands) * (self.samples or 1)

    def take(self, rows: Tensor) -> Field:
        """Return the field of some of the samples."""
        return replace(
            self,
            sample_args=tuple(arg[rows] for arg in self.sample_args),
            noises=tuple(noise[rows] for noise in self.noises),
        )

    def per_sample(self) -> Field:
        """Return the same field with a row per sample."""
        return replace(self, samples=None)

    def without_integrals(self) -> Field:
        """Return the same field for states alone."""
        return replace(self, integrands=(), noises=())


def refuse_random_layers(f: Dynamics) -> None:
    """Raise if the network changes between two calls with the same state.

    Raises
    ------
    IntegrationInputError
        If it has batch normalisation or dropout in training mode.
    """
    if not isinstance(f, nn.Module):
        return
    for name, module in f.named_modules():
        if not module.training:
            continue
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise IntegrationInputError(
                f"{name or 'the right-hand side'} ({type(module).__name__}) is in training mode: its statistics differ "
                "at every stage, so the solution depends on the solver. Use LayerNorm or GroupNorm, or call .eval()."
            )
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            raise IntegrationInputError(
                f"{name or 'the right-hand side'} ({type(module).__name__}) draws a new mask at every stage, so no "
                "step is accurate. Move it outside of the right-hand side, or call .eval()."
            )
