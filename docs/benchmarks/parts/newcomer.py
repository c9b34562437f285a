"""A newcomer's first command, in a fresh virtual environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parts.record import Record, at_most

ROOT = Path(__file__).resolve().parents[3]


def newcomer(record: Record, quick: bool) -> None:
    """Install as the README says, then time ``sciml run darcy``, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
        pip = [home / "venv/bin/python", "-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", "."]
        subprocess.run(pip, check=True, cwd=ROOT)
        small = ["--budget", "2s", "--samples", "32", "--test-samples", "8"] if quick else []
        environment = {**os.environ, "SCIML_CACHE": str(home / "cache"), "NUMBA_CACHE_DIR": str(home / "numba")}
        began = time.monotonic()
        command = [home / "venv/bin/sciml", "run", "darcy", "-o", str(home / "run"), *small]
        subprocess.run(command, check=True, cwd=home, env=environment)
        seconds = time.monotonic() - began
        metrics = json.loads((home / "run" / "metrics.json").read_text())
    note = f"`sciml run darcy`, test error {metrics['test.held_out.relative_l2']:.2e}"
    record.figure("newcomer.seconds_after_install", seconds, bar=at_most(360), unit="s", note=note)
