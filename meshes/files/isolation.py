"""Read a file in a process that may crash, hang or ask for any amount of memory without harm to this one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshes.errors import MeshFileError

__all__ = ["isolated"]

#: Memory and time of the reading process: some for Python itself, and what a file of that size can be worth.
_MEMORY, _MEMORY_PER_BYTE = 4 * 2**30, 64
_SECONDS, _SECONDS_PER_MEGABYTE = 60, 2


@contextmanager
def isolated(path: Path, form: str, ending: str) -> Iterator[tuple[Path, str]]:
    """Run the worker on a file; gives the file that it wrote, for the time of the block, and what it printed.

    Raises
    ------
    MeshFileError
        The worker found the file damaged, crashed, or ran out of its time or memory; the message does not name the
        file.
    """
    size = path.stat().st_size
    memory = _MEMORY + _MEMORY_PER_BYTE * size
    seconds = _SECONDS + _SECONDS_PER_MEGABYTE * (size // 2**20)
    worker = Path(__file__).with_name("worker.py")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / f"mesh{ending}"
        words = [form, str(path.absolute()), str(result), str(memory), str(seconds)]
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(worker), *words],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MeshFileError(f"its reader was not done after {seconds} s: damaged, or too large.") from error
        if done.stdout.startswith("ModuleNotFoundError"):
            raise MeshFileError(f"its reader needs a package that is missing ({done.stdout.strip()}): install it.")
        if done.returncode == 3:
            raise MeshFileError(f"not a file of this format, or damaged ({done.stdout.strip().splitlines()[-1]}).")
        if done.returncode or not result.is_file():
            raise MeshFileError(f"its reader crashed (exit code {done.returncode}): the file is damaged.")
        yield result, done.stdout + done.stderr
