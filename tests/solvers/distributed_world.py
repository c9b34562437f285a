"""A handful of processes that run the jobs of a test together."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import tempfile
import traceback
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

SECONDS = 60


class World:
    """`size` gloo processes, started when first needed and again after a job has failed or hung."""

    def __init__(self, size):
        self.size, self.processes, self.pipes = size, [], []

    def run(self, job, *arguments):
        """``job(*arguments)`` on every process, where `job` is a function of an importable module: the results."""
        if not self.processes:
            self.start()
        for pipe in self.pipes:
            pipe.send_bytes(pickle.dumps((job, arguments)))
        end, answers = monotonic() + SECONDS, []
        for rank, pipe in enumerate(self.pipes):
            try:
                answered = pipe.poll(max(0.0, end - monotonic()))
                answers.append(pickle.loads(pipe.recv_bytes()) if answered else (False, f"process {rank} hangs"))
            except EOFError:
                answers.append((False, f"process {rank} died"))
        complaints = [text for succeeded, text in answers if not succeeded]
        if complaints:
            self.stop()
            raise AssertionError("\n".join(complaints))
        return [value for _, value in answers]

    def start(self):
        context = multiprocessing.get_context("spawn")
        meeting = Path(tempfile.mkdtemp()) / "meeting"
        for rank in range(self.size):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(rank, self.size, str(meeting), theirs), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self.pipes.append(ours)

    def stop(self):
        for process in self.processes:
            process.kill()
            process.join()
        self.processes, self.pipes = [], []


def serve(rank: int, size: int, meeting: str, pipe: Connection) -> None:
    """Run jobs until the test process goes away."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # containers may not know their own host's name
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=timedelta(seconds=SECONDS // 2)
    )
    while True:
        try:
            task = pipe.recv_bytes()
        except EOFError:
            return
        try:
            job, arguments = pickle.loads(task)
            answer = True, job(*arguments)
        except Exception:
            answer = False, f"process {rank}:\n{traceback.format_exc()}"
        pipe.send_bytes(pickle.dumps(answer))
