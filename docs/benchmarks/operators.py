"""Operator learning on grids: every problem under one budget, the equation inside, roll-outs, transfer, error bars.

python docs/benchmarks/operators.py [--device cpu|cuda] [--quick] [--budget 40s] [--only PART,PART] [--cases CASE,CASE]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

PARTS = ("problems", "physics", "transfer", "labels", "roll_outs", "uncertainty", "preconditioner", "published")


def main() -> None:
    """Measure the chosen parts and render the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds whose numbers mean nothing")
    parser.add_argument("--budget", default="40s", help="training time of every learner and seed")
    parser.add_argument("--published-budget", default="120s", help="training time at the published resolutions")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--cases", default="", help="problems of the first part, comma-separated; all if not given")
    parser.add_argument("--work", type=Path, default=None, help="where runs are kept: a stopped benchmark goes on")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    unknown = set(arguments.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: known are {', '.join(PARTS)}")
    measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Run the parts in turn; every figure is saved as soon as it is there."""
    import torch
    from parts import (
        operator_comparison,
        operator_physics,
        operator_preconditioner,
        operator_published,
        operator_roll_outs,
    )
    from parts.contenders import Scale
    from parts.operator_page import render
    from parts.record import Record

    from sciml.commands.values import seconds

    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("operators.py: --device cuda, but no GPU is visible to torch.")
    scratch = Path(tempfile.mkdtemp()) if arguments.quick else HERE
    kept = scratch / "runs" if arguments.quick else HERE.parents[1] / "runs" / f"operators-{arguments.device}"
    work = arguments.work or kept
    record = Record("operators", arguments.device, scratch, f"--budget {arguments.budget}")
    scale = Scale.quick() if arguments.quick else Scale(budget=seconds(arguments.budget))
    if arguments.device == "cuda":
        scale = dataclasses.replace(scale, threads=None)
    cases = tuple(filter(None, arguments.cases.split(",")))
    jobs = {
        "problems": lambda: operator_comparison.problems(record, scale, work, cases),
        "physics": lambda: operator_physics.physics_inside(record, scale, work),
        "transfer": lambda: operator_physics.transfer(record, scale, work),
        "labels": lambda: operator_physics.few_labels(record, scale, work),
        "roll_outs": lambda: operator_roll_outs.roll_outs(record, scale, work),
        "preconditioner": lambda: operator_preconditioner.preconditioner(record, scale, work),
        "uncertainty": lambda: operator_physics.uncertainty(record, scale, work),
        "published": lambda: operator_published.published(record, scale, work, seconds(arguments.published_budget)),
    }
    for name in PARTS:
        if name in arguments.only.split(","):
            print(f"— {name}", flush=True)
            jobs[name]()
    (record.path.parent / "operators.md").write_text(render(record.content), encoding="utf-8")
    print(f"{record.path} and operators.md written.")


if __name__ == "__main__":
    main()
