"""Optimistix on the constraint's least squares; run by an interpreter that has JAX, which this project has not.

optimistix_server.py CASE.npz: for every line on stdin one forward and backward pass, its seconds as JSON on stdout; at
the end answer.npz beside the case.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optimistix


def terms(fields):
    """u, ∂t u and ∂xx u of fields ``(*leading, t, x)``."""
    frames, cells = fields.shape[-2:]
    before = [(0, 0)] * (fields.ndim - 2)
    rate = jnp.pad(jnp.diff(fields, axis=-2), [*before, (1, 0), (0, 0)]) * (frames - 1)
    bend = jnp.pad(jnp.diff(fields, n=2, axis=-1), [*before, (0, 0), (1, 1)]) * (cells - 1) ** 2
    return fields, rate, bend


def main(path: Path) -> None:
    """Compile, serve, save."""
    jax.config.update("jax_enable_x64", True)
    with np.load(path) as case:
        names = ("basis", "offset", "start", "functional", "data")
        basis, offset, start, functional, wanted = (jnp.asarray(case[name]) for name in names)
        conditions, curve, kappa = jnp.asarray(case["conditions"]), float(case["curve"]), float(case["kappa"])
    sizes = 1 / jnp.sqrt(jnp.where(conditions, conditions.sum(), (~conditions).sum()))
    solver = optimistix.LevenbergMarquardt(rtol=1e-8, atol=1e-8)

    def rows(w, data):
        of_basis, of_offset, given = data
        u, rate, bend = (o + jnp.tensordot(w, b, 1) for o, b in zip(of_offset, of_basis, strict=True))
        inside = rate - kappa * bend + (curve * u**3 if curve else 0.0)
        return sizes * jnp.where(conditions, u - given, inside)

    def field(one_basis, one_offset, one_start, given):
        data = terms(one_basis), terms(one_offset), given
        found = optimistix.least_squares(rows, solver, one_start, args=data, max_steps=200, throw=False)
        return one_offset + jnp.tensordot(found.value, one_basis, 1), found.stats["num_steps"]

    def loss(all_basis):
        values, steps = jax.vmap(field)(all_basis, offset, start, wanted)
        return (functional * values).sum(), (values, steps)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, (values, steps)), gradient = jax.block_until_ready(step(basis))
    for _ in sys.stdin:
        began = time.perf_counter()
        jax.block_until_ready(step(basis))
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    np.savez(path.with_name("answer.npz"), values=values, gradient=gradient)
    print(json.dumps({"version": optimistix.__version__, "theirs": int(steps.max())}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
