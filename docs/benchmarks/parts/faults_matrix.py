"""Every marked cell of the matrix of learners × problems, by the tests themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from parts.record import HERE, Record, at_least, at_most

__all__ = ["matrix"]

ROOT = HERE.parents[1]
_CAPTION = (
    "Cells that the learner accepts; each is built, trained for two steps, asked, saved, loaded and asked again, on a "
    "tiny case: both answers must be the same. See [the matrix](../matrix.md)."
)


def matrix(record: Record, quick: bool) -> None:
    """Run ``tests/test_matrix.py`` with its slow cells, and count; ``quick``: one learner."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "tests/test_matrix.py", "-q", "-p", "no:cacheprovider"]
        command += ["-m", "slow or not slow", "-k", "trained_saved_and_loaded" + (" and dcdm" if quick else "")]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, check=False, env=environment)
        cases = list(ElementTree.parse(report).iter("testcase"))
    tally: dict[str, list[int]] = {}
    for case in cases:
        learner, _, _ = _cell(case)
        passed, failed = tally.setdefault(learner, [0, 0])
        tally[learner] = [passed + (not _fails(case)), failed + _fails(case)]
    failing = [_cell(case)[1] for case in cases if _fails(case)]
    record.figure("matrix.marked_cells", float(len(cases)), bar=at_least(40))
    note = ", ".join(failing[:10])
    record.figure("matrix.failing_cells", float(len(failing)), bar=at_most(0), **({"note": note} if note else {}))
    record.table(
        "matrix", ["learner", "cells that work", "cells that fail"], [[k, *v] for k, v in tally.items()], _CAPTION
    )


def _fails(case: ElementTree.Element) -> bool:
    return any(child.tag in ("failure", "error", "skipped") for child in case)


def _cell(case: ElementTree.Element) -> tuple[str, str, float]:
    """Learner, cell and seconds of a test."""
    from sciml.learner import learner_types
    from sciml.mesh_learner import mesh_learner_types

    cell = case.get("name", "").partition("[")[2].rstrip("]")
    names = sorted({**learner_types(), **mesh_learner_types()}, key=len, reverse=True)
    learner = next((name for name in names if cell.startswith(f"{name}-")), cell)
    return learner, cell, float(case.get("time", 0))
