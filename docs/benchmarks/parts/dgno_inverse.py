"""Media of two phases from sensors: inference in DGNO's latents beside a Gaussian field with the reference solver."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from parts.contenders import Contender, Scale, data_of, trained
from parts.dgno_cases import TWO_PHASE
from parts.record import Record, at_least, at_most
from parts.training_script import Session
from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.phase_metrics import centred_correlation, wrong_pixels
from pde_benchmarks.problem import Batch
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.sensors import Sensors
from sciml.gaussian_field_prior import GaussianFieldPrior
from sciml.inference import HMCConfig, InferenceStatus, Observation, PCNConfig
from sciml.inference.priors import GaussianPrior
from sciml.inverse import FieldPrior, interval, invert
from sciml.learners.dgno import DGNO
from sciml.learners.dgno.inversion import DecodedFields

__all__ = ["inverse"]

FIELDS = 60
FEW = 20  # media of rows that only compare
FEWEST = 10  # media of the row whose every step is a reference solution
NOISE_SEED = 0
SENSORS = (20, 100, 400)
DECIBELS = (50.0, 25.0, 15.0)
HOME = (100, 25.0)
MODES = 8  # per axis, of the Gaussian field
LEVEL = 0.9
ROUNDING = 1e-6  # of single precision
BLOCK = 3  # nodes an axis
FLOW = Contender("dgno", {"branch": "dense", "symmetry": True, "prior": "flow"})
HMC = HMCConfig(warmup=300, draws=600)
PCN = PCNConfig(chains=2, warmup=1000, draws=500, thin=10)
COLUMNS = [
    "prior, method", "seed", "media", "sensors", "SNR dB", "L² of a %", "wrong pixels %", "centred correlation",
    "L² of u %", "coverage of a %", "of its block means %", "of u %", "own misfit %", "re-simulated misfit %",
    "converged %", "s per medium",
]  # fmt: skip


@dataclass(frozen=True)
class _Task:
    """Observations of media, all with the same sensors."""

    problem: TwoPhaseDarcy
    truth: Batch
    sensors: int
    decibels: float

    def rows(self, count: int) -> _Task:
        """The first media."""
        return dataclasses.replace(self, truth=self.truth.rows(slice(0, count)))


@dataclass(frozen=True)
class _Scores:
    """Means over media and noise; coverages are those of 90 % intervals, None where nothing is drawn."""

    coefficient: float
    pixels: float
    correlation: float
    solution: float
    covered: float | None
    covered_blocks: float | None
    covered_solution: float | None
    surrogate: float
    resimulated: float
    converged: float
    seconds: float

    def row(self, label: str, seed: int | str, task: _Task) -> list[Any]:
        """A row of the table."""
        percent = [100 * value for value in (self.coefficient, self.pixels)]
        shares = (self.covered, self.covered_blocks, self.covered_solution)
        rest = [100 * self.solution, *(None if share is None else 100 * share for share in shares)]
        ends = [100 * self.surrogate, 100 * self.resimulated, 100 * self.converged, self.seconds]
        return [label, seed, task.truth.count, task.sensors, task.decibels, *percent, self.correlation, *rest, *ends]


def inverse(session: Session) -> None:
    """Where the bars are: every seed and method, and the classical prior; elsewhere one method."""
    record = session.record
    scale = dataclasses.replace(session.scale, budget=session.published_budget)
    data = data_of(TWO_PHASE, scale)
    problem, train = cast(TwoPhaseDarcy, data.problem), data.train.inputs
    test = data.tests["held_out"].rows(slice(0, 2 if scale.small else FIELDS))
    truth = test.inputs.merged(test.outputs).to(dtype=torch.float64)
    label = "dgno, flow prior, long"
    learners = [cast(DGNO, trained(TWO_PHASE, scale, label, FLOW, seed, data, session.work)[0]) for seed in scale.seeds]
    few, fewest = (2, 2) if scale.small else (FEW, FEWEST)
    home = _Task(problem, truth, *HOME)
    caption = (
        f"{truth.count} unseen media or the first of them, noise drawn for each; DGNO after {scale.budget:g} s of "
        "training, which the seconds leave out. Coverage is that of point-wise 90 % intervals: of two phases they hold "
        f"one value or both, so that they cover more; block means are over {BLOCK} × {BLOCK} nodes. Converged: of "
        "chains, R-hat at most 1.01 in every latent and 400 effective samples. The Gaussian field knows the true law "
        "of the media; its interfaces are smoothed for gradients."
    )
    table: list[list[Any]] = []

    def measured(label: str, seed: int | str, prior: FieldPrior, task: _Task, method: str, config: Any) -> _Scores:
        scores = _scores(prior, task, method, config)
        table.append(scores.row(label, seed, task))
        record.table("inverse", COLUMNS, table, caption)
        return scores

    best = [
        measured("flow, hmc", seed, DecodedFields(learner), home, "hmc", _short(HMC, scale))
        for seed, learner in zip(scale.seeds, learners, strict=True)
    ]
    _figures(record, best, scale)
    first = learners[0]
    for method, config in (("map", None), ("laplace", None), ("svi", None), ("pcn", _short(PCN, scale))):
        measured(f"flow, {method}", scale.seeds[0], DecodedFields(first), home.rows(few), method, config)
    classical = GaussianFieldPrior(problem, GaussianField(2.0, problem.inverse_length), modes=MODES)
    scores = measured("Gaussian field, map", "", classical, home.rows(few), "map", None)
    record.figure("inverse_two_phase.gaussian_field.wrong_pixels.sensors100_snr25", scores.pixels, unit="1")
    measured("Gaussian field, pcn", "", classical, home.rows(fewest), "pcn", _short(PCN, scale))
    _moment_prior(first, train)
    for method, config in (("hmc", _short(HMC, scale)), ("laplace", None)):
        measured(f"moments, {method}", scale.seeds[0], DecodedFields(first), home.rows(few), method, config)
    for decibels in () if scale.small else DECIBELS:
        for sensors in SENSORS:
            if (sensors, decibels) != HOME:
                task = _Task(problem, truth, sensors, decibels)
                measured("moments, laplace", scale.seeds[0], DecodedFields(first), task, "laplace", None)


def _moment_prior(learner: DGNO, inputs: Batch) -> None:
    """Give it the Gaussian prior with the moments of the encoded training inputs instead of the flow."""
    learner.module.prior = GaussianPrior(learner.config.latent)
    learner.fit_prior(inputs)


def _short(config: Any, scale: Scale) -> Any:
    return dataclasses.replace(config, warmup=4, draws=4, thin=1) if scale.small else config


def _figures(record: Record, best: list[_Scores], scale: Scale) -> None:
    facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": scale.budget}
    name = "inverse_two_phase.wrong_pixels.sensors100_snr25"
    record.figure(name, [scores.pixels for scores in best], bar=at_most(0.1), **facts)
    name = "inverse_two_phase.centred_correlation.sensors100_snr25"
    note = "chains with the exact law of the media, in the table, show how much is left to gain by a better prior"
    record.figure(name, [scores.correlation for scores in best], bar=at_least(0.85), note=note, **facts)
    name = "inverse_two_phase.coverage_90"
    note = "an interval of two phases holds one of them or both"
    record.figure(name, [cast(float, scores.covered) for scores in best], bar=at_least(0.85), note=note, **facts)
    record.figure(f"{name}.block_means", [cast(float, scores.covered_blocks) for scores in best], **facts)
    record.figure(f"{name}.solution", [cast(float, scores.covered_solution) for scores in best], **facts)


def _scores(prior: FieldPrior, task: _Task, method: str, config: Any) -> _Scores:
    generator = torch.Generator().manual_seed(NOISE_SEED)
    a, u, phases = task.truth["coefficient"], task.truth["solution"], (task.problem.low, task.problem.high)
    places = Sensors.random(task.sensors, generator)
    values, std = places.measure(u, task.decibels, generator)
    observation = Observation(places.points.float(), values[..., 0].float(), std[:, None].float())
    began = time.process_time()
    result = invert(prior, observation, method, config, generator=generator, throw=False)
    seconds = (time.process_time() - began) / len(values)
    mean = result.mean["coefficient"].double()
    drawn = result.samples
    status = result.inference.status
    return _Scores(
        coefficient=float(relative_l2(mean, a).mean()),
        pixels=float(wrong_pixels(mean, a, phases).mean()),
        correlation=float(centred_correlation(mean, a).mean()),
        solution=float(relative_l2(result.mean["solution"].double(), u).mean()),
        covered=None if drawn is None else _coverage(_inner(drawn["coefficient"]), _inner(a)),
        covered_blocks=None if drawn is None else _coverage(_block_means(drawn["coefficient"]), _block_means(a)),
        covered_solution=None if drawn is None else _coverage(_inner(drawn["solution"]), _inner(u)),
        surrogate=float(result.surrogate_misfit.mean()),
        resimulated=float(result.resimulated_misfit.mean()),
        converged=sum(one is InferenceStatus.CONVERGED for one in status) / len(status),
        seconds=seconds,
    )


def _coverage(draws: Tensor, truth: Tensor) -> float:
    """Share of the points whose true value lies between the draws' quantiles."""
    low, high = interval(draws.double(), LEVEL)
    return float(((low - ROUNDING <= truth) & (truth <= high + ROUNDING)).double().mean())


def _inner(field: Tensor) -> Tensor:
    return field[..., 1:-1, 1:-1]


def _block_means(field: Tensor) -> Tensor:
    """Means over blocks of inner nodes, ``(…, blocks, blocks)``."""
    inner = _inner(field)
    blocks = inner.unfold(-2, BLOCK, BLOCK).unfold(-2, BLOCK, BLOCK)
    return blocks.mean((-2, -1))
