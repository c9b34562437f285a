"""Meshes: orders of convergence, assembly, interpolation, embeddings, files. Writes meshes.json and meshes.md.

python docs/benchmarks/meshes.py [--quick] [--only PART,PART]
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# This folder comes last on the path: its `solvers.py` and `meshes.py` must not stand in for the packages.
sys.path.append(sys.path.pop(0))

#: Part: where it is written.
PARTS = {
    "elements": "mesh_elements",
    "interpolation": "mesh_interpolation",
    "morphing": "mesh_morphing",
    "files": "mesh_files",
}


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
    from parts.mesh_page import render
    from parts.record import Record

    record = Record("meshes", arguments.device, Path(tempfile.mkdtemp()) if arguments.quick else HERE)
    for name, module in PARTS.items():
        if name in arguments.only.split(","):
            print(f"— {name}", flush=True)
            importlib.import_module(f"parts.{module}").measure(record, arguments.quick)
    (record.path.parent / "meshes.md").write_text(render(record.content), encoding="utf-8")
    print(f"{record.path} and meshes.md written.")


if __name__ == "__main__":
    main()
