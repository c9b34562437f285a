"""A normalising flow as distribution of learned latents (extra `flows`)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import torch
from torch import Generator, Tensor, nn

from sciml.errors import ConfigurationError, LearnerError
from sciml.inference.limits import require_at_least, require_fraction, require_positive
from sciml.inference.priors import GaussianPrior, LatentPrior, require_latents

__all__ = ["FlowFit", "FlowHistory", "FlowPrior"]


@dataclass(frozen=True)
class FlowFit:
    """Maximum likelihood by Adam, stopped when held-out latents become less likely.

    Parameters
    ----------
    epochs, batch_size, learning_rate
        Of the optimiser.
    validation
        Fraction of the latents held out.
    patience
        Epochs without a gain on the held-out latents after which training stops; the best epoch is kept.

    Raises
    ------
    ConfigurationError
        If a value is out of its range.
    """

    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 1e-3
    validation: float = 0.15
    patience: int = 20

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size, patience=self.patience)
        require_positive(learning_rate=self.learning_rate)
        require_fraction(validation=self.validation)


@dataclass(frozen=True)
class FlowHistory:
    """Mean negative log likelihood of the held-out latents, in nats beyond the Gaussian's volume.

    ``validation[0]`` is that of the Gaussian with the same moments, ``validation[best]`` that of the flow kept.
    """

    validation: tuple[float, ...]
    best: int


class FlowPrior(LatentPrior):
    """A RealNVP flow (Dinh, Sohl-Dickstein & Bengio 2017), by the package zuko, before a `GaussianPrior`.

    Untrained it is the identity: training starts from the Gaussian with the same moments, and keeps it where nothing
    better is found.

    Parameters
    ----------
    dim
        At least 2: a coupling moves some coordinates by the others.
    transforms, hidden
        Number of couplings, and widths of their networks.
    scale_bound
        Largest |log scale| of one coupling.

    Raises
    ------
    LearnerError
        If zuko is not installed.
    ConfigurationError
        If a value is out of its range.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> prior = FlowPrior(2, transforms=2)
    >>> history = prior.fit(torch.randn(200, 2, generator=generator), generator, FlowFit(epochs=2))
    >>> z = torch.randn(5, 2, generator=generator)
    >>> torch.allclose(prior.inverse(prior(z)), z, atol=1e-5)
    True
    """

    def __init__(
        self, dim: int, transforms: int = 5, hidden: tuple[int, ...] = (64, 64), scale_bound: float = 1.0
    ) -> None:
        super().__init__(dim)
        require_at_least(1, transforms=transforms)
        require_positive(scale_bound=scale_bound)
        if dim < 2:
            raise ConfigurationError(f"dim = {dim}: couplings need at least 2; use GaussianPrior(1).")
        self.standardise = GaussianPrior(dim)
        self.couplings = _identity_couplings(dim, transforms, hidden, scale_bound)

    def fit(self, latents: Tensor, generator: Generator, config: FlowFit | None = None) -> FlowHistory:
        """Fit the moments, then the flow, to latents ``(samples, d)``.

        Raises
        ------
        LearnerError
            If the latents are not finite, fewer than eight, or of another dimension.
        """
        require_latents(latents, self.dim)
        if len(latents) < 8:
            raise LearnerError(f"latents: a flow needs at least 8 samples, found {len(latents)}; use GaussianPrior.")
        self.standardise.fit(latents)
        with torch.no_grad():
            x = self.standardise.inverse(latents.to(self.standardise.mean))
        history = _fit_density(self.couplings, self._negative_log_likelihood, x, generator, config or FlowFit())
        self.fitted.fill_(True)
        return history

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        to_base = self.couplings().transform
        x = to_base.inv(z)
        latents, log_det = self.standardise._push(x)
        return latents, log_det - to_base.log_abs_det_jacobian(x, z)

    def _pull(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = self.standardise._pull(latents)
        z, couplings_log_det = self.couplings().transform.call_and_ladj(x)
        return z, log_det + couplings_log_det

    def _negative_log_likelihood(self, x: Tensor) -> Tensor:
        return -self.couplings().log_prob(x).mean()


def _identity_couplings(dim: int, transforms: int, hidden: tuple[int, ...], scale_bound: float) -> nn.Module:
    if find_spec("zuko") is None:
        raise LearnerError('FlowPrior needs the package zuko: pip install "sciml-pde[flows]" brings it.')
    from zuko.flows import RealNVP
    from zuko.transforms import MonotonicAffineTransform

    bounded = partial(MonotonicAffineTransform, slope=math.exp(-scale_bound))
    # Smooth activations: Hamiltonian trajectories through the flow need a continuous gradient.
    flow = RealNVP(
        dim, transforms=transforms, hidden_features=hidden, activation=nn.SiLU, univariate=bounded, shapes=((), ())
    )
    for coupling in flow.transform.transforms:
        last = coupling.hyper[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return flow


def _fit_density(
    module: nn.Module, loss: Callable[[Tensor], Tensor], x: Tensor, generator: Generator, config: FlowFit
) -> FlowHistory:
    """Train in place on a random split of ``x``, and leave the weights of the best epoch."""
    order = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
    held_out = max(1, round(config.validation * len(x)))
    validation, training = x[order[:held_out]], x[order[held_out:]]
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate)
    course = [_measured(loss, validation)]
    best, weights = 0, copy.deepcopy(module.state_dict())
    for epoch in range(1, config.epochs + 1):
        shuffled = torch.randperm(len(training), generator=generator, device=generator.device).to(x.device)
        for rows in shuffled.split(config.batch_size):
            optimizer.zero_grad()
            with torch.enable_grad():
                loss(training[rows]).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
        course.append(_measured(loss, validation))
        if course[-1] < course[best]:
            best, weights = epoch, copy.deepcopy(module.state_dict())
        elif epoch - best >= config.patience or not math.isfinite(course[-1]):
            break
    module.load_state_dict(weights)
    return FlowHistory(tuple(course), best)


@torch.no_grad()
def _measured(loss: Callable[[Tensor], Tensor], x: Tensor) -> float:
    return loss(x).item()
