"""One entry to all methods of inference, and the refusal of answers that cannot be relied on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Generator

from sciml.errors import ConfigurationError, InferenceError, LearnerError
from sciml.inference.chains import ChainConfig
from sciml.inference.hmc import HMCConfig, hmc
from sciml.inference.laplace import LaplaceConfig, laplace
from sciml.inference.map_estimate import MapConfig, most_probable
from sciml.inference.pcn import PCNConfig, pcn
from sciml.inference.posterior import Posterior
from sciml.inference.result import Advance, InferenceStatus, PosteriorSamples
from sciml.inference.variational import SVIConfig, svi

__all__ = ["ADVICE", "METHODS", "InferenceConfig", "infer"]

ADVICE = "throw=False returns what was found."

InferenceConfig = MapConfig | LaplaceConfig | HMCConfig | PCNConfig | SVIConfig


class Method(NamedTuple):
    """A configuration and what it configures."""

    config_type: type[InferenceConfig]
    run: Callable[[Posterior, Any, Generator, Advance | None], PosteriorSamples]


METHODS: dict[str, Method] = {
    "map": Method(MapConfig, most_probable),
    "laplace": Method(LaplaceConfig, laplace),
    "hmc": Method(HMCConfig, hmc),
    "pcn": Method(PCNConfig, pcn),
    "svi": Method(SVIConfig, svi),
}


def infer(
    posterior: Posterior,
    method: str = "hmc",
    config: InferenceConfig | None = None,
    *,
    generator: Generator,
    throw: bool = True,
    progress: Advance | None = None,
) -> PosteriorSamples:
    """Sample (or maximise) the posterior of every observation.

    Parameters
    ----------
    posterior
        What is known.
    method
        ``map``, ``laplace``, ``hmc``, ``pcn`` or ``svi``.
    config
        The method's own configuration (`MapConfig`, `LaplaceConfig`, `HMCConfig`, `PCNConfig`, `SVIConfig`); None for
        its defaults.
    generator
        Draws every random number; the same one gives the same samples.
    throw
        Refuse results that are not converged; with False they are returned, and their status tells.
    progress
        Called with the fraction that is done and a short text.

    Raises
    ------
    InferenceError
        If an observation's inference is not converged and ``throw`` is set; the error carries the result.
    LearnerError
        If the forward map is not finite at the mean of the prior.
    ConfigurationError
        If the method is unknown, or the configuration is that of another.

    Examples
    --------
    >>> import torch
    >>> from sciml.inference import Observation
    >>> observation = Observation(torch.zeros(1, 1), torch.tensor([[1.0]]), noise_std=1.0)
    >>> posterior = Posterior(lambda z: z, observation, latent_dim=1)  # N(0.5, 0.5)
    >>> result = infer(posterior, "hmc", generator=torch.Generator().manual_seed(0))
    >>> result.status[0].value, abs(result.mean().item() - 0.5) < 0.1
    ('converged', True)
    """
    if method not in METHODS:
        raise ConfigurationError(f"method = {method!r}: use one of {', '.join(METHODS)}.")
    wanted, run = METHODS[method]
    config = wanted() if config is None else config
    if not isinstance(config, wanted):
        raise ConfigurationError(f"{method} takes a {wanted.__name__}, not a {type(config).__name__}.")
    _require_finite_start(posterior)
    result = run(posterior, config, generator, progress)
    failed = [i for i, status in enumerate(result.status) if status is not InferenceStatus.CONVERGED]
    if throw and failed:
        more = f" ({len(failed)} observations in all)" if len(failed) > 1 else ""
        which = f"observation {failed[0]} of {len(result.status)}{more}"
        raise InferenceError(f"{which}: {_reason(result, failed[0], config)}", result)
    return result


def _require_finite_start(posterior: Posterior) -> None:
    values = posterior.observation.values
    centre = values.new_zeros(len(values), 1, posterior.latent_dim)
    with torch.no_grad():
        U = posterior.potential(centre)
    bad = (~U[:, 0].isfinite()).nonzero().flatten().tolist()
    if bad:
        raise LearnerError(
            f"forward map: the potential is not finite at the prior's mean for observations {bad[:8]}: "
            "check the decoder, and that the penalty is finite."
        )


def _reason(result: PosteriorSamples, index: int, config: InferenceConfig) -> str:
    status, estimate, diagnostics = result.status[index], result.map, result.diagnostics
    if not isinstance(config, ChainConfig):
        if status is InferenceStatus.DIVERGED:
            return f"not finite: give the forward map bounded outputs, or lower learning_rate. {ADVICE}"
        left = "" if estimate is None else f" (a step would still gain {_decrement(result, index):.1e} nats)"
        return f"steps ran out{left}: raise steps, or use another optimizer. {ADVICE}"
    assert diagnostics.r_hat is not None
    assert diagnostics.ess is not None
    assert diagnostics.divergences is not None
    if status is InferenceStatus.DIVERGED:
        count = int(diagnostics.divergences[index].sum())
        return f"{count} transitions diverged: raise target_acceptance (0.95) or warmup. {ADVICE}"
    r_hat, ess = diagnostics.r_hat[index], diagnostics.ess[index]
    modes = 1 if estimate is None else int(estimate.distinct[index])
    several = f"{modes} minima were found: the posterior may have several modes. " if modes > 1 else ""
    return (
        f"the chains have not mixed: R-hat {r_hat.max():.3f} (at most {config.max_r_hat} is wanted), effective sample "
        f"size {ess.min():.0f} (at least {config.min_ess:.0f} is wanted). {several}Raise warmup, draws or thin, or use "
        f"another method. {ADVICE}"
    )


def _decrement(result: PosteriorSamples, index: int) -> float:
    assert result.map is not None
    return float(result.map.decrements[index, result.map.best[index]])
