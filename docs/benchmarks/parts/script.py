"""The command line of a benchmark that trains nothing: which parts to measure, and the page that comes of it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from parts.record import HERE, Record

__all__ = ["run"]


def run(
    name: str, text: str | None, parts: Mapping[str, Callable[[Record, bool], None]], render: Callable[[Any], str]
) -> None:
    """Measure the chosen parts in turn, every figure saved as soon as it is there, and write the page NAME.md."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds whose numbers mean nothing")
    parser.add_argument("--budget", default=None, help="accepted like everywhere; nothing is trained here")
    parser.add_argument("--only", default=",".join(parts), help=f"parts, comma-separated, of {', '.join(parts)}")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = sorted(set(chosen) - set(parts))
    if unknown:
        parser.error(f"unknown parts {unknown}: known are {', '.join(parts)}")
    record = Record(name, arguments.device, Path(tempfile.mkdtemp()) if arguments.quick else HERE)
    for part, measure in parts.items():
        if part in chosen:
            print(f"— {part}", flush=True)
            measure(record, arguments.quick)
    (record.path.parent / f"{name}.md").write_text(render(record.content), encoding="utf-8")
    print(f"{record.path} and {name}.md written.")
