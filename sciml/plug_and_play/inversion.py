"""From a learned proximal operator to that of any multiple of its prior, and to its inverse: one minimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sciml.errors import ConfigurationError, LearnerError
from solvers import Status
from solvers.nonlinear import NewtonCG, Objective, minimize
from solvers.nonlinear.solution import NonlinearSolution

__all__ = ["Inversion", "ProximalNetwork", "check_network_input", "invert_strength", "per_sample"]

_FLAT = 1e-4
_DAMPING = 1e-3


class ProximalNetwork(Protocol):
    """A network that is the gradient f of a convex potential ψ, ``(B, channels, *grid)`` to the same shape."""

    def __call__(self, v: Tensor) -> Tensor:
        """f(v)."""

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v) ``(B,)`` and f(v)."""

    @property
    def strong_convexity(self) -> float:
        """A lower bound of the eigenvalues of f's Jacobian."""


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
    tolerance: float | None = None,
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
        Largest residual; None: 1e-8 in double, 1e-5 in single precision.
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
    tolerance = _tolerance(tolerance, w.dtype)
    flat = w.flatten(1)
    unit = flat.detach().norm(dim=-1, keepdim=True).clamp(min=1)
    followed = torch.is_grad_enabled() and (w.requires_grad or strength.requires_grad)
    objective = _StrengthObjective(_frozen(network) if followed else network, w.shape[1:], unit)
    y0 = (w if start is None else start).detach().reshape(flat.shape)
    solver = NewtonCG(
        rtol=20 * torch.finfo(w.dtype).eps,
        max_iterations=max_steps,
        atol=tolerance,
        damping=_damping(network, strength),
    )
    with torch.set_grad_enabled(followed):
        found = minimize(objective, y0, (flat, strength), solver, throw=throw)
        return _inversion(objective, found, flat, strength, tolerance)


def check_network_input(network: Any, v: Tensor) -> None:
    """Raise `LearnerError` unless v is real, of the network's dtype and finite in shape."""
    if not v.is_floating_point() or v.ndim < 2:
        raise LearnerError(
            f"a learned prior takes real fields (B, channels, *grid), found {v.dtype} of shape {tuple(v.shape)}: "
            "convert them with .to(torch.float32), or .float() of what was an integer image divided by its range."
        )
    weights = next(network.parameters(), None) if isinstance(network, nn.Module) else None
    if weights is not None and weights.dtype != v.dtype:
        raise LearnerError(
            f"the prior's network holds {weights.dtype}, the field is {v.dtype}: convert one of them "
            "(network.double() for certificates at the level of 1e-8)."
        )


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
    objective: _StrengthObjective, found: NonlinearSolution, w: Tensor, tau: Tensor, tolerance: float
) -> Inversion:
    y = found.value
    potential, x = objective.network.potential_and_gradient(y.reshape(-1, *objective.shape))
    # The certificate: computed anew, not taken from the iteration.
    residual = (tau * y + (1 - tau) * x.reshape(y.shape) - w).detach().norm(dim=-1) / objective.unit.squeeze(-1)
    missed = (found.status == Status.CONVERGED) & ~(residual <= 2 * tolerance)
    assert found.stats.products is not None
    return Inversion(
        y.reshape(x.shape),
        x,
        potential,
        residual,
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


def _tolerance(tolerance: float | None, dtype: torch.dtype) -> float:
    eps = torch.finfo(dtype).eps
    if tolerance is None:
        return 1e-8 if eps < 1e-10 else 1e-5
    if not tolerance >= 20 * eps:
        raise ConfigurationError(
            f"tolerance = {tolerance:g}: {dtype} reaches residuals of about {20 * eps:.0e}; use float64, or a larger."
        )
    return tolerance


def _damping(network: ProximalNetwork, tau: Tensor) -> float:
    """Regularises Newton's matrix where nothing bounds its eigenvalues from below."""
    smallest = (tau + (1 - tau) * network.strong_convexity).detach().amin() if tau.numel() else torch.ones(())
    return _DAMPING if float(smallest) < _FLAT else 0.0


class _Frozen(nn.Module):
    """The network without a graph to its weights."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = self.network.potential_and_gradient(v)  # type: ignore[operator]
        return answer


@dataclass(frozen=True)
class _FrozenNetwork:
    module: _Frozen
    weights: dict[str, Tensor]
    strong_convexity: float

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = functional_call(self.module, self.weights, (v,))
        return answer

    def __call__(self, v: Tensor) -> Tensor:
        return self.potential_and_gradient(v)[1]


def _frozen(network: ProximalNetwork) -> ProximalNetwork:
    if not isinstance(network, nn.Module):
        return network
    module = _Frozen(network)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    return _FrozenNetwork(module, weights, network.strong_convexity)
