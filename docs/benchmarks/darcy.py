"""Darcy flow: learners under one budget, beside solvers without learning. Writes darcy.json, darcy.md and figures.

python docs/benchmarks/darcy.py [--device cpu|cuda] [--quick] [--budget 120s] [--only PART,PART]
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

PARTS = ("costs", "solver", "compare", "certificates", "laws", "newcomer", "published")


def main() -> None:
    """Measure the chosen parts and render the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds whose numbers mean nothing")
    parser.add_argument("--budget", default="100s", help="training time of every learner and seed")
    parser.add_argument("--published-budget", default="400s", help="training time on the published problem")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, comma-separated, of {', '.join(PARTS)}")
    parser.add_argument(
        "--work", type=Path, default=None, help="where runs are kept, so that a stopped benchmark goes on"
    )
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    unknown = set(arguments.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: known are {', '.join(PARTS)}")
    measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Run the parts in order of importance; every figure is saved as soon as it is there."""
    import torch
    from parts import darcy_costs, darcy_learners
    from parts.darcy_page import render
    from parts.newcomer import newcomer
    from parts.record import Record

    from sciml.commands.values import seconds

    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("darcy.py: --device cuda, but no GPU is visible to torch.")
    scratch = Path(tempfile.mkdtemp()) if arguments.quick else HERE
    work = arguments.work or (
        scratch / "runs" if arguments.quick else HERE.parents[1] / "runs" / f"benchmark-{arguments.device}"
    )
    record = Record("darcy", arguments.device, scratch)
    scale = darcy_learners.Scale.quick() if arguments.quick else darcy_learners.Scale(budget=seconds(arguments.budget))
    if not arguments.quick:
        scale = dataclasses.replace(scale, published_budget=seconds(arguments.published_budget))
    if arguments.device == "cuda":
        scale = dataclasses.replace(scale, threads=None)
    jobs = {
        "costs": lambda: darcy_costs.networks(record, arguments.quick, arguments.device),
        "solver": lambda: darcy_costs.reference_solver(record, arguments.quick),
        "compare": lambda: darcy_learners.compare(record, scale, work),
        "certificates": lambda: darcy_learners.certificates(record, scale, work),
        "laws": lambda: darcy_learners.other_laws(record, scale, work),
        "newcomer": lambda: newcomer(record, arguments.quick),
        "published": lambda: darcy_learners.published(record, scale, work),
    }
    for name in PARTS:
        if name in arguments.only.split(","):
            print(f"— {name}", flush=True)
            jobs[name]()
    (record.path.parent / "darcy.md").write_text(render(record.content), encoding="utf-8")
    print(f"{record.path} and darcy.md written.")


if __name__ == "__main__":
    main()
