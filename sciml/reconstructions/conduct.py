"""Carry a reconstruction through: the prior's weight, the reconstruction, and classical ones beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.imaging.forward_operators import LinearForwardOperator
from sciml.errors import ConfigurationError
from sciml.experiments import Watcher
from sciml.plug_and_play import (
    ADMM,
    Backtracking,
    DataFidelity,
    DiscrepancyChoice,
    Method,
    PreimageDescent,
    Prior,
    ProximalGradient,
    Reconstruction,
    discrepancy_weight,
    reconstruct,
)
from sciml.reconstructions.case import ReconstructionCase
from sciml.reconstructions.choices import method_of, strengthened
from sciml.reconstructions.classical import CLASSICAL, SMOOTH
from sciml.reconstructions.prior_of_run import TrainedPrior

__all__ = ["Answer", "Beside", "Wishes", "carry_out"]

_TRIALS, _CLASSICAL_TRIALS, _FIT = 8, 16, 0.03
_QUICK = 1e-3, 60  # tolerance and steps of trials
_SPAN = 100.0  # weights within this factor of the most probable one are tried


@dataclass(frozen=True)
class Wishes:
    """How data are to be reconstructed.

    Parameters
    ----------
    method
        A name of `METHODS`.
    settings
        Of the method.
    weight
        Of the prior; None for the discrepancy principle.
    strength
        See `strengthened`.
    """

    method: str = "proximal-gradient"
    settings: Mapping[str, Any] = field(default_factory=dict)
    weight: float | None = None
    strength: str = "exact"


@dataclass(frozen=True)
class Beside:
    """A reconstruction without learning: its fields ``(B, channels, *grid)``, and its weight ``(B,)`` if it has one."""

    x: Tensor
    weight: Tensor | None


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes
    ----------
    result
        The reconstruction with its record.
    weight
        Of the prior, ``(B,)``.
    beside
        Reconstructions without learning, by name.
    remarks
        What did not go as it should, one sentence each.
    """

    result: Reconstruction
    weight: Tensor
    beside: dict[str, Beside]
    remarks: list[str]


@torch.no_grad()
def carry_out(case: ReconstructionCase, prior: TrainedPrior, wishes: Wishes, watcher: Watcher) -> Answer:
    """Reconstruct a case; a sample that has not converged keeps its last good iterate, and its status says so.

    Raises
    ------
    ConfigurationError
        If neither noise nor weight is known, or method, strength and operator do not fit each other.
    SolveError
        If the forward operator fails where no step can be shortened.
    """
    method = method_of(wishes.method, case.operator, wishes.settings)
    chosen = strengthened(prior.network, wishes.strength)
    if wishes.weight is None and case.sigma is None:
        raise ConfigurationError(
            "the noise of the data is not known: give it by --noise, or the prior's weight by --weight."
        )
    if wishes.weight is not None and not 0 < wishes.weight < float("inf"):
        raise ConfigurationError(f"weight = {wishes.weight}: the prior's weight is a positive number, or auto.")
    fidelity, remarks = case.fidelity, list[str]()
    beside = _beside(case, prior, remarks, watcher)
    # Which minimum is found depends on the start where the operator is not linear: the smooth one is a good one.
    smooth = None if fidelity.convex or SMOOTH not in beside else beside[SMOOTH].x
    start = smooth
    if wishes.weight is None:
        choice = _weight(case, chosen, method, prior.map_weight, smooth, remarks, watcher)
        weight = choice.weight
        # Steps with inner minimisations are dear: they begin near the end.
        start = choice.x if isinstance(method, ProximalGradient | Backtracking | PreimageDescent) else smooth
    else:
        weight = case.data.new_full((len(case.data),), wishes.weight)
    found = ", ".join(f"{value:.3g}" for value in weight.tolist())
    watcher.say(f"{wishes.method} with weight {found} of the prior: this may take a minute or two.")
    result = reconstruct(fidelity, chosen, weight, method, start=start, throw=False)
    return Answer(result, weight, beside, remarks)


def _weight(
    case: ReconstructionCase, prior: Prior, method: Method, likely: float, smooth: Tensor | None, remarks: list[str],
    watcher: Watcher,
) -> DiscrepancyChoice:  # fmt: skip
    """By the discrepancy principle, from quick reconstructions without inner minimisations."""
    fidelity, quick = case.fidelity, _quick(case, method)
    lowest = likely / _SPAN
    if fidelity.lipschitz is not None and isinstance(method, ProximalGradient) and not _has_multiples(prior):
        # Without multiples of the prior the step is 1/weight, which the theorem bounds.
        lowest = max(lowest, 1.02 * fidelity.lipschitz)
    highest = max(likely, lowest) * _SPAN

    def solve(weight: Tensor, start: Tensor) -> Tensor:
        return reconstruct(fidelity, prior, weight, quick, start=start if smooth is None else smooth, throw=False).x

    choice = _searched(solve, fidelity, (lowest, highest), _TRIALS, "weight of the prior", watcher)
    if not bool(choice.reached.all()):
        found = ", ".join(f"{value:.3g}" for value in choice.discrepancy.tolist())
        remarks.append(
            f"No weight of the prior in [{lowest:.3g}, {highest:.3g}] fits the data to their noise: the nearest "
            f"deviates by {found} times as much."
        )
    return choice


def _quick(case: ReconstructionCase, method: Method) -> Method:
    """Without inner minimisations, and ended early."""
    if isinstance(method, PreimageDescent):
        return PreimageDescent(*_QUICK)
    return ADMM(*_QUICK) if isinstance(case.operator, LinearForwardOperator) else Backtracking(*_QUICK)


def _beside(case: ReconstructionCase, prior: TrainedPrior, remarks: list[str], watcher: Watcher) -> dict[str, Beside]:
    """Formulas, and classical regularisation with the weight that the same principle chooses."""
    found = {name: Beside(x, None) for name, x in case.problem.direct(case.operator, case.data).items()}
    if case.sigma is None:
        remarks.append("Without the noise of the data there is no weight for Tikhonov and total variation.")
        return found
    fidelity = case.fidelity
    trials = _CLASSICAL_TRIALS if fidelity.convex else _TRIALS
    for name, kind in CLASSICAL.items():
        classical = kind(fidelity, prior.problem.peak)
        limits = classical.lowest, classical.highest
        choice = _searched(classical.solve, fidelity, limits, trials, name, watcher)
        found[name] = Beside(choice.x, choice.weight)
        if not bool(choice.reached.all()):
            remarks.append(f"{name}: no weight fits the data to their noise; the nearest was taken.")
    return found


def _searched(
    solve: Callable[[Tensor, Tensor], Tensor],
    fidelity: DataFidelity,
    limits: tuple[float, float],
    trials: int,
    title: str,
    watcher: Watcher,
) -> DiscrepancyChoice:
    """The weight at which ``solve(weight, start)`` fits the data to their noise; trials follow each other."""
    done, last = 0, fidelity.first_guess()
    with watcher.bar(title) as advance:

        def following(weight: Tensor) -> Tensor:
            nonlocal done, last
            last = solve(weight, last)
            done += 1
            advance(min(1.0, done / trials), f"trial {done}")
            return last

        return discrepancy_weight(following, fidelity, *limits, tolerance=_FIT, max_trials=trials, throw=False)


def _has_multiples(prior: Prior) -> bool:
    try:
        prior.scaled(0.5)
    except ConfigurationError:
        return False
    return True
