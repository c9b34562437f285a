"""From a learned proximal operator to that of any multiple of its prior, and to its inverse: one minimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.proximal_network import ProximalNetwork, check_network_input, without_weights
from solvers import Status
from solvers.nonlinear import NewtonCG, Objective, minimize
from solvers.nonlinear.solution import NonlinearSolution

__all__ = ["Inversion", "ProximalNetwork", "invert_strength", "per_sample"]

_FLAT = 1e-4
_DAMPING = 1e-3


@dataclass(frozen=True)
class Inversion:
    """What `invert_strength` found; B samples.

    Attributes
    ----------
    y
        The solution of τ y + (1 − τ) f(y) = w, shape of w.
    x
        f(y).
    potential
        ψ(y), ``(B,)``.
    residual
        ‖τ y + (1 − τ) f(y) − w‖₂ / max(1, ‖w‖₂), ``(B,)``.
    status
        How each sample ended, `solvers.Status` codes ``(B,)``.
    newton_steps, products
        Newton steps and products with the Jacobian of f that each sample took, ``(B,)``.
    """

    y: Tensor
    x: Tensor
    potential: Tensor
    residual: Tensor
    status: Tensor
    newton_steps: Tensor
    products: Tensor

    @property
    def converged(self) -> Tensor:
        """Where the residual is within the tolerance, ``(B,)``."""
        return self.status == Status.CONVERGED

    @property
    def prior_value(self) -> Tensor:
        """R(x) = ⟨y, x⟩ − ½‖x‖² − ψ(y), ``(B,)``, up to one constant of the network."""
        return ((self.y - self.x / 2) * self.x).flatten(1).sum(-1) - self.potential


def invert_strength(
    network: ProximalNetwork,
    w: Tensor,
    tau: float | Tensor,
    start: Tensor | None = None,
    tolerance: float | Tensor | None = None,
    *,
    max_steps: int = 50,
    throw: bool = True,
) -> Inversion:
    """Solve τ y + (1 − τ) f(y) = w; then f(y) is the proximal operator of τ R at w, where f is that of R.

    y minimises τ ½‖y‖² + (1 − τ) ψ(y) − ⟨w, y⟩, which is convex for 0 ≤ τ ≤ 1 (and for τ > 1 while
    τ (1 − 1/L) < 1 with the Lipschitz constant L of f); `NewtonCG` finds it. τ = 1 gives y = w, τ = 0 inverts f.

    Parameters
    ----------
    network
        f with its potential, in the dtype of w.
    w
        ``(B, channels, *grid)``, float32 or float64. Gradients flow to w and tau by the implicit function theorem,
        not to the weights of the network.
    tau
        Strength τ ≥ 0, one number or ``(B,)``.
    start
        First guess of y, for instance that of a similar w; w by default.
    tolerance
        Largest residual, one number or ``(B,)``; None: 1e-8 in double, 1e-5 in single precision.
    max_steps
        Newton steps after which samples are given up.
    throw
        Raise if a sample has not converged. False: read ``status``; where τ = 0 and f has a bounded range, there is no
        solution for w outside of it, and the residual stays large.

    Raises
    ------
    ConfigurationError
        tau is negative or not finite.
    LearnerError
        w has another dtype than the network.
    SolveError
        A sample has not converged and `throw` is set.

    Examples
    --------
    >>> import torch
    >>> from sciml.plug_and_play import QuadraticNetwork, invert_strength
    >>> halves = QuadraticNetwork(0.5 * torch.eye(2, dtype=torch.float64))  # f(v) = v/2, R(x) = ½‖x‖²
    >>> w = torch.tensor([[3.0, 6.0]], dtype=torch.float64)
    >>> x = invert_strength(halves, w, tau=2.0).x  # the proximal operator of ‖x‖²
    >>> torch.allclose(x, w / 3)
    True
    """
    check_network_input(network, w)
    strength = _strength(tau, w)
    allowed = _tolerance(tolerance, w)
    flat = w.flatten(1)
    # Every sample is measured in units of the error that it may have: so all have the tolerance one.
    unit = flat.detach().norm(dim=-1, keepdim=True).clamp(min=1) * allowed
    followed = torch.is_grad_enabled() and (w.requires_grad or strength.requires_grad)
    objective = _StrengthObjective(without_weights(network) if followed else network, w.shape[1:], unit)
    y0 = (w if start is None else start).detach().reshape(flat.shape)
    solver = NewtonCG(
        rtol=20 * torch.finfo(w.dtype).eps,
        max_iterations=max_steps,
        atol=1.0,
        damping=_damping(network, strength),
    )
    with torch.set_grad_enabled(followed):
        found = minimize(objective, y0, (flat, strength), solver, throw=throw)
        return _inversion(objective, found, flat, strength, allowed)


def per_sample(number: float | Tensor, like: Tensor) -> Tensor:
    """A number, or one a sample ``(B,)``, as ``(B, 1, …)`` to multiply `like` ``(B, …)``; the dtype is that of like."""
    tensor = torch.as_tensor(number, dtype=like.dtype, device=like.device)
    return tensor.reshape(-1, *(1,) * (like.ndim - 1))


@dataclass(frozen=True)
class _StrengthObjective(Objective):
    """(τ ½‖y‖² + (1 − τ) ψ(y) − ⟨w, y⟩) / unit of flat y ``(B, n)``, with the parameters w and τ ``(B, 1)``."""

    network: ProximalNetwork
    shape: torch.Size
    unit: Tensor

    def value_and_gradient(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        w, tau = parameters
        psi, f = self.network.potential_and_gradient(x.reshape(-1, *self.shape))
        value = tau * x.square().sum(-1, keepdim=True) / 2 + (1 - tau) * psi.unsqueeze(-1)
        value = value - (w * x).sum(-1, keepdim=True)
        slope = tau * x + (1 - tau) * f.reshape(x.shape) - w
        return (value / self.unit).squeeze(-1), slope / self.unit

    def gradient(self, x: Tensor, *parameters: Tensor) -> Tensor:
        w, tau = parameters
        f = self.network(x.reshape(-1, *self.shape)).reshape(x.shape)
        return (tau * x + (1 - tau) * f - w) / self.unit


def _inversion(
    objective: _StrengthObjective, found: NonlinearSolution, w: Tensor, tau: Tensor, allowed: Tensor
) -> Inversion:
    y = found.value
    potential, x = objective.network.potential_and_gradient(y.reshape(-1, *objective.shape))
    # The certificate: computed anew, not taken from the iteration.
    left = (tau * y + (1 - tau) * x.reshape(y.shape) - w).detach().norm(dim=-1, keepdim=True) / objective.unit
    missed = (found.status == Status.CONVERGED) & ~(left <= 2).squeeze(-1)
    assert found.stats.products is not None
    return Inversion(
        y.reshape(x.shape),
        x,
        potential,
        (left * allowed).squeeze(-1),
        torch.where(missed, Status.STAGNATION, found.status).to(found.status.dtype),
        found.stats.iterations,
        found.stats.products,
    )


def _strength(tau: float | Tensor, w: Tensor) -> Tensor:
    """τ as ``(B, 1)``."""
    strength = torch.as_tensor(tau, dtype=w.dtype, device=w.device)
    if strength.numel() not in (1, w.shape[0]):
        raise ConfigurationError(
            f"tau has shape {tuple(strength.shape)}, expected a number or one a sample, ({w.shape[0]},)."
        )
    if not bool((strength.isfinite() & (strength >= 0)).all()):
        raise ConfigurationError(f"tau = {strength.detach().min().item():g}: the strength of a prior is at least 0.")
    return strength.reshape(-1, 1).expand(w.shape[0], 1)


def _tolerance(tolerance: float | Tensor | None, w: Tensor) -> Tensor:
    """The largest residuals, ``(B, 1)``."""
    eps = torch.finfo(w.dtype).eps
    if tolerance is None:
        tolerance = 1e-8 if eps < 1e-10 else 1e-5
    allowed = torch.as_tensor(tolerance, dtype=w.dtype, device=w.device).reshape(-1, 1)
    if len(allowed) not in (1, len(w)) or not bool((allowed >= 20 * eps).all()):
        raise ConfigurationError(
            f"tolerance = {tolerance}: one number or one a sample, ({len(w)},), is expected, and {w.dtype} reaches "
            f"residuals of about {20 * eps:.0e}; use float64, or a larger one."
        )
    return allowed.expand(len(w), 1)


def _damping(network: ProximalNetwork, tau: Tensor) -> float:
    """Regularises Newton's matrix where nothing bounds its eigenvalues from below."""
    smallest = (tau + (1 - tau) * network.strong_convexity).detach().amin() if tau.numel() else torch.ones(())
    return _DAMPING if float(smallest) < _FLAT else 0.0
