"""Priors as plug-and-play iterations see them: a proximal operator, and the value of the function it belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError, LearnerError
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.inversion import invert_strength, per_sample
from sciml.plug_and_play.proximal_network import ProximalNetwork, check_network_input

__all__ = ["DenoiserPrior", "LearnedPrior", "Prior", "ProximalPoint", "StrengthenedPrior"]

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass(frozen=True)
class ProximalPoint:
    """A point prox_R(v); B samples.

    Attributes
    ----------
    x
        The point, shape of v.
    value
        R(x) up to one constant of the prior, ``(B,)``; None where there is no such function, or it is not known.
    dual
        From where the next proximal point nearby is found soon: the `start` of the next call.
    solved
        Where the point was found to the tolerance, ``(B,)``; None where it is a closed form.
    slope
        An element of R's subdifferential at x, shape of x: v − x, but for the error of an inner iteration.
    """

    x: Tensor
    value: Tensor | None
    dual: Tensor
    solved: Tensor | None = None
    slope: Tensor | None = None

    def subgradient(self, v: Tensor) -> Tensor:
        """An element of R's subdifferential at x = prox_R(v)."""
        return v - self.x if self.slope is None else self.slope


class Prior(ABC):
    """A function R, known through its proximal operator prox_R(v) = argmin_x R(x) + ½‖x − v‖²."""

    #: Whether `prox` is the proximal operator of a function, so that the iterations minimise something.
    exact: bool = True
    #: A certified bound of the Lipschitz constant of `prox`; None where there is none.
    lipschitz: float | None = None

    @abstractmethod
    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        """prox_R(v) of ``v (B, channels, *grid)``; start is the `dual` of a point nearby."""

    def assumptions(self) -> list[Assumption]:
        """What theorems ask of priors, and whether this one has it."""
        return [Assumption("the prior's step is the proximal operator of a function", self.exact)]

    def scaled(self, tau: float | Tensor) -> Prior:
        """The prior τ R, τ > 0 (one number, or one a sample): itself for τ = 1.

        Raises
        ------
        ConfigurationError
            If the proximal operator of τ R is not known.
        """
        if is_one(tau):
            return self
        raise ConfigurationError(
            f"{type(self).__name__} has one strength, a multiple of {described(tau)} is not known: give the proximal "
            "gradient method the step 1/weight, and ADMM the penalty weight, so that no multiple is needed."
        )

    def approximate(self, tolerance: Tensor) -> Prior:
        """The same prior, whose inner iterations may end when v is met to tolerance ``(B,)`` · max(1, ‖v‖)."""
        return self


class LearnedPrior(Prior):
    """The R whose proximal operator is a learned proximal network f = ∇ψ.

    Values come for free with the proximal points, R(f(v)) = ⟨v, f(v)⟩ − ½‖f(v)‖² − ψ(v), and multiples of R by
    `StrengthenedPrior`.

    Parameters
    ----------
    network
        f with its potential.
    lipschitz
        A proven bound of the Lipschitz constant of f. Estimates at some points bound it from below, and prove nothing.

    Examples
    --------
    >>> import torch
    >>> from sciml.plug_and_play import QuadraticNetwork
    >>> prior = LearnedPrior(QuadraticNetwork(0.5 * torch.eye(2)))  # R(x) = ½‖x‖²
    >>> point = prior.prox(torch.tensor([[2.0, 4.0]]))
    >>> point.x, point.value
    (tensor([[1., 2.]]), tensor([2.5000]))
    """

    def __init__(self, network: ProximalNetwork, lipschitz: float | None = None) -> None:
        self.network = network
        self.lipschitz = _checked_lipschitz(lipschitz)

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        check_network_input(self.network, v)
        psi, x = self.network.potential_and_gradient(v)
        return ProximalPoint(x, ((v - x / 2) * x).flatten(1).sum(-1) - psi, v)

    def scaled(self, tau: float | Tensor) -> Prior:
        return self if is_one(tau) else StrengthenedPrior(self.network, tau, self.lipschitz)


class StrengthenedPrior(Prior):
    """τ R for the R of a learned proximal network: the exact strength.

    prox_{τR}(w) = f(y) with τ y + (1 − τ) f(y) = w, one convex minimisation by `invert_strength`.

    Parameters
    ----------
    network
        f with its potential.
    tau
        τ > 0, one number or ``(B,)``. Above 1 the minimisation is convex while τ (1 − 1/L) < 1.
    network_lipschitz
        A proven bound L of the Lipschitz constant of f.
    tolerance
        Of the minimisation, as in `invert_strength`; None: 1e-10 in double, 1e-5 in single precision. Iterations around
        it end at fixed-point residuals of about this size, not below.
    """

    def __init__(
        self,
        network: ProximalNetwork,
        tau: float | Tensor,
        network_lipschitz: float | None = None,
        tolerance: float | Tensor | None = None,
    ) -> None:
        check_strength(tau)
        strongest = float(torch.as_tensor(tau).max())
        self.network, self.tau, self.tolerance = network, tau, tolerance
        self._network_lipschitz = _checked_lipschitz(network_lipschitz)
        self.lipschitz = strengthened_lipschitz(network_lipschitz, strongest)
        self._convex = strongest <= 1 or self.lipschitz is not None

    def assumptions(self) -> list[Assumption]:
        convex = f"strength {described(self.tau)} of the prior makes its minimisation convex"
        return [*super().assumptions(), Assumption(convex, self._convex)]

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        found = invert_strength(self.network, v, self.tau, start, self._tolerance(v.dtype), throw=False)
        tau = torch.as_tensor(self.tau, dtype=v.dtype, device=v.device)
        slope = per_sample(tau, v) * (found.y - found.x)  # y − f(y) is a subgradient of R at f(y), whatever y is
        return ProximalPoint(found.x, tau * found.prior_value, found.y, found.converged, slope)

    def approximate(self, tolerance: Tensor) -> Prior:
        rough = torch.maximum(tolerance, torch.as_tensor(self._tolerance(tolerance.dtype)).to(tolerance))
        return StrengthenedPrior(self.network, self.tau, self._network_lipschitz, rough)

    def scaled(self, tau: float | Tensor) -> Prior:
        if is_one(tau):
            return self
        return StrengthenedPrior(self.network, tau * self.tau, self._network_lipschitz, self.tolerance)

    def _tolerance(self, dtype: torch.dtype) -> float | Tensor:
        if self.tolerance is not None:
            return self.tolerance
        return _TOLERANCE[dtype]


class DenoiserPrior(Prior):
    """Any denoiser in the place of a proximal operator: nothing is minimised, and nothing is promised.

    Parameters
    ----------
    denoiser
        Fields ``(B, channels, *grid)`` to fields of the same shape.
    """

    exact = False

    def __init__(self, denoiser: Callable[[Tensor], Tensor]) -> None:
        self.denoiser = denoiser

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        x = self.denoiser(v)
        if x.shape != v.shape:
            raise LearnerError(
                f"the denoiser made {tuple(x.shape)} of {tuple(v.shape)}: it must keep shape and channels."
            )
        return ProximalPoint(x, None, v)


def strengthened_lipschitz(lipschitz: float | None, tau: float) -> float | None:
    """Bound for prox_{τR} from a bound L for prox_R: R is (1 − 1/L)-weakly convex, so 1 / (1 − τ (1 − 1/L)).

    None where nothing is known, or τ R is too far from convex for a bound.
    """
    if lipschitz is None:
        return None
    left = 1 - tau * (1 - 1 / lipschitz)
    return 1 / left if left > 0 else None


def check_strength(tau: float | Tensor) -> None:
    """Raise `ConfigurationError` unless τ is positive and finite."""
    tensor = torch.as_tensor(tau)
    if not bool(((tensor > 0) & tensor.isfinite()).all()):
        raise ConfigurationError(f"tau = {described(tau)}: the strength of a prior is a positive number.")


def is_one(tau: float | Tensor) -> bool:
    """Whether every strength is 1, but for rounding."""
    tensor = torch.as_tensor(tau, dtype=None if isinstance(tau, Tensor) else torch.float64)
    return bool(((tensor - 1).abs() <= 4 * torch.finfo(tensor.dtype).eps).all())


def described(tau: float | Tensor) -> str:
    """A strength, or the range of several, for messages."""
    tensor = torch.as_tensor(tau, dtype=torch.float64)
    low, high = float(tensor.min()), float(tensor.max())
    return f"{low:g}" if low == high else f"{low:g} … {high:g}"


def _checked_lipschitz(lipschitz: float | None) -> float | None:
    if lipschitz is not None and not lipschitz > 0:
        raise ConfigurationError(f"lipschitz = {lipschitz}: the bound of a Lipschitz constant is positive.")
    return lipschitz
