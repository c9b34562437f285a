"""The numbers of an experiment on meshes as rows of a table: one for each field and scalar."""

from __future__ import annotations

from collections.abc import Mapping

from sciml.learners.mmgp.parts import PartFamily
from sciml.report import Cell

__all__ = ["result_columns", "result_rows"]

_METRICS = ("rrmse", "relative_l2", "q2", "coverage_95")


def result_columns(units: Mapping[str, str]) -> tuple[str, ...]:
    """Headings of `result_rows`; with a unit where one is known."""
    return ("predicted", *(("unit",) if units else ()), "RRMSE", "relative L²", "Q²", "95 % intervals cover")


def result_rows(metrics: Mapping[str, float], family: PartFamily, units: Mapping[str, str]) -> list[list[Cell]]:
    """One row for each field, then for each scalar; a metric that it does not have is None."""
    rows: list[list[Cell]] = []
    for name in (*family.fields, *family.output_scalars):
        unit: list[Cell] = [units.get(name, "")] if units else []
        rows.append([name, *unit, *(metrics.get(f"{metric}.{name}") for metric in _METRICS)])
    return rows
