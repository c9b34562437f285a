"""Surrogates of two evolutions: error against evaluations, vanilla and with every penalty."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from parts.contenders import Case, Contender, Scale, data_of, trained
from parts.record import at_most
from parts.training_script import Session
from sciml.learners.trajectories.learner import TrajectoryLearner

__all__ = ["surrogates"]

STEPS, QUICK_STEPS, COUNTED = 1500, 2, 16
VANILLA = "vanilla"
#: The validation error that a penalty may cost, of the vanilla one's; half of what the test error may.
ALLOWED = 1.025
#: Tolerances at which an explicit solver needs sixty evaluations and more; they need double precision.
SOLVER = {"dtype": "float64", "rtol": 1e-7, "atol": 1e-7, "mode": "shared"}
#: Penalties and their weights (the same from beginning to end), strong ones first.
PENALTIES: dict[str, tuple[float, ...]] = {
    "error": (1.0, 0.1, 0.01, 0.007, 0.005, 0.003, 0.001),
    "stiffness": (0.3, 0.1, 0.03),
    "local-error": (0.01,),
    "local-stiffness": (0.1,),
    "kinetic": (0.01,),
}


@dataclass(frozen=True)
class Surrogate:
    """An evolution, and the dimension of the latent space."""

    figure: str
    problem: str
    latent: int
    tiny: dict[str, Any]


SURROGATES = (
    Surrogate("pde_first", "burgers-trajectories", 16, {"frames": 2, "viscosity": 0.5, "resolution": 16}),
    Surrogate("pde_second", "kuramoto-sivashinsky", 16, {"frames": 2, "transient": 20.0, "resolution": 32}),
)


def surrogates(session: Session) -> None:
    """The penalty is chosen on validation trajectories of the first seed; test errors and evaluations of all seeds."""
    for one in SURROGATES:
        if session.cases and one.problem not in session.cases:
            continue
        contenders = _contenders(one, session.scale.small)
        found = {name: [_measured(session, one, name, contenders[name], session.scale.seeds[0])] for name in contenders}
        chosen = _chosen(found)
        for seed in session.scale.seeds[1:]:
            for name in dict.fromkeys((VANILLA, chosen)):
                found[name].append(_measured(session, one, name, contenders[name], seed))
        _write(session, one, found, chosen)


def _contenders(one: Surrogate, small: bool) -> dict[str, Contender]:
    common = {"latent": one.latent, **SOLVER}
    found = {VANILLA: Contender("latent-ode", common)}
    for name, weights in PENALTIES.items():
        for weight in weights:
            settings = {**common, "regularizer": name, "weight": [weight, weight]}
            found[f"{name} {weight:g}"] = Contender("latent-ode", settings)
    return dict(list(found.items())[:2]) if small else found


def _measured(session: Session, one: Surrogate, name: str, contender: Contender, seed: int) -> dict[str, float]:
    """Errors and evaluations on validation and test trajectories, and the processor time of training."""
    scale = Scale(steps=QUICK_STEPS if session.scale.small else STEPS, seeds=(seed,), small=session.scale.small)
    case = Case(one.problem, one.problem, {}, (512, 64), {"latent": {name: contender}}, one.tiny)
    data = data_of(case, scale)
    learner, metrics = trained(case, scale, name, contender, seed, data, session.work)
    assert isinstance(learner, TrajectoryLearner)
    (test,) = data.tests.values()
    evaluated, judged = learner.evaluate(test), learner.evaluate(data.validation)
    counted = min(COUNTED, test.count)
    return {
        "error": evaluated["relative_l2"],
        "reconstruction": evaluated["reconstruction_l2"],
        "ours": evaluated["evaluations_mean"],
        "evaluations": float(np.mean(learner.evaluations_by_rk45(test.inputs, count=counted))),
        "validation_error": judged["relative_l2"],
        "validation_evaluations": float(np.mean(learner.evaluations_by_rk45(data.validation.inputs, count=counted))),
        "seconds": float(metrics["train_seconds"]),
    }


def _chosen(found: dict[str, list[dict[str, float]]]) -> str:
    """The fewest evaluations among those whose validation error is hardly above the vanilla one's."""
    limit = ALLOWED * found[VANILLA][0]["validation_error"]
    good = {name: runs[0] for name, runs in found.items() if runs[0]["validation_error"] <= limit}
    return min(good, key=lambda name: good[name]["validation_evaluations"])


def _write(session: Session, one: Surrogate, found: dict[str, list[dict[str, float]]], chosen: str) -> None:
    columns = ["penalty", "test error", "evaluations (RK45)", "evaluations (Tsit5)", "validation error", "training s"]
    numbers = ("error", "evaluations", "ours", "validation_error", "seconds")
    rows = [
        [name + (" (chosen)" if name == chosen else ""), *(_spread([run[what] for run in runs]) for what in numbers)]
        for name, runs in found.items()
    ]
    floor = fmean(run["reconstruction"] for run in found[VANILLA])
    caption = (
        f"{one.problem}, {one.latent} orthogonal modes (which alone lose {floor:.2g}), {STEPS} steps of training on "
        f"512 trajectories, tolerance {SOLVER['rtol']:g} in double precision; 64 test trajectories, evaluations of "
        f"{COUNTED} of them one by one by SciPy's RK45, and of all at once by our Tsit5. Penalties and weights were "
        f"tried with the first seed; the one with the fewest evaluations on validation trajectories at most "
        f"{ALLOWED:g} times the vanilla validation error was trained with all seeds."
    )
    session.record.table(one.problem.replace("-", "_"), columns, rows, caption)
    pairs = list(zip(found[chosen], found[VANILLA], strict=True))
    errors = [a["error"] / b["error"] for a, b in pairs]
    note = f"{one.problem}, {chosen}; by SciPy's RK45; at {fmean(errors):.3g} times the vanilla error"
    facts = {"seeds": list(session.scale.seeds), "unit": "1", "note": note}
    name, record = f"{one.figure}.regularised_over_vanilla", session.record
    ratios = [a["evaluations"] / b["evaluations"] for a, b in pairs]
    record.figure(f"{name}.evaluations", ratios, bar=at_most(0.7), **facts)
    record.figure(f"{name}.error", errors, bar=at_most(1.05), **facts)
    record.figure(f"{one.figure}.vanilla.evaluations", [run["evaluations"] for run in found[VANILLA]], **facts)
    _pareto(session, one, found)


def _pareto(session: Session, one: Surrogate, found: dict[str, list[dict[str, float]]]) -> None:
    """Error against evaluations: every penalty of the first seed, vanilla and the chosen one of all seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    families = list(dict.fromkeys(name.split()[0] for name in found))
    for number, family in enumerate(families):
        runs = [run for name, runs in found.items() if name.split()[0] == family for run in runs]
        runs.sort(key=lambda run: run["evaluations"])
        marker = "*" if family == VANILLA else "osD^vPX"[(number - 1) % 7]
        points = [run["evaluations"] for run in runs], [run["error"] for run in runs]
        axes.plot(*points, marker, label=family, ms=11 if family == VANILLA else 6, color=f"C{number}")
    axes.set(xlabel="evaluations of one trajectory by RK45", ylabel="relative L² error", title=one.problem)
    axes.legend(fontsize=8)
    figure.savefig(session.record.figures / f"neural_ode_{one.problem.replace('-', '_')}.png", dpi=110)


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")
