"""The commands of ``sciml`` in processes of their own that can be killed, without waiting for imports each time."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "call", "prepare"]

PATIENCE = 300.0
_PRELOADED = (
    "sciml.cli",
    "sciml.experiments",
    "sciml.learner",
    "sciml.training",
    "sciml.figures",
    "sciml.mesh_learner",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (minus the signal's number), standard error, and seconds."""

    code: int
    words: str
    seconds: float

    @property
    def complaint(self) -> str:
        """The lines in which sciml itself complains."""
        return "\n".join(line for line in self.words.splitlines() if line.startswith("sciml: "))


def prepare(cache: Path) -> None:
    """Import here, once, what the commands need, and keep their data in ``cache``."""
    import matplotlib
    import torch

    matplotlib.use("Agg")
    torch.set_num_threads(1)
    os.environ["SCIML_CACHE"] = str(cache)
    for name in (*_PRELOADED, "matplotlib.pyplot", "h5py", "accelerate", "scipy.sparse"):
        importlib.import_module(name)
    from sciml.learner import learner_types

    learner_types()


def call(arguments: Sequence[object], errors: Path, kill_after: float | None = None) -> Ended:
    """Run ``sciml ARGUMENTS`` in a fork of this process; with ``kill_after`` send it SIGKILL after so many seconds."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _obey([str(argument) for argument in arguments], errors)
    limit = PATIENCE if kill_after is None else kill_after
    while time.monotonic() - began < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return _ended(status, errors, began)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return _ended(status, errors, began)


def _obey(arguments: list[str], errors: Path) -> None:
    """The child: never returns."""
    code = 70
    with contextlib.suppress(BaseException), errors.open("w") as stream:
        for number, target in ((1, os.open(os.devnull, os.O_WRONLY)), (2, stream.fileno())):
            os.dup2(target, number)
        try:
            from sciml.cli import main

            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _ended(status: int, errors: Path, began: float) -> Ended:
    words = errors.read_text(errors="replace") if errors.is_file() else ""
    return Ended(os.waitstatus_to_exitcode(status), words, time.monotonic() - began)
