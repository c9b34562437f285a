"""Media of two phases from sensors: DGNO's latent inference beside a Gaussian field with the reference solver."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from parts.contenders import data_of, trained
from parts.dgno_cases import TWO_PHASE
from parts.record import at_least, at_most
from parts.training_script import Session
from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.phase_metrics import centred_correlation, wrong_pixels
from pde_benchmarks.problem import Batch
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.sensors import Sensors
from sciml.gaussian_field_prior import GaussianFieldPrior
from sciml.inference import Observation
from sciml.inverse import FieldPrior, InverseResult, invert
from sciml.learners.dgno import DGNO
from sciml.learners.dgno.inversion import DecodedFields

__all__ = ["inverse"]

FIELDS = 60
NOISE_SEED = 0
SENSORS = (20, 100, 400)
DECIBELS = (50.0, 25.0, 15.0)
HOME = (100, 25.0)
MODES = 8  # per axis, of the Gaussian field
LEVEL = 0.9
ROUNDING = 1e-6  # of single precision


@dataclass(frozen=True)
class _Scores:
    """Means over fields and noise."""

    coefficient: float
    pixels: float
    correlation: float
    solution: float
    covered: float | None
    covered_solution: float | None
    surrogate: float
    resimulated: float
    seconds: float

    @property
    def cells(self) -> list[Any]:
        percent = [100 * value for value in (self.coefficient, self.pixels)]
        rest = [100 * self.solution, _hundred(self.covered), _hundred(self.covered_solution)]
        return [*percent, self.correlation, *rest, 100 * self.surrogate, 100 * self.resimulated, self.seconds]


def inverse(session: Session) -> None:
    """Sensors and noise, by latent inference (Laplace) and by the classical prior (MAP)."""
    record, scale, work = session.record, session.scale, session.work
    data = data_of(TWO_PHASE, scale)
    problem = cast(TwoPhaseDarcy, data.problem)
    contender = TWO_PHASE.families["dgno"]["dgno, energy"]
    learners = [
        cast(DGNO, trained(TWO_PHASE, scale, "dgno, energy, full", contender, seed, data, work)[0])
        for seed in scale.seeds
    ]
    test = data.tests["held_out"].rows(slice(0, 2 if scale.small else FIELDS))
    truth = test.inputs.merged(test.outputs).to(dtype=torch.float64)
    cases = [HOME, *([] if scale.small else [(n, db) for db in DECIBELS for n in SENSORS if (n, db) != HOME])]
    columns = [
        "prior, method", "seed", "sensors", "SNR dB", "L² of a %", "wrong pixels %", "centred correlation", "L² of u %",
        "coverage of a %", "coverage of u %", "own misfit %", "re-simulated misfit %", "s per field",
    ]  # fmt: skip
    caption = (
        f"{test.count} unseen media, noise drawn for each. Coverage is that of point-wise 90 % intervals. The Gaussian "
        "field knows the true law of the media, smoothed near interfaces for its gradients; the seconds of DGNO leave "
        "out its training."
    )
    table: list[list[Any]] = []
    for sensors, decibels in cases:
        # All seeds where the bars are, one elsewhere.
        chosen = learners if (sensors, decibels) == HOME else learners[:1]
        per_seed = [_scores(DecodedFields(learner), problem, truth, sensors, decibels, "laplace") for learner in chosen]
        for seed, scores in zip(scale.seeds, per_seed, strict=False):
            table.append(["dgno, laplace", seed, sensors, decibels, *scores.cells])
        if (sensors, decibels) == HOME:
            facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": scale.budget}
            pixels = [scores.pixels for scores in per_seed]
            record.figure("inverse_two_phase.wrong_pixels.sensors100_snr25", pixels, bar=at_most(0.1), **facts)
            correlation = [scores.correlation for scores in per_seed]
            name = "inverse_two_phase.centred_correlation.sensors100_snr25"
            record.figure(name, correlation, bar=at_least(0.85), **facts)
            covered = [cast(float, scores.covered) for scores in per_seed]
            record.figure("inverse_two_phase.coverage_90", covered, bar=at_least(0.85), **facts)
            covered = [cast(float, scores.covered_solution) for scores in per_seed]
            record.figure("inverse_two_phase.coverage_90.solution", covered, **facts)
        record.table("inverse", columns, table, caption)
    prior = GaussianFieldPrior(problem, GaussianField(2.0, problem.inverse_length), modes=MODES)
    classical = _scores(prior, problem, truth, *HOME, "map")
    table.append(["Gaussian field, MAP", "", *HOME, *classical.cells])
    record.figure("inverse_two_phase.gaussian_field.wrong_pixels.sensors100_snr25", classical.pixels, unit="1")
    record.table("inverse", columns, table, caption)


def _scores(
    prior: FieldPrior, problem: TwoPhaseDarcy, truth: Batch, sensors: int, decibels: float, method: str
) -> _Scores:
    generator = torch.Generator().manual_seed(NOISE_SEED)
    places = Sensors.random(sensors, generator)
    values, std = places.measure(truth["solution"], decibels, generator)
    observation = Observation(places.points.float(), values[..., 0].float(), std[:, None].float())
    began = time.perf_counter()
    result = invert(prior, observation, method, generator=generator, throw=False)
    seconds = (time.perf_counter() - began) / len(values)
    a, u, phases = truth["coefficient"], truth["solution"], (problem.low, problem.high)
    mean = result.mean["coefficient"].double()
    return _Scores(
        coefficient=float(relative_l2(mean, a).mean()),
        pixels=float(wrong_pixels(mean, a, phases).mean()),
        correlation=float(centred_correlation(mean, a).mean()),
        solution=float(relative_l2(result.mean["solution"].double(), u).mean()),
        covered=_coverage(result, "coefficient", a),
        covered_solution=_coverage(result, "solution", u),
        surrogate=float(result.surrogate_misfit.mean()),
        resimulated=float(result.resimulated_misfit.mean()),
        seconds=seconds,
    )


def _coverage(result: InverseResult, name: str, truth: Tensor) -> float | None:
    """Share of inner nodes whose true value lies in the 90 % interval; None where there are no draws."""
    if result.samples is None:
        return None
    low, high = (end[name].double() for end in result.intervals(LEVEL))
    inside = (low - ROUNDING <= truth) & (truth <= high + ROUNDING)
    return float(inside[..., 1:-1, 1:-1].double().mean())


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share
