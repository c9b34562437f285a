"""Run the benchmarks in order of importance within a budget; what is measured is kept when this is stopped.

python docs/benchmarks/all.py --device cuda --budget 9min
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

# (script, part, share of the whole budget that each training in it may take, 0 where none is trained)
ROWS = [
    ("darcy.py", "costs", 0.0),
    ("darcy.py", "compare", 1 / 30),
    ("darcy.py", "certificates", 1 / 30),
    ("darcy.py", "laws", 1 / 30),
    ("darcy.py", "published", 1 / 8),
    ("operators.py", "transfer", 1 / 60),
    ("operators.py", "physics", 1 / 60),
    ("operators.py", "roll_outs", 1 / 60),
    ("operators.py", "problems", 1 / 60),
    ("dgno.py", "label_free", 1 / 30),
    ("dgno.py", "inverse", 1 / 30),
    ("dgno.py", "costs", 0.0),
]


def main() -> None:
    """Run row after row until the budget is spent."""
    from sciml.commands.values import seconds

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--budget", default="9min", help="time for everything")
    parser.add_argument("--quick", action="store_true", help="a smoke run whose numbers mean nothing")
    arguments = parser.parse_args()
    budget, began = seconds(arguments.budget), time.monotonic()
    for script, part, share in ROWS:
        left = budget - (time.monotonic() - began)
        if left <= 0:
            print(f"budget spent before {script} {part}; the same command goes on there.")
            return
        training = f"{max(budget * share, 1.0):.0f}s"
        command = [sys.executable, str(HERE / script), "--device", arguments.device, "--only", part]
        command += ["--budget", training, "--published-budget", training, *(["--quick"] if arguments.quick else [])]
        try:
            subprocess.run(command, check=True, timeout=left)
        except subprocess.TimeoutExpired:
            print(f"budget spent in {script} {part}; its finished runs are kept, and the same command goes on there.")
            return


if __name__ == "__main__":
    main()
