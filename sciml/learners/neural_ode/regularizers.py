"""Penalties on what the solver measured: global ones over all steps, local ones over one step at a random time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Generator, Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.implicit_tableau import ImplicitTableau
from sciml.learners.neural_ode.solution import ODESolution
from sciml.learners.neural_ode.solved import Method, Solved

__all__ = [
    "Aggregation",
    "CombinedRegularizer",
    "ErrorRegularizer",
    "LocalRegularizer",
    "Regularizer",
    "StiffnessRegularizer",
    "without_stiffness",
]

Aggregation = Literal["sum", "mean", "max"]


class Regularizer(Protocol):
    """Anything that turns a solution into a scalar to be added to the loss."""

    def __call__(self, solution: Solved) -> Tensor:
        """Return the penalty, a scalar, averaged over the samples."""
        ...


@dataclass(frozen=True)
class ErrorRegularizer:
    """Local errors of the accepted steps, E_j^power |h_j| (ERNODE: Pal et al., ICML 2021, arXiv 2105.03918).

    E_j is in units of the tolerance, so a good weight depends on the tolerance, on the time span, and on the
    aggregation (from 3 to 0.3 for the sum, 100 to 10 for the mean, over a time span of 1 at 1e-6).

    Parameters
    ----------
    aggregation
        Sum (the paper), mean (its code) or maximum over the accepted steps of a sample.
    power
        1 or 2.

    Examples
    --------
    >>> from sciml.learners.neural_ode import odesolve
    >>> rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    >>> z0, t = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 1.0])
    >>> solution = odesolve(lambda t, z: -rate * z, z0, t)
    >>> ErrorRegularizer("sum")(solution).backward()
    >>> bool(rate.grad > 0)
    True
    """

    aggregation: Aggregation = "sum"
    power: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        _check_choice("aggregation", self.aggregation, ("sum", "mean", "max"))
        _check_choice("power", self.power, (1, 2))

    def __call__(self, solution: Solved) -> Tensor:
        """Return the penalty.

        Raises
        ------
        IntegrationInputError
            If errors were not recorded, or the adjoint is continuous.
        """
        error = _recorded(solution, "error", solution.stats.error)
        return _aggregated(error**self.power * solution.stats.h.abs(), solution, self.aggregation)


@dataclass(frozen=True)
class StiffnessRegularizer:
    """Stiffness of the accepted steps, S_j / ρ, with ρ the method's limit of stability (SRNODE: Pal et al. 2021).

    Parameters
    ----------
    aggregation
        Sum, mean or maximum over the accepted steps of a sample.
    """

    aggregation: Aggregation = "mean"

    def __post_init__(self) -> None:
        _check_choice("aggregation", self.aggregation, ("sum", "mean", "max"))

    def __call__(self, solution: Solved) -> Tensor:
        """Return the penalty.

        Raises
        ------
        IntegrationInputError
            If the stiffness was not recorded or the method has none, or the adjoint is continuous.
        """
        stiffness = _recorded(solution, "stiffness", solution.stats.stiffness)
        return _aggregated(stiffness / solution.tableau.stability_limit, solution, self.aggregation)


@dataclass(frozen=True)
class CombinedRegularizer:
    """Weighted sum of penalties.

    Parameters
    ----------
    terms
        Pairs of a weight and a regularizer.

    Examples
    --------
    >>> both = CombinedRegularizer([(1.0, ErrorRegularizer("mean")), (0.1, StiffnessRegularizer("mean"))])
    """

    terms: Sequence[tuple[float, Regularizer]]

    def __call__(self, solution: Solved) -> Tensor:
        """Return the weighted sum."""
        return torch.stack([weight * regularizer(solution) for weight, regularizer in self.terms]).sum()


@dataclass(frozen=True)
class LocalRegularizer:
    """Error E |h| or stiffness S / ρ of one accepted step, taken again from its beginning as a constant state.

    The gradient with respect to the trajectory is dropped, so memory is that of one step and any adjoint serves
    (Pal et al., ICML 2023, arXiv 2303.02262). Solve with "state" in `record`. One step costs s evaluations.

    Parameters
    ----------
    kind
        "error" or "stiffness".
    sampling
        "unbiased": the step that contains a uniformly random time. "biased": any accepted step with equal
        probability; its expectation is the global regularizer with the mean.
    generator
        Source of randomness on the CPU; None: torch's own.
    """

    kind: Literal["error", "stiffness"] = "error"
    sampling: Literal["unbiased", "biased"] = "unbiased"
    generator: Generator | None = None

    def __post_init__(self) -> None:
        _check_choice("kind", self.kind, ("error", "stiffness"))
        _check_choice("sampling", self.sampling, ("unbiased", "biased"))

    def __call__(self, solution: Solved) -> Tensor:
        """Return the penalty at a random step of every sample, averaged.

        Raises
        ------
        IntegrationInputError
            If the states at the beginnings of the steps were not recorded, or the equation is a stochastic one.
        """
        if not isinstance(solution, ODESolution):
            raise IntegrationInputError(
                f"{type(self).__name__} takes a step of an ordinary differential equation again; for a solve with "
                f"{solution.tableau.name} use ErrorRegularizer."
            )
        index = torch.multinomial(self.probabilities(solution).T.cpu(), 1, generator=self.generator)[:, 0]
        return self.at(solution, index.to(solution.ys.device)).mean()

    def probabilities(self, solution: ODESolution) -> Tensor:
        """Return the probability of every attempt to be drawn, ``(N, G)``; G is 1 with shared step sizes."""
        stats = solution.stats
        weights = stats.mask * (stats.h.abs() if self.sampling == "unbiased" else 1.0)
        if solution.dynamics.samples is not None:
            weights = weights[:, :1]
        return weights / weights.sum(dim=0)

    def at(self, solution: ODESolution, index: Tensor) -> Tensor:
        """Return the penalties for given attempts, ``(G,)`` like `index`."""
        if self.kind == "stiffness" and not solution.tableau.measures_stiffness:
            _refuse_stiffness(solution)
        step, _, _, h = solution.restarted(solution.dynamics, index, from_constant=True)
        only = replace(
            solution.estimates, error=self.kind == "error", stiffness=self.kind == "stiffness", raw_error=False
        )
        value = only.measured([step.evidence])[self.kind][0]
        if self.kind == "stiffness":
            return value / solution.tableau.stability_limit
        return value * torch.from_numpy(abs(h)).to(value)


def _aggregated(values: Tensor, solution: Solved, aggregation: Aggregation) -> Tensor:
    """Aggregate over the accepted steps of every sample, then average over the samples."""
    mask = solution.stats.mask
    counted = torch.where(mask, values, 0.0)
    if aggregation == "max":
        return counted.amax(dim=0).mean()
    total = counted.sum(dim=0)
    return (total / mask.sum(dim=0).clamp(min=1) if aggregation == "mean" else total).mean()


def _recorded(solution: Solved, name: str, values: Tensor | None) -> Tensor:
    if solution.adjoint == "continuous":
        raise IntegrationInputError(
            f'with adjoint="continuous" the recorded {name} carries no gradient, so a penalty on all steps does '
            'nothing; use LocalRegularizer, or adjoint="checkpoint".'
        )
    if values is None:
        if name == "stiffness" and not solution.tableau.measures_stiffness:
            _refuse_stiffness(solution)
        raise IntegrationInputError(f"the {name} of the steps was not recorded; solve with {name!r} in record.")
    return values


def without_stiffness(tableau: Method) -> str:
    """Return the sentence that says why a pair does not measure stiffness."""
    if isinstance(tableau, ImplicitTableau):
        return f"{tableau.name} is implicit: stiffness does not limit its steps and is not measured"
    return f"{tableau.name} has no two stages at the end of the step, so it cannot measure stiffness"


def _refuse_stiffness(solution: Solved) -> None:
    remedy = "tsit5, dopri5 or heun_euler" if isinstance(solution, ODESolution) else "ErrorRegularizer"
    raise IntegrationInputError(f"{without_stiffness(solution.tableau)}; use {remedy}.")


def _check_choice(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise IntegrationInputError(f"{name}={value!r}: unknown; expected one of {', '.join(map(repr, known))}.")
