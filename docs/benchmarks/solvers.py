"""Sparse solvers beside SciPy, PyAMG and torch-sla on the same systems. Writes solvers.json and solvers.md.

python docs/benchmarks/solvers.py [--quick] [--only PART,PART]      (pip install torch-sla for its rows)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

PARTS = ("conjugate_gradients", "multigrid", "aggregation", "batches", "products", "iterations")


def main() -> None:
    """Measure the chosen parts and render the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds whose numbers mean nothing")
    parser.add_argument("--budget", default=None, help="accepted like everywhere; nothing is trained here")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, comma-separated, of {', '.join(PARTS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: known are {', '.join(PARTS)}")
    measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Run the parts in turn; every figure is saved as soon as it is there."""
    from parts import solver_rows
    from parts.record import Record
    from parts.solver_page import render

    record = Record("solvers", arguments.device, Path(tempfile.mkdtemp()) if arguments.quick else HERE)
    for name in PARTS:
        if name in arguments.only.split(","):
            print(f"— {name}", flush=True)
            getattr(solver_rows, name)(record, arguments.quick)
    (record.path.parent / "solvers.md").write_text(render(record.content), encoding="utf-8")
    print(f"{record.path} and solvers.md written.")


if __name__ == "__main__":
    main()
