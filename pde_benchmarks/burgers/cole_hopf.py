"""The exact solution of the viscous Burgers equation on a periodic interval (Hopf 1950, Cole 1951)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["cole_hopf", "series"]

#: Quadrature nodes within one standard deviation of the sharpest peak: the trapezoidal rule then errs by rounding only.
_NODES_PER_WIDTH = 2.0
#: Standard deviations of the heat kernel beyond the farthest characteristic: exp(−9²/2) is below rounding.
_TAIL = 9.0


def cole_hopf(initial: Tensor, viscosity: float, time: float, nodes: int, first: int = 0) -> Tensor:
    """u(x, T) of u_t + u u_x = ν u_xx on the periodic unit interval, at the nodes x_i = i/n of the initial values.

    u(x, T) = ⟨s⟩ / T, the mean of s under the weights exp(−(s²/2T + U(x − s)) / 2ν), U' = u(·, 0): a weighted mean of
    velocities along the lines that reach x, so that nothing cancels and no viscosity is too small for the exponent. The
    integral over s is a trapezoidal sum, which converges exponentially.

    Parameters
    ----------
    initial
        Values at i/n of a function without waves of n/2 and more, shape ``(batch, n)``.
    viscosity, time
        ν and T.
    nodes
        Least number of quadrature nodes per unit length.
    first
        Number of the first sample, for messages.

    Returns
    -------
    Tensor
        Shape ``(batch, n)``, differentiable.

    Raises
    ------
    ProblemError
        If a sample is not finite, or its peaks are too narrow for the nodes.
    """
    n = initial.shape[-1]
    stride = math.ceil(nodes / n)
    fine = stride * n
    _require_resolved(initial, viscosity, time, fine, first)
    farthest = time * series(initial, fine).detach().abs().max().item() + _TAIL * math.sqrt(2 * viscosity * time)
    reach = math.ceil(farthest * fine)
    index = torch.arange(-reach, fine - stride + reach + 1, device=initial.device)
    mean = initial.mean(-1, keepdim=True)
    potential = series(initial, fine, order=-1)[:, index % fine] + mean * (index / fine).to(initial.dtype)
    s = torch.arange(reach, -reach - 1, -1, device=initial.device).to(initial.dtype) / fine
    exponents = -(s**2 / (2 * time) + potential.unfold(1, len(s), stride)) / (2 * viscosity)
    return torch.softmax(exponents, dim=-1) @ s / time


def series(values: Tensor, points: int, order: int = 0) -> Tensor:
    """The trigonometric interpolant of ``(batch, n)`` on ``points`` nodes, cut to the waves |k| < points/2.

    ``order`` 1 gives its derivative, -1 the antiderivative of its deviation from the mean.
    """
    if not len(values):  # an empty batch has no transform
        return values.new_zeros((0, points))
    modes = (min(values.shape[-1], points) - 1) // 2
    spectrum = torch.fft.rfft(values, norm="forward")[:, : modes + 1]
    if order:
        waves = 2 * math.pi * torch.arange(1, modes + 1, device=values.device, dtype=values.dtype)
        spectrum = torch.nn.functional.pad(spectrum[:, 1:] * (1j * waves) ** order, (1, 0))
    padded = torch.nn.functional.pad(spectrum, (0, points // 2 - modes))
    return torch.fft.irfft(padded, n=points, norm="forward")


@torch.no_grad()
def _require_resolved(initial: Tensor, viscosity: float, time: float, fine: int, first: int) -> None:
    """The sharpest peak of the weights has the variance 2ν / (1/T + max u')."""
    curvature = 1 / time + series(initial, fine, order=1).amax(1).clamp(min=0)
    for sample, width in enumerate((2 * viscosity / curvature).sqrt().tolist(), first):
        if not math.isfinite(width):
            raise ProblemError(f"burgers: sample {sample} is not finite: remove it.")
        if width * fine < _NODES_PER_WIDTH:
            raise ProblemError(
                f"burgers: sample {sample} is too steep for {fine} quadrature nodes at viscosity {viscosity:.3g}: set "
                f"nodes to {math.ceil(_NODES_PER_WIDTH / width)} or more."
            )
