"""The constraint layer against Optimistix (JAX, jitted, implicit adjoint) on the same least squares."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parts.hard_constraint_cases import sorption
from parts.record import at_most
from parts.training_script import Session
from pde_benchmarks.termwise import TermwiseResidual
from sciml.learners.hard_constraints import ConstraintLayer, PlainNorm

__all__ = ["rivals"]

SERVER = Path(__file__).with_name("optimistix_server.py")
KAPPA = 0.1
#: Strength of the reaction c u³.
CURVES = {"linear": 0.0, "nonlinear": 2.0}
BAR = at_most(1.0)


class Reaction(TermwiseResidual):
    """∂t u − κ ∂xx u + c u³ by implicit differences; u − g at the start and at both ends, with the parameter g."""

    def __init__(self, data: Tensor, curve: float) -> None:
        self.shape, self.parameters, self.curve = tuple(data.shape[1:]), (data,), curve
        self.global_rows = torch.zeros(self.shape, dtype=torch.bool)
        self.global_rows[0], self.global_rows[:, 0], self.global_rows[:, -1] = True, True, True

    def terms(self, fields: Tensor) -> Tensor:
        frames, cells = self.shape
        rate = torch.nn.functional.pad(fields.diff(dim=-2), (0, 0, 1, 0)) * (frames - 1)
        bend = torch.nn.functional.pad(fields.diff(n=2, dim=-1), (1, 1)) * (cells - 1) ** 2
        return torch.stack([fields, rate, bend], -3)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        u, rate, bend = terms.unbind(1)
        return torch.where(self.global_rows, u - parameters[0], rate - KAPPA * bend + self.curve * u**3)

    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda rows: rows


def rivals(session: Session) -> None:
    """Forward and backward on one core, in turn; both solve to the same tolerance from the same weights."""
    record, small = session.record, session.scale.small
    python = session.more.get("jax-python")
    reason = "theseus was not installed: it needs SuiteSparse and a build of its own"
    record.figure("layer_over_theseus.time", None, reason=reason)
    if python is None:
        missing = "no interpreter with Optimistix was given: --jax-python PATH"
        for name in CURVES:
            record.figure(f"layer_over_optimistix.time.{name}", None, reason=missing)
        record.figure("layer_over_optimistix.time", None, reason=missing, bar=BAR)
        return
    rows, worst = [], []
    for name, curve in CURVES.items():
        ours, theirs, answer = _raced(python, curve, small)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        note = f"fields differ by {answer['field']:.0e}, gradients by {answer['gradient']:.0e} (relative)"
        record.figure(f"layer_over_optimistix.time.{name}", ratios, timed=True, unit="1", note=note)
        rows += [
            [name, "layer", 1e3 * median(ours), answer["ours"]],
            [name, f"Optimistix {answer['version']}", 1e3 * median(theirs), answer["theirs"]],
        ]
        worst = max(worst, ratios, key=lambda values: median(values) if values else 0.0)
    note = "the larger of linear and nonlinear"
    record.figure("layer_over_optimistix.time", worst, timed=True, unit="1", bar=BAR, note=note)
    caption = (
        "A reaction on a grid of space and time, all points, plain norm, float64, one core: time of the field and of "
        "its gradient in the basis for a random functional; JAX compiled, Levenberg–Marquardt with its implicit "
        "adjoint. Theseus was not installed."
    )
    record.table("rivals", ["residual", "way", "forward + backward ms", "most iterations"], rows, caption)


def _raced(python: str, curve: float, small: bool) -> tuple[list[float], list[float], dict[str, Any]]:
    """Seconds of ours and theirs in interleaved rounds, and how far apart the results are."""
    case = sorption(2, 6, 16, 9) if small else sorption(6, 16, 64, 51)
    residual, layer = Reaction(_data(case.offset), curve), ConstraintLayer(PlainNorm())
    basis = case.basis.clone().requires_grad_()
    start = layer.start(layer.expansion(residual, case.basis, case.offset), 1, None)

    def step() -> tuple[Tensor, Tensor, int]:
        found = layer(residual, basis, case.offset, start)
        (gradient,) = torch.autograd.grad((case.functional * found.values).sum(), basis)
        return found.values.detach(), gradient, int(found.iterations.max())

    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    torch.set_num_threads(1)
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "case.npz"
        np.savez(
            arrays, basis=case.basis, offset=case.offset, start=start[:, 0], functional=case.functional,
            conditions=residual.global_rows, data=residual.parameters[0], curve=curve, kappa=KAPPA,
        )  # fmt: skip
        os.sched_setaffinity(0, {core})
        try:
            server = subprocess.Popen(
                [python, SERVER, arrays], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_one_thread()
            )
            with server:
                asked, told = server.stdin, server.stdout
                assert asked is not None
                assert told is not None
                for round_ in range(2 if small else 12):
                    began = time.perf_counter()
                    values, gradient, steps = step()
                    seconds = time.perf_counter() - began
                    asked.write("again\n")
                    asked.flush()
                    line = told.readline()
                    if not line:
                        sys.exit(f"hard_constraints.py: {python} {SERVER.name} stopped; its message is above.")
                    if round_:  # the first one warms up
                        ours.append(seconds)
                        theirs.append(json.loads(line)["seconds"])
                asked.close()
                answer = json.loads(told.readline())
        finally:
            os.sched_setaffinity(0, before)
        with np.load(arrays.with_name("answer.npz")) as found:
            apart = {"field": _apart(values, found["values"]), "gradient": _apart(gradient, found["gradient"])}
    return ours, theirs, {**answer, **apart, "ours": steps}


def _data(like: Tensor) -> Tensor:
    """g ``(B, t, x)``: no combination of the basis satisfies the equation with it."""
    frames, cells = like.shape[1:]
    t, x = torch.linspace(0, 1, frames, dtype=like.dtype), torch.linspace(0, 1, cells, dtype=like.dtype)
    return like + torch.sin(7 * x) * torch.exp(-2 * t[:, None])


def _one_thread() -> dict[str, str]:
    flags = "--xla_cpu_multi_thread_eigen=false"
    return {**os.environ, "XLA_FLAGS": flags, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}


def _apart(ours: Tensor, theirs: np.ndarray[Any, Any]) -> float:
    other = torch.from_numpy(theirs)
    return float((ours - other).norm() / other.norm())
