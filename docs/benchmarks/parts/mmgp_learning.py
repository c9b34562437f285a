"""Errors and coverage of every contender on every family, three splits; settings chosen without the test samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from meshes import Mesh
from parts.mmgp_cases import CASES, MeshCase, pool, split
from parts.mmgp_contenders import left_out_error, nearest, release, settings, trained
from parts.record import at_least, at_most
from parts.training_script import Session
from sciml.learners.mmgp import MMGP, MeshPrediction, MMGPConfig, PartFamily
from sciml.learners.mmgp.evaluation import errors_of

__all__ = ["OURS", "graph_rows", "learning"]

OURS, RELEASE_ROW, NEAREST = "MMGP", "the release's weights and ranks", "nearest training sample"
STRESSES, DISPLACEMENTS = ("s11", "s22", "s12", "vM"), ("u", "v")
Errors = Mapping[str, float]


def learning(session: Session) -> None:
    """Fields and scalars of held-out parts."""
    for case in CASES:
        if session.cases and case.name not in session.cases:
            continue
        meshes = pool(session, case)
        chosen, config = _setting(session, case, *split(session, case, meshes, session.scale.seeds[0])[:1])
        found: dict[str, list[Errors]] = {OURS: [], RELEASE_ROW: [], NEAREST: []}
        floors: list[dict[str, float]] = []
        foreign: list[float] = []
        for seed in session.scale.seeds:
            train, test = split(session, case, meshes, seed)
            learner = trained(case.problem, config, train, seed)
            predictions = [learner.predict([mesh])[0] for mesh in test]
            found[OURS].append(errors_of(predictions, test, learner.family))
            assert learner.report is not None
            floors.append({name: report.floor for name, report in learner.report.fields.items()})
            found[NEAREST].append(errors_of(nearest(learner, test), test, learner.family))
            if case.problem.foreign_kinds:
                foreign.append(_foreign(session, case, learner, predictions))
            if case.problem.dimension == 2 and case.name.startswith("plate"):
                plain = trained(case.problem, release(case.problem), train, seed)
                found[RELEASE_ROW].append(plain.evaluate(test))
        _tables(session, case, found, floors, chosen)
        _figures(session, case, found[OURS], foreign)


def graph_rows(session: Session) -> None:
    """A graph network on the first split of each family, given ten minutes."""
    from parts.mmgp_graph_network import graph_network
    from pde_benchmarks.mesh_metrics import field_errors

    ratios, rows = [], []
    for case in CASES:
        if case.name not in (session.cases or ("plate", "aerofoil")):
            continue
        train, test = split(session, case, pool(session, case), session.scale.seeds[0])
        whole = PartFamily.of(case.problem)
        scored = tuple(name for name in whole.fields if name not in case.unscored)
        family = replace(whole, fields=scored, output_scalars=())
        seconds = 3.0 if session.scale.small else session.published_budget
        predicted = graph_network(train, test, family, seconds, session.scale.seeds[0], case.problem.dimension)
        _, config = _setting(session, case, train)
        ours = trained(case.problem, config, train, session.scale.seeds[0]).evaluate(test)
        fields = [name for name in case.problem.fields if name not in case.unscored]
        theirs = {
            name: field_errors([one[name] for one in predicted], [mesh.point_data[name] for mesh in test])["rrmse"]
            for name in fields
        }
        rows += [[case.name, name, ours[f"rrmse.{name}"], theirs[name]] for name in fields]
        ratios.append(fmean(ours[f"rrmse.{name}"] for name in fields) / fmean(theirs.values()))
    caption = f"RRMSE on the first split; the graph network has {seconds:g} s of processor time, tuning included."
    session.record.table("graph_network", ["family", "field", "MMGP", "graph network"], rows, caption)
    session.record.figure(
        "mmgp_over_graph_network.rrmse",
        max(ratios),
        unit="1",
        bar=at_most(0.5),
        seeds=[session.scale.seeds[0]],
        note="mean over fields, the largest ratio over families",
    )


def _setting(session: Session, case: MeshCase, train: Sequence[Mesh]) -> tuple[str, MMGPConfig]:
    """The setting with the smallest left-out error within the training samples."""
    if session.scale.small:
        return "default", MMGPConfig()
    tried = settings(case.problem)
    errors = {
        name: left_out_error(trained(case.problem, config, train, session.scale.seeds[0]), case.unscored)
        for name, config in tried.items()
    }
    session.record.table(
        f"settings_{case.name}",
        ["setting", "left-out RRMSE, mean over fields"],
        [[name, value] for name, value in errors.items()],
        "Samples of the first training set that were left out in turn; the smallest is used.",
    )
    best = min(errors, key=lambda name: errors[name])
    return best, tried[best]


def _foreign(session: Session, case: MeshCase, learner: MMGP, predictions: Sequence[MeshPrediction]) -> float:
    """The smallest out-of-span score of foreign shapes over the largest of the test shapes."""
    largest = max(one.trust.out_of_span for one in predictions)
    problem = case.tiny if session.scale.small else case.problem
    scores = {
        kind: learner.predict([problem.foreign(kind, seed=0)])[0].trust.out_of_span for kind in problem.foreign_kinds
    }
    print(f"{case.name}: foreign {scores}, largest test {largest:.3g}", flush=True)
    return min(scores.values()) / largest


def _tables(
    session: Session, case: MeshCase, found: Mapping[str, list[Errors]], floors: list[dict[str, float]], chosen: str
) -> None:
    fields, scalars = case.problem.fields, case.problem.scalars
    rows: list[list[Any]] = []
    for metric, title in (("rrmse", "RRMSE"), ("relative_l2", "relative L²"), ("q2", "Q²"), ("coverage_95", "95 %")):
        for name, splits in found.items():
            if splits and not (metric == "coverage_95" and name == NEAREST):
                rows.append([name, title, *(_mean(splits, f"{metric}.{field}") for field in fields)])
    rows.append(["to the common mesh and back", "RRMSE", *(fmean(one[field] for one in floors) for field in fields)])
    seeds = ", ".join(map(str, session.scale.seeds))
    caption = (
        f"{case.train} training and {case.test} test meshes, means over the splits {seeds} of one pool; setting "
        f"“{chosen}”, chosen by left-out errors on the training samples of the first split (among which are test "
        "samples of the others). RRMSE is relative to the largest value of a sample."
    )
    session.record.table(f"fields_{case.name}", ["contender", "metric", *fields], rows, caption)
    rows = []
    for metric, title in (("rrmse", "RRMSE"), ("q2", "Q²"), ("coverage_95", "95 %")):
        for name, splits in found.items():
            if splits and not (metric == "coverage_95" and name == NEAREST):
                rows.append([name, title, *(_mean(splits, f"{metric}.{scalar}") for scalar in scalars)])
    session.record.table(f"scalars_{case.name}", ["contender", "metric", *scalars], rows, "The same splits.")


def _figures(session: Session, case: MeshCase, ours: list[Errors], foreign: list[float]) -> None:
    record, facts = session.record, {"unit": "1", "seeds": list(session.scale.seeds)}
    is_plate = case.name == "plate"

    def worst(metric: str, names: Sequence[str], pick: Any = max) -> list[float]:
        return [pick(one[f"{metric}.{name}"] for name in names) for one in ours]

    if case.name.startswith("plate"):
        bars: dict[str, Any] = {
            f"{case.name}.rrmse.worst_stress": (worst("rrmse", STRESSES), at_most(0.012)),
            f"{case.name}.rrmse.worst_displacement": (worst("rrmse", DISPLACEMENTS), at_most(0.006)),
            f"{case.name}.q2.worst_scalar": (worst("q2", case.problem.scalars, min), at_least(0.96)),
        }
    else:
        bars = {f"{case.name}.rrmse.worst_field": (worst("rrmse", case.problem.fields), at_most(0.02))}
    coverage = worst("coverage_95", case.problem.fields, min)
    bars[f"{case.name}.coverage_95.worst_field"] = (coverage, at_least(0.92))
    if foreign:
        bars[f"{case.name}.foreign_shape_score_over_largest_test"] = (foreign, at_least(3))
    for name, (values, bar) in bars.items():
        owed = is_plate or name.endswith("rrmse.worst_field")
        record.figure(name, [float(v) for v in values], **({"bar": bar} if owed else {}), **facts)


def _mean(splits: Sequence[Errors], key: str) -> float:
    return float(np.mean([one[key] for one in splits]))
