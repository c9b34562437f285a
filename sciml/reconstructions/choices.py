"""What users choose by name: the method, and how the prior's strength is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pde_benchmarks.imaging.forward_operators import ForwardOperator, LinearForwardOperator
from pde_benchmarks.registry import configure, find
from sciml.errors import ConfigurationError
from sciml.plug_and_play import (
    ADMM,
    AcceleratedProximalGradient,
    Backtracking,
    DouglasRachford,
    LearnedPrior,
    Method,
    PreimageDescent,
    Prior,
    ProximalNetwork,
    RelaxedPrior,
    RescaledPrior,
)
from sciml.reconstructions.prior_of_run import TrainedPrior

__all__ = ["METHODS", "at_chosen_noise", "method_of", "strengthened", "usual_method"]

METHODS: dict[str, type[Method]] = {
    "proximal-gradient": AcceleratedProximalGradient,
    "admm": ADMM,
    "douglas-rachford": DouglasRachford,
    "preimage-descent": PreimageDescent,
}


def usual_method(operator: ForwardOperator, strength: str = "exact") -> str:
    """The name of the method that serves best; a nonlinear operator's gradients are too dear for inner iterations.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators import DarcyPressure
    >>> usual_method(DarcyPressure(resolution=8)), usual_method(DarcyPressure(resolution=8), "own")
    ('preimage-descent', 'proximal-gradient')
    """
    descends = strength == "exact" and not isinstance(operator, LinearForwardOperator)
    return "preimage-descent" if descends else "proximal-gradient"


def method_of(name: str, operator: ForwardOperator, settings: Mapping[str, Any] | None = None) -> Method:
    """A method by name; for nonlinear operators the proximal gradient method finds its steps itself.

    Raises
    ------
    ConfigurationError
        If the name or a setting is unknown, or a setting out of range.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators import DarcyPressure
    >>> method_of("proximal-gradient", DarcyPressure(resolution=8), {"tolerance": 1e-4}).tolerance
    0.0001
    """
    kind = find(METHODS, name, "method")
    if name == "proximal-gradient" and not isinstance(operator, LinearForwardOperator):
        kind = Backtracking
    method: Method = configure(kind, dict(settings or {}))
    return method


def at_chosen_noise(prior: TrainedPrior, strength: str) -> tuple[TrainedPrior, str]:
    """The prior at the noise level S of a strength ``noise=S``, whose multiples are exact; others stay as they are.

    Returns
    -------
    tuple
        The prior, and the strength that `strengthened` takes.

    Raises
    ------
    ConfigurationError
        If S is no number, or no level that the run was trained for.
    """
    name, _, text = strength.partition("=")
    if name != "noise":
        return prior, strength
    try:
        noise = float(text)
    except ValueError:
        raise ConfigurationError(
            f"strength {strength!r}: noise=S with a number S is expected, the noise level as a fraction of the range "
            "of the fields, as noise=0.05."
        ) from None
    return prior.at(noise), "exact"


def strengthened(network: ProximalNetwork, strength: str) -> Prior:
    """The prior of a network with one of the exact ways to change its strength.

    Parameters
    ----------
    network
        The learned proximal network.
    strength
        ``exact``: every multiple of R, each proximal operator by one convex minimisation. ``own``: the network's own R
        and no multiple of it, so that steps and penalties are bound to the weight. ``relaxed=T``, T in (0, 1]: T times
        a Moreau envelope of R. ``rescaled=S``: S² R(x/S), for fields or noise S times as large. (``noise=S`` chooses
        among the networks of a run: see `at_chosen_noise`.)

    Raises
    ------
    ConfigurationError
        If it is none of these.

    Examples
    --------
    >>> import torch
    >>> from sciml.plug_and_play import QuadraticNetwork
    >>> strengthened(QuadraticNetwork(0.5 * torch.eye(2)), "relaxed=0.5").prox(torch.tensor([[2.0, 4.0]])).x
    tensor([[1.5000, 3.0000]])
    """
    prior = LearnedPrior(network)
    name, _, text = strength.partition("=")
    if not text and name in ("exact", "own"):
        return prior if name == "exact" else RelaxedPrior(prior, 1.0)
    kinds: dict[str, type[RelaxedPrior] | type[RescaledPrior]] = {"relaxed": RelaxedPrior, "rescaled": RescaledPrior}
    if name in kinds:
        try:
            return kinds[name](prior, float(text))
        except ValueError as error:
            if isinstance(error, ConfigurationError):
                raise
    raise ConfigurationError(
        f"strength {strength!r}: exact, own, relaxed=T with T in (0, 1], rescaled=S with S > 0, or of a run that was "
        "trained for several noise levels noise=S is expected."
    )
