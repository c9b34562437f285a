"""The command line of a benchmark that trains: which parts to measure, how long, and where runs are kept."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parts.contenders import Scale
from parts.record import HERE, Record

__all__ = ["Session", "run"]


@dataclass(frozen=True)
class Session:
    """What every part is given.

    Attributes
    ----------
    record
        Where figures go.
    scale
        Budget of a training, seeds, threads.
    work
        Where runs are kept: a stopped benchmark goes on.
    published_budget
        Seconds of a training at published sizes.
    cases
        Problems to which a part is restricted; all if empty.
    more
        Options of this benchmark alone, by name; None where not given.
    """

    record: Record
    scale: Scale
    work: Path
    published_budget: float
    cases: tuple[str, ...]
    more: Mapping[str, str | None] = field(default_factory=dict)


def run(
    name: str,
    text: str | None,
    parts: Mapping[str, Callable[[Session], None]],
    render: Callable[[Any], str],
    budget: str,
    published_budget: str,
    more: Mapping[str, str] | None = None,
) -> None:
    """Measure the chosen parts in turn, every figure saved as soon as it is there, and write the page NAME.md.

    ``more`` are options of this benchmark alone, each with its help.
    """
    from sciml.commands.values import seconds

    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds whose numbers mean nothing")
    parser.add_argument("--budget", default=budget, help="training time of every learner and seed")
    parser.add_argument("--published-budget", default=published_budget, help="training time at published sizes")
    parser.add_argument("--only", default=",".join(parts), help=f"parts, comma-separated, of {', '.join(parts)}")
    parser.add_argument("--cases", default="", help="problems of a part, comma-separated; all if not given")
    parser.add_argument("--work", type=Path, default=None, help="where runs are kept: a stopped benchmark goes on")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of every learner; fewer for a first look")
    for option, purpose in (more or {}).items():
        parser.add_argument(f"--{option}", default=None, help=purpose)
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = sorted(set(chosen) - set(parts))
    if unknown:
        parser.error(f"unknown parts {unknown}: known are {', '.join(parts)}")
    _check_device(name, arguments.device)
    scratch = Path(tempfile.mkdtemp()) if arguments.quick else HERE
    kept = scratch / "runs" if arguments.quick else HERE.parents[1] / "runs" / f"{name}-{arguments.device}"
    record = Record(name, arguments.device, scratch, f"--budget {arguments.budget}")
    scale = (
        Scale.quick()
        if arguments.quick
        else Scale(budget=seconds(arguments.budget), seeds=tuple(range(arguments.seeds)))
    )
    if arguments.device == "cuda":
        scale = dataclasses.replace(scale, threads=None)
    published = scale.budget if arguments.quick else seconds(arguments.published_budget)
    cases = tuple(filter(None, arguments.cases.split(",")))
    own = {option: getattr(arguments, option.replace("-", "_")) for option in more or {}}
    session = Session(record, scale, arguments.work or kept, published, cases, own)
    for part, measure in parts.items():
        if part in chosen:
            print(f"— {part}", flush=True)
            measure(session)
    (record.path.parent / f"{name}.md").write_text(render(record.content), encoding="utf-8")
    print(f"{record.path} and {name}.md written.")


def _check_device(name: str, device: str) -> None:
    """Hide the GPU, or make sure that there is one."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    import torch

    if not torch.cuda.is_available():
        sys.exit(f"{name}.py: --device cuda, but no GPU is visible to torch.")
