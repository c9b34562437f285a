"""Solve a batch of stochastic differential equations adaptively, path by path, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sciml.learners.neural_ode.controller import Controller, PIController, Times
from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Dynamics, Field, refuse_random_layers
from sciml.learners.neural_ode.times import checked_times
from sciml.learners.neural_sde.brownian import BrownianPath
from sciml.learners.neural_sde.counter_noise import independent_seeds
from sciml.learners.neural_sde.integrate import StochasticIntegrator
from sciml.learners.neural_sde.noise_field import NoiseField
from sciml.learners.neural_sde.schemes import Interpretation, scheme_named
from sciml.learners.neural_sde.solution import SDESolution, raise_on_failure, statistics

__all__ = ["sdesolve"]

_RECORDS = ("error", "raw_error", "h")


def sdesolve(
    drift: Dynamics,
    diffusion: Dynamics,
    z0: Tensor,
    t_eval: Tensor,
    *,
    seed: int | Tensor | None = None,
    brownian: BrownianPath | None = None,
    interpretation: Interpretation = "ito",
    args: Sequence[object] = (),
    sample_args: Sequence[Tensor] = (),
    method: str | None = None,
    rtol: float = 1e-2,
    atol: float = 1e-2,
    controller: Controller = PIController(largest=3.0),  # noqa: B008, frozen
    first_step: float | None = None,
    max_steps: int = 10_000,
    on_failure: Literal["raise", "status"] = "raise",
    record: Sequence[str] = ("error", "h"),
    drift_weight: float = 1 / 6,
    compaction: float = 0.5,
) -> SDESolution:
    r"""Solve dz = f(t, z) dt + g(t, z) dW, z(t₀) = z₀, with diagonal noise, for every sample of a batch.

    Parameters
    ----------
    drift, diffusion
        ``f(t, z, *sample_args, *args)`` and g likewise, with ``t`` ``(B,)`` and ``z`` ``(B, *shape)``, both of the
        dtype of `z0`; each returns the shape of z. Samples must not influence one another.
    z0
        Initial states, ``(B, *shape)``, floating point.
    t_eval
        Times of the outputs, the first of them the initial one: ``(M,)`` increasing, or ``(B, M)`` with repeated last
        times where a sample needs fewer. Rounded to a tick of the path, by default 2⁻²⁴ of the interval.
    seed
        A seed per sample, ``(B,)`` int64, that belongs to the sample in whatever batch it is; or one number, from which
        `independent_seeds` makes them.
    brownian
        Instead of a seed, the paths themselves, e.g. over a longer interval.
    interpretation
        Whose integral: "ito" or "stratonovich".
    args, sample_args
        Further arguments, shared by all samples; tensors with one row per sample.
    method
        "milstein" (Itô) or "euler_heun" (Stratonovich); None: the one of the interpretation. Both of strong order 1.
    rtol, atol
        Tolerances of the local error estimate; its RMS over the entries of a sample is kept below one tolerance.
    controller, first_step
        Step-size control; size of the first step, by default found with one more evaluation.
    max_steps
        Attempts after which a sample gives up.
    on_failure
        "raise" `SolverError`, or return the partial result with its `status`.
    record
        Which of "error", "raw_error", "h" to keep in the statistics, differentiable.
    drift_weight
        δ in the estimate δ E_drift + E_noise (Rackauckas & Nie, Discrete Cont. Dyn. Syst. B 22, 2017).
    compaction
        Finished samples leave the batch when fewer than this part of it still runs; 0 keeps shapes static.

    Returns
    -------
    SDESolution
        Outputs ``(M, B, *shape)``, statistics and the status of every sample. Outputs inside a step are interpolated
        with the path's own noise (`StochasticStep.interpolated`), so they do not shorten steps.

    Raises
    ------
    IntegrationInputError
        For times, tolerances, states, seeds or options that cannot be used.
    SolverError
        If a sample did not reach its last time and `on_failure` is "raise".

    Examples
    --------
    >>> z0, times = torch.ones(4, 1, dtype=torch.float64), torch.tensor([0.0, 1.0])
    >>> solution = sdesolve(lambda t, z: 0.1 * z, lambda t, z: 0.2 * z, z0, times, seed=0, rtol=1e-4, atol=1e-4)
    >>> exact = torch.exp(0.1 - 0.2**2 / 2 + 0.2 * solution.brownian(1.0))
    >>> bool((solution.ys[-1] - exact).abs().max() < 1e-3)
    True
    """
    times = _increasing(checked_times(t_eval, z0))
    _check(z0, sample_args, rtol, atol, first_step, max_steps, on_failure, record, compaction)
    for network in (drift, diffusion):
        refuse_random_layers(network)
    scheme = scheme_named(method, interpretation)
    rows = times.expand(len(z0), -1).cpu().numpy()
    brownian = _path(seed, brownian, z0, rows)
    estimates = Estimates(rtol, atol, "error" in record, "raw_error" in record, stiffness=False)
    integrator = StochasticIntegrator(scheme, controller, estimates, drift_weight, first_step, max_steps, compaction)
    shape, options = tuple(z0.shape[1:]), (tuple(args), tuple(sample_args))
    f, g = Field(drift, shape, None, *options), NoiseField(diffusion, shape, None, *options)
    trajectory = integrator.run(f, g, brownian, z0.reshape(len(z0), -1), _ticks(brownian, rows))
    guesses = 1 if first_step is None else 0
    solution = SDESolution(
        ys=trajectory.outputs.reshape(-1, *z0.shape),
        ts=times,
        stats=statistics(trajectory, scheme, guesses, f.counter.calls),
        status=trajectory.status,
        reached=trajectory.reached,
        brownian=brownian,
        tableau=scheme,
        estimates=estimates,
        drift_failed=trajectory.drift_failed,
    )
    if on_failure == "raise":
        raise_on_failure(solution, max_steps)
    return solution


def _increasing(times: Tensor) -> Tensor:
    if bool((times[..., -1] < times[..., 0]).any()):
        raise IntegrationInputError(
            "t_eval decreases; a stochastic integral runs forward in time: pass increasing times "
            "(for a reversed equation, change its coefficients to those of T - t)."
        )
    return times


def _path(seed: int | Tensor | None, brownian: BrownianPath | None, z0: Tensor, times: Times) -> BrownianPath:
    features = z0[0].numel()
    if (seed is None) == (brownian is None):
        raise IntegrationInputError(
            f"seed={seed!r}, brownian={brownian!r}: expected exactly one of them; seed=0 will do for one batch."
        )
    if brownian is not None:
        if (len(brownian.seeds), brownian.features) != (len(z0), features) or brownian.seeds.device != z0.device:
            raise IntegrationInputError(
                f"brownian has {len(brownian.seeds)} samples of {brownian.features} features on "
                f"{brownian.seeds.device}; expected {len(z0)} of {features} on {z0.device}."
            )
        return brownian
    if isinstance(seed, Tensor):
        if seed.shape != (len(z0),):
            raise IntegrationInputError(f"seed has shape {tuple(seed.shape)}; expected ({len(z0)},), one per sample.")
        seeds = seed.to(z0.device)
    else:
        assert seed is not None
        seeds = independent_seeds(seed, len(z0), z0.device)
    start, end = times[:, 0], times[:, -1]
    return BrownianPath(seeds, features, start, np.where(end > start, end, start + 1.0))


def _ticks(brownian: BrownianPath, times: Times) -> Times:
    ticks = brownian.ticks(times.T).T
    merged = (np.diff(ticks) == 0) & (np.diff(times) > 0)
    if merged.any():
        row, column = (int(index) for index in np.argwhere(merged)[0])
        raise IntegrationInputError(
            f"t_eval of sample {row}: {times[row, column]:.12g} and the next time are closer than the resolution of "
            f"the Brownian path, {brownian.resolution[row]:.3g}; drop one, or pass a path of more levels."
        )
    return ticks


def _check(
    z0: Tensor, sample_args: Sequence[Tensor], rtol: float, atol: float, first_step: float | None, max_steps: int,
    on_failure: str, record: Sequence[str], compaction: float,
) -> None:  # fmt: skip
    if not torch.is_floating_point(z0) or z0.ndim < 2 or z0.numel() == 0:
        raise IntegrationInputError(
            f"z0 is {tuple(z0.shape)} {z0.dtype}; expected a floating-point state (batch, features...) with at least "
            "one of each (z0[None] makes one sample a batch)."
        )
    for index, arg in enumerate(sample_args):
        if len(arg) != len(z0):
            raise IntegrationInputError(
                f"sample_args[{index}] has {len(arg)} rows for {len(z0)} samples; expected one row per sample."
            )
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise IntegrationInputError(f"rtol={rtol}, atol={atol}: expected both at least 0 and one of them positive.")
    if first_step is not None and not first_step > 0:
        raise IntegrationInputError(f"first_step={first_step}: expected a positive size, or None.")
    if max_steps < 1 or not 0 <= compaction <= 1:
        raise IntegrationInputError(
            f"max_steps={max_steps}, compaction={compaction}: expected at least 1, and a part between 0 and 1."
        )
    if on_failure not in ("raise", "status"):
        raise IntegrationInputError(f"on_failure={on_failure!r}: unknown; expected 'raise' or 'status'.")
    unknown = [name for name in record if name not in _RECORDS]
    if unknown:
        raise IntegrationInputError(f"record: {unknown[0]!r} is unknown; expected some of {', '.join(_RECORDS)}.")
