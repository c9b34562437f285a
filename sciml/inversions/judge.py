"""How good an inversion is: against the truth where it is known, and against the measurements in any case."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.phase_metrics import centred_correlation, nearest_phase, volume_fraction_error, wrong_pixels
from pde_benchmarks.problem import FieldSpec, Phases
from sciml.inference import Diagnostics, ErrorFraction
from sciml.inverse import FieldPrior, InverseResult
from sciml.inversions.case import Case
from sciml.report import significant

__all__ = ["LEVEL", "averages", "most_frequent_phase", "numbers", "verdict"]

LEVEL = 0.9
FIXED = 1e-6  # points that vary by less, relative to the largest value, are given by the boundary condition
FACTOR = 1.5  # re-simulated misfits beyond this many times the surrogate's contradict it
SIGMAS = 3.0
POOR = 0.02  # share of the draws that importance weights leave


def numbers(prior: FieldPrior, case: Case, result: InverseResult) -> dict[str, Tensor]:
    """Everything that can be measured of an inversion, one number an observation ``(B,)`` each.

    ``FIELD.relative_l2`` is the error of the posterior mean, ``map_relative_l2`` that of the most probable input,
    ``resimulated_relative_l2`` that of its re-simulation; ``wrong_pixels`` and ``volume_fraction_error`` are of the
    phase that most draws have; ``noise_misfit`` is what misfits would be if noise alone were left, ``surrogate_error``
    the surrogate's own relative error as it was measured on held-out inputs.
    """
    problem, found = prior.problem, dict[str, Tensor]()
    if case.truth is not None:
        for spec in (*problem.inputs, *problem.outputs):
            errors = _against(spec, case.truth[spec.name], result)
            found |= {f"{spec.name}.{key}": value for key, value in errors.items()}
    observation = case.observation
    std = torch.where(observation.observed, observation.std, 0)
    found |= {
        "surrogate_misfit": result.surrogate_misfit,
        "resimulated_misfit": result.resimulated_misfit,
        "noise_misfit": std.norm(dim=-1) / observation.filled.norm(dim=-1),
        "resimulated_chi_square": result.resimulated_chi_square,
    }
    if isinstance(prior.model_error, ErrorFraction):
        found["surrogate_error"] = torch.full_like(result.surrogate_misfit, prior.model_error.fraction)
    if result.inference.map is not None:
        found["minima"] = result.inference.map.distinct
    found |= _diagnosed(result.inference.diagnostics)
    return {name: values.double().cpu() for name, values in found.items()}


def averages(found: dict[str, Tensor]) -> dict[str, float]:
    """Means over the observations."""
    return {name: values.mean().item() for name, values in found.items()}


def verdict(case: Case, found: dict[str, Tensor], row: int = 0) -> str:
    """Whether the re-simulation confirms what the surrogate says, and whether Laplace's error bars hold, in words."""
    return _judged(case, found, row) + _doubted(found, row)


def _doubted(found: dict[str, Tensor], row: int) -> str:
    if "importance" not in found or found["importance"][row].item() >= POOR:
        return ""
    share = significant(found["importance"][row].item())
    return (
        f" The posterior is far from the Gaussian that Laplace's error bars stand for ({share} of the draws are left "
        "by importance weights): use --method hmc."
    )


def _judged(case: Case, found: dict[str, Tensor], row: int) -> str:
    again, own, noise, chi_square = (
        found[name][row].item()
        for name in ("resimulated_misfit", "surrogate_misfit", "noise_misfit", "resimulated_chi_square")
    )
    sensors = int(case.observation.observed[row].sum())
    likely = 1 + SIGMAS * (2 / sensors) ** 0.5
    misfits = f"{significant(again)} re-simulated, {significant(own)} by the surrogate, {significant(noise)} of noise"
    if chi_square <= likely:
        return (
            "The re-simulation confirms the result: the most probable input explains the measurements to their noise "
            f"(misfit {misfits}; chi-square {significant(chi_square)})."
        )
    beyond = f"misfit {misfits}; chi-square {significant(chi_square)} where at most {significant(likely)} is likely"
    if again > FACTOR * own:
        return (
            f"The re-simulation contradicts the surrogate ({beyond}): the answer is further off than the surrogate "
            "believes. Train longer, and trust the error bars less until the two agree."
        )
    error = found["surrogate_error"][row].item() if "surrogate_error" in found else 0.0
    if error > noise:
        return (
            f"The measurements are not explained to their noise ({beyond}): the surrogate's own error, "
            f"{significant(error)}, is larger than the noise. Train longer."
        )
    return (
        f"The measurements are not explained to their noise ({beyond}): the noise may be larger than stated, or the "
        "input unlike those that the learner was trained on."
    )


def most_frequent_phase(draws: Tensor, phases: tuple[float, ...]) -> Tensor:
    """The value that most draws ``(B, k, ...)`` have, point by point: ``(B, ...)``."""
    nearest = nearest_phase(draws, phases)
    counts = torch.stack([(nearest == index).sum(1) for index in range(len(phases))])
    return draws.new_tensor(phases)[counts.argmax(0)]


def _against(spec: FieldSpec, truth: Tensor, result: InverseResult) -> dict[str, Tensor]:
    """Errors of one field."""
    decided = spec.name in result.decided
    best = (result.decided if decided else result.resimulated)[spec.name]
    mean = result.mean[spec.name]
    found = {"relative_l2": relative_l2(mean, truth)}
    found["map_relative_l2" if decided else "resimulated_relative_l2"] = relative_l2(best, truth)
    if isinstance(spec.kind, Phases):
        phases = spec.kind.values
        guess = best if result.samples is None else most_frequent_phase(result.samples[spec.name], phases)
        found["wrong_pixels"] = wrong_pixels(guess, truth, phases)
        found["volume_fraction_error"] = volume_fraction_error(guess, truth, phases)
        found["centred_correlation"] = centred_correlation(mean, truth)
    if result.samples is not None:
        found["coverage_90"] = _coverage(spec, truth, result)
    return found


def _coverage(spec: FieldSpec, truth: Tensor, result: InverseResult) -> Tensor:
    """Share of the points at which the truth lies in the interval; points with a boundary value do not count."""
    low, high = (end[spec.name].double() for end in result.intervals(LEVEL))
    inside = ((low <= truth) & (truth <= high)).double().flatten(1)
    if isinstance(spec.kind, Phases):
        return inside.mean(1)
    scale = truth.abs().flatten(1).amax(1, keepdim=True)
    free = (result.std[spec.name].double().flatten(1) > FIXED * scale).double()
    return (inside * free).sum(1) / free.sum(1)


def _diagnosed(diagnostics: Diagnostics) -> dict[str, Tensor]:
    """The worst coordinate, the mean over chains."""
    found = {}
    if diagnostics.r_hat is not None:
        found["r_hat"] = diagnostics.r_hat.amax(-1)
    if diagnostics.ess is not None:
        found["ess"] = diagnostics.ess.amin(-1)
    if diagnostics.acceptance is not None:
        found["acceptance"] = diagnostics.acceptance.mean(-1)
    if diagnostics.divergences is not None:
        found["divergences"] = diagnostics.divergences.sum(-1)
    if diagnostics.importance is not None:
        found["importance"] = diagnostics.importance
    return found
