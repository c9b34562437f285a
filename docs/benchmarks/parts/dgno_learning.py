"""Learning with and without labels: MultiONet beside DeepONet, DGNO beside physics-informed networks, and costs."""

from __future__ import annotations

import dataclasses
import time
from statistics import fmean, median
from typing import Any, cast

import torch

from parts.contenders import L2, Case, Contender, Scale, data_of, trained
from parts.dgno_cases import BLIND, COARSE, COARSE_TINY, FAR, SUPERVISED, TWO_PHASE
from parts.record import at_most
from parts.training_script import Session
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.phase_metrics import wrong_pixels
from pde_benchmarks.problem import Batch, Phases
from sciml.learners.dgno import DGNO, DGNOConfig

__all__ = ["costs", "far", "label_free", "other_media", "supervised", "variants"]

STEPS = 1500
SHORT = 90.0
COLUMNS = ["learner", "seconds", "L² of u %", "reconstruction %", "parameters", "steps"]
SHORT_BARS = {"darcy_two_phase": 0.03}
BARS = {"darcy_smooth": 0.01, "darcy_two_phase": 0.024}
# Relative L² of the solution in per cent, as published; without labels, GPU runs of half an hour and more.
PUBLISHED = {
    "darcy_smooth": "DGNO 0.33–0.77, MultiONet 0.69, DeepONet 1.16",
    "darcy_two_phase": "DGNO 2.07–2.41, MultiONet 14.1, DeepONet 16.5",
}
FAR_PUBLISHED = {
    "burgers_walls": "DGNO 0.87–0.93 in 70 min, MultiONet 0.76, DeepONet 1.27",
    "stokes_cylinder": "DGNO 3.2, 3.3 and 4.9 of both velocities and pressure in 6.7 h",
}
ANSWERS = (10, 50)
QUERY_CELLS = 70  # 4900 points
REPEATS = 9


def supervised(session: Session) -> None:
    """MultiONet and DeepONet with equal parameters and steps on labelled data."""
    record, scale, work = session.record, session.scale, session.work
    table: list[list[Any]] = []
    worst: list[float] = []
    counted = dataclasses.replace(scale, steps=5 if scale.small else STEPS)
    for case in SUPERVISED:
        if session.cases and case.name not in session.cases:
            continue
        data = data_of(case, scale)
        errors: dict[str, list[float]] = {}
        for family in case.families.values():
            for label, contender in family.items():
                runs = [trained(case, counted, label, contender, seed, data, work)[1] for seed in scale.seeds]
                errors[label] = [run[L2] for run in runs]
                table.append([case.name, label, _percent(errors[label]), runs[0]["parameters"], counted.steps])
        reference = fmean(errors["deeponet"])
        ratios = [value / reference for value in errors["multionet"]]
        name = f"multionet_over_deeponet.relative_l2.{case.name.removeprefix('labelled_')}"
        record.figure(name, ratios, bar=at_most(0.75), seeds=list(scale.seeds), unit="1")
        if not worst or fmean(ratios) > fmean(worst):
            worst = ratios
    columns = ["problem", "learner", "L² %", "parameters", "steps"]
    record.table("supervised", columns, table, f"Seeds {_seeds(scale)}; equal widths, depths and steps.")
    if not session.cases:
        note = "the largest ratio of all problems: Burgers, whose shocks neither network resolves"
        record.figure("multionet_over_deeponet.relative_l2", worst, bar=at_most(0.75), unit="1", note=note)


def label_free(session: Session) -> None:
    """DGNO from the equation alone, for a short and for the full budget."""
    scale = session.scale
    for case in _chosen(session):
        data = data_of(case, scale)
        contender = case.families["dgno"]["dgno, energy"]
        table: list[list[Any]] = [[f"published ({PUBLISHED[case.name]})", "", "", "", "", ""]]
        for label, one in (("dgno, energy", _short(scale)), ("dgno, energy, full", scale)):
            row, errors = _blind(case, one, label, contender, data, session.work)
            table.append(row)
            full = one is scale and not scale.small
            suffix, bars = ("", BARS) if full else ("_90s", SHORT_BARS)
            bar = {"bar": at_most(bars[case.name])} if case.name in bars else {}
            facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": one.budget, **bar}
            session.record.figure(f"{case.name}.label_free{suffix}.relative_l2", errors, **facts)
        session.record.table(f"label_free_{case.name}", COLUMNS, table, _caption(data, scale))


def variants(session: Session) -> None:
    """Other residuals, and physics-informed networks that do not decode the input, for the short budget."""
    scale = session.scale
    for case in _chosen(session):
        data = data_of(case, scale)
        table = []
        for family, contenders in case.families.items():
            for label, contender in contenders.items():
                row, errors = _blind(case, _short(scale), label, contender, data, session.work)
                table.append(row)
                facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": _short(scale).budget}
                session.record.figure(f"{case.name}.label_free_90s.{family}.relative_l2", errors, **facts)
        session.record.table(f"variants_{case.name}", COLUMNS, table, _caption(data, scale))


def far(session: Session) -> None:
    """Equations whose published figures took hours on a GPU, for the full budget; one seed."""
    scale = dataclasses.replace(session.scale, seeds=session.scale.seeds[:1])
    table: list[list[Any]] = []
    for case in FAR:
        if session.cases and case.name not in session.cases:
            continue
        data = data_of(case, scale)
        (contender,) = case.families["dgno"].values()
        table.append([case.name, f"published ({FAR_PUBLISHED[case.name]})", "", "", "", ""])
        _, metrics = trained(case, scale, "dgno, strong, full", contender, scale.seeds[0], data, session.work)
        facts = [100 * metrics[L2], metrics["parameters"], metrics["train_steps"]]
        table.append([case.name, "dgno, strong", scale.budget, *facts])
        name = f"{case.name}.label_free.relative_l2"
        session.record.figure(name, metrics[L2], seeds=list(scale.seeds), unit="1", budget_s=scale.budget)
    columns = ["problem", "learner", "seconds", "L² %", "parameters", "steps"]
    command = "python docs/benchmarks/dgno.py --device cuda --only far --budget 10min"
    session.record.table("far", columns, table, f"1000 inputs without labels, 200 test samples. On a GPU: `{command}`.")


def _chosen(session: Session) -> list[Case]:
    return [case for case in BLIND if not session.cases or case.name in session.cases]


def _short(scale: Scale) -> Scale:
    return scale if scale.small else dataclasses.replace(scale, budget=SHORT)


def _caption(data: Any, scale: Scale) -> str:
    return (
        f"{data.train.count} inputs without labels, {data.tests['held_out'].count} test samples, seeds "
        f"{_seeds(scale)}; processor time on one thread. Reconstruction: wrong pixels of two phases, or the "
        "relative L² error of a continuous coefficient, in per cent."
    )


def _blind(
    case: Case, scale: Scale, label: str, contender: Contender, data: Any, work: Any
) -> tuple[list[Any], list[float]]:
    """A row of the table, and the errors of all seeds."""
    runs = [trained(case, scale, label, contender, seed, data, work) for seed in scale.seeds]
    errors = [metrics[L2] for _, metrics in runs]
    test = data.tests["held_out"]
    rebuilt = [_reconstruction(cast(DGNO, learner), test) for learner, _ in runs]
    known = contender.settings.get("reconstruction_weight", 1.0) > 0
    first = runs[0][1]
    numbers = [100 * fmean(rebuilt) if known else None, first["parameters"], first["train_steps"]]
    return [label, scale.budget, _percent(errors), *numbers], errors


def _reconstruction(learner: DGNO, test: Dataset) -> float:
    seen, truth = learner.reconstruct(test.inputs)["coefficient"], test.inputs["coefficient"]
    (spec,) = learner.problem.inputs
    if isinstance(spec.kind, Phases):
        return float(wrong_pixels(seen, truth, spec.kind.values).mean())
    return float(((seen - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean())


def other_media(session: Session) -> None:
    """Learners of two phases on media of another length scale and of other volume fractions."""
    record, scale, work = session.record, session.scale, session.work
    data = data_of(TWO_PHASE, scale)
    contenders = {
        "dgno, energy, full": TWO_PHASE.families["dgno"]["dgno, energy"],
        "dgno, coarse solve inside, full": COARSE_TINY if scale.small else COARSE,
    }
    home = cast(TwoPhaseDarcy, data.problem)
    laws = {
        "as in training": home,
        "covariance (−Δ + 16)⁻²": dataclasses.replace(home, inverse_length=4.0),
        "volume fraction 0.3": dataclasses.replace(home, volume_fraction=0.3),
        "volume fraction 0.7": dataclasses.replace(home, volume_fraction=0.7),
    }
    errors: dict[str, list[float]] = {}
    rows = []
    for label, contender in contenders.items():
        learner = cast(DGNO, trained(TWO_PHASE, scale, label, contender, scale.seeds[0], data, work)[0])
        for name, law in laws.items():
            inputs = law.sample(4 if scale.small else 200, torch.Generator().manual_seed(77))
            error = home.metrics(learner.predict(inputs).mean, law.solve(inputs))["relative_l2"]
            rebuilt, phases = learner.reconstruct(inputs)["coefficient"], (home.low, home.high)
            pixels = float(wrong_pixels(rebuilt, inputs["coefficient"], phases).mean())
            errors.setdefault(label, []).append(error)
            rows.append([label.removesuffix(", full"), name, 100 * error, 100 * pixels])
    plain, coarse = (max(one[1:]) for one in errors.values())
    note = "the largest error on the other laws"
    record.figure(
        "darcy_two_phase.coarse_solve_over_plain.relative_l2.other_media", coarse / plain, unit="1", note=note
    )
    caption = f"200 media each, one seed, {scale.budget:g} s of processor time, no labels."
    record.table("other_media", ["learner", "law", "L² of u %", "wrong pixels %"], rows, caption)


def costs(session: Session) -> None:
    """Time of a training step for 10 and for 50 samples at the same points."""
    record, small = session.record, session.scale.small
    torch.set_num_threads(session.scale.threads or torch.get_num_threads())
    problem = TwoPhaseDarcy(resolution=9 if small else 29)
    learner = DGNO.from_problem(problem, DGNOConfig(cells=8 if small else QUERY_CELLS, branch="dense"))
    objective, generator = learner.objective(), torch.Generator().manual_seed(0)
    batches = {}
    for count in ANSWERS:
        inputs = problem.sample(count, torch.Generator().manual_seed(1)).to(dtype=torch.float32)
        learner.module.fit_statistics(inputs["coefficient"])
        batches[count] = Batch({"coefficient": inputs["coefficient"]})
    times: dict[int, list[float]] = {count: [] for count in ANSWERS}
    for _ in range(2 if small else REPEATS):
        for count, batch in batches.items():
            began = time.perf_counter()
            objective(learner.module, dict(batch), generator).backward()
            times[count].append(time.perf_counter() - began)
    ratios = [many / few for few, many in zip(times[10][1:], times[50][1:], strict=True)]
    points = learner.form.draw(generator).points.shape[0]
    record.figure(
        "step_time_ratio.50_over_10_samples",
        ratios,
        timed=True,
        bar=at_most(2.0),
        unit="1",
        note=f"{points} query points; {1e3 * median(times[10]):.0f} and {1e3 * median(times[50]):.0f} ms a step",
    )


def _percent(errors: list[float]) -> str:
    spread = f" ± {100 * (max(errors) - min(errors)) / 2:.1g}" if len(errors) > 1 else ""
    return f"{100 * fmean(errors):.3g}{spread}"


def _seeds(scale: Scale) -> str:
    return ", ".join(map(str, scale.seeds))
