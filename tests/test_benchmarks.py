"""The benchmark scripts run from start to end at a size of seconds, and the page says what the record says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
OWED = [
    "mgno_data_over_fno.relative_l2", "mgno_over_fno.relative_l2", "mgno_data_over_unet.relative_l2",
    "transfer_128_over_64.relative_l2", "newcomer.seconds_after_install", "reference_solver_over_superlu_loop.time",
    "certified_over_zero_start.iterations", "error_estimate_over_true_error.median",
    "error_estimate_over_true_error.smallest",
]  # fmt: skip


@pytest.mark.parametrize(
    "parts", ["costs,solver", pytest.param("compare,certificates,laws,published", marks=pytest.mark.slow)]
)
def test_the_quick_benchmark_runs_and_leaves_the_committed_record_alone(parts, tmp_path):
    before = (BENCHMARKS / "darcy.json").read_bytes()
    command = [sys.executable, BENCHMARKS / "darcy.py", "--quick", "--only", parts, "--work", tmp_path]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "darcy.md written" in answer.stdout
    assert (BENCHMARKS / "darcy.json").read_bytes() == before


@pytest.mark.parametrize("name", OWED)
def test_every_figure_owed_is_recorded_with_its_bar(name):
    record = json.loads((BENCHMARKS / "darcy.json").read_text(encoding="utf-8"))
    entry = record["figures"][name]
    assert "bar" in entry
    assert entry["value"] is not None or entry["reason"]


def test_the_page_is_rendered_from_the_record(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from parts.darcy_page import render

    record = json.loads((BENCHMARKS / "darcy.json").read_text(encoding="utf-8"))
    assert (BENCHMARKS / "darcy.md").read_text(encoding="utf-8") == render(record)
