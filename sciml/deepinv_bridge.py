"""Together with deepinv: learned priors in its algorithms, and its physics in ours.

deepinv (Tachella et al. 2025, https://deepinv.github.io) is the optional extra ``imaging``. It is loaded when a
function here needs it; `physics_operator` does not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators import ForwardOperator, from_functions, from_nonlinear_function
from sciml.errors import ConfigurationError, LearnerError
from sciml.plug_and_play import ProximalNetwork, invert_strength
from sciml.plug_and_play.inversion import per_sample

__all__ = ["deepinv_denoiser", "deepinv_prior", "physics_operator"]

_ADJOINT_TOLERANCE = 1e-4  # physics that count in single precision are let pass

Level = float | Tensor


def deepinv_denoiser(network: ProximalNetwork, noise_level: float) -> Any:
    """A learned proximal network f as a `deepinv.models.Denoiser`, called as ``denoiser(x, sigma)``.

    For the level σ it is s f(x/s), s = σ / noise_level, which is again the proximal operator of a function, s² R(·/s).
    The network then sees intensities divided by s: near its own level it is at its best.

    Parameters
    ----------
    network
        f.
    noise_level
        The standard deviation that it was trained for, in units of x.

    Returns
    -------
    deepinv.models.Denoiser

    Raises
    ------
    ConfigurationError
        The level is not positive; when called, the same for σ.
    LearnerError
        deepinv is not installed, or cannot be loaded.
    """
    _require_level("noise_level", noise_level)

    base: Any = _module("deepinv.models").Denoiser

    class LearnedProximalDenoiser(base):
        """S f(x / s), s = σ / noise_level."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor, sigma: Level, **options: Any) -> Tensor:
            s = _scale(sigma, noise_level, x)
            return s * self.network(x / s)

    return LearnedProximalDenoiser()


def deepinv_prior(network: ProximalNetwork, noise_level: float | None = None) -> Any:
    """The function R behind a learned proximal network as a `deepinv.optim.Prior`.

    ``prior(x)`` is R(x), ``prior.grad(x)`` is f⁻¹(x) − x, and ``prior.prox(x, gamma=γ)`` the proximal operator of γ R
    for every γ > 0: one convex minimisation each (`sciml.plug_and_play.invert_strength`). In deepinv's algorithms λ and
    the step size therefore mean what they say. With a second argument σ (``g_param`` of the algorithms) R becomes
    s² R(·/s), s = σ / noise_level.

    Parameters
    ----------
    network
        f.
    noise_level
        The standard deviation that it was trained for; needed only with σ.

    Returns
    -------
    deepinv.optim.Prior

    Raises
    ------
    ConfigurationError
        The level is not positive.
    LearnerError
        deepinv is not installed, or cannot be loaded.
    SolveError
        When called: a minimisation has not converged, for instance as x is not in the range of f.
    """
    if noise_level is not None:
        _require_level("noise_level", noise_level)

    base: Any = _module("deepinv.optim.prior").Prior

    class LearnedPrior(base):
        """S² R(x / s), s = σ / noise_level."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.explicit_prior = True

        def fn(self, x: Tensor, sigma: Level | None = None, *args: Any, **options: Any) -> Tensor:
            s = self._scale(sigma, x)
            return s.flatten() ** 2 * invert_strength(self.network, x / s, 0.0).prior_value

        def g(self, x: Tensor, sigma: Level | None = None) -> Tensor:
            return self.fn(x, sigma)

        def grad(self, x: Tensor, sigma: Level | None = None, *args: Any, **options: Any) -> Tensor:
            s = self._scale(sigma, x)
            return s * invert_strength(self.network, x / s, 0.0).y - x

        def prox(self, x: Tensor, sigma: Level | None = None, *args: Any, gamma: Level = 1.0, **options: Any) -> Tensor:
            s = self._scale(sigma, x)
            tau = gamma.reshape(-1) if isinstance(gamma, Tensor) else gamma
            return s * invert_strength(self.network, x / s, tau).x

        def _scale(self, sigma: Level | None, x: Tensor) -> Tensor:
            if sigma is None:
                return _ones(x)
            if noise_level is None:
                raise ConfigurationError(
                    f"sigma = {sigma}: say for which noise_level the network was trained, deepinv_prior(network, "
                    "noise_level), or leave sigma (g_param) out."
                )
            return _scale(sigma, noise_level, x)

    return LearnedPrior()


def physics_operator(physics: Any, input_shape: Sequence[int]) -> ForwardOperator:
    """Physics of deepinv as a forward operator for `sciml.plug_and_play`: linear where it has an ``A_adjoint``.

    Parameters
    ----------
    physics
        A `deepinv.physics.LinearPhysics` (or anything with ``A`` and ``A_adjoint``), or other physics whose ``A`` is
        differentiable. Its noise model is not used. It is copied, and the copy converted to the dtype of the fields.
    input_shape
        Channels and points per axis of a field.

    Raises
    ------
    OperatorError
        ``A`` does not map one tensor to one tensor, or ``A_adjoint`` is not its transpose: iterations would not
        minimise what they say (deepinv's approximate adjoints have an option for the exact one).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> halves = physics_operator(SimpleNamespace(A=lambda x: x / 2, A_adjoint=lambda y: y / 2), (1, 4, 4))
    >>> halves.output_shape, round(halves.norm(), 2)
    ((1, 4, 4), 0.5)
    """
    copies = _Copies(physics)
    shape = tuple(input_shape)
    name = type(physics).__name__
    probe = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        image = copies.at(probe).A(probe)
    if not isinstance(image, Tensor) or image.is_complex():
        kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise OperatorError(f"{name}: A returned {kind}: one tensor of real numbers is expected.")
    made: dict[str, Any] = {"input_shape": shape, "output_shape": tuple(image.shape[1:]), "name": name}
    if not hasattr(physics, "A_adjoint"):
        return from_nonlinear_function(lambda x: copies.at(x).A(x), **made)
    operator = from_functions(lambda x: copies.at(x).A(x), lambda y: copies.at(y).A_adjoint(y), **made)
    _require_adjoint(name, probe, image, operator.adjoint(image.contiguous()))
    return operator


class _Copies:
    """The physics in each dtype that was asked for."""

    def __init__(self, physics: Any) -> None:
        self.physics = physics
        self.converted: dict[torch.dtype, Any] = {}

    def at(self, x: Tensor) -> Any:
        if not isinstance(self.physics, nn.Module):
            return self.physics
        if x.dtype not in self.converted:
            self.converted[x.dtype] = copy.deepcopy(self.physics).to(x.dtype)
        return self.converted[x.dtype]


def _require_adjoint(name: str, x: Tensor, image: Tensor, back: Tensor) -> None:
    """⟨A x, A x⟩ = ⟨x, Aᵀ A x⟩."""
    left, right = float(image.square().sum()), float((x * back).sum())
    if abs(left - right) > _ADJOINT_TOLERANCE * abs(left):
        raise OperatorError(
            f"{name}: A_adjoint is not the transpose of A (⟨Ax, Ax⟩ = {left:.6g}, ⟨x, AᵀAx⟩ = {right:.6g}): use its "
            "exact adjoint, in deepinv's tomography adjoint_via_backprop=True."
        )


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise LearnerError(
            f"deepinv is not installed ({error}): pip install 'sciml-pde[imaging]', with the torchvision of your torch."
        ) from None
    except RuntimeError as error:
        # A torchvision that was built for another torch fails in this way.
        raise LearnerError(
            f"deepinv cannot be loaded ({str(error).splitlines()[0]}): install the torchvision that belongs to your "
            "torch, from the same index."
        ) from error


def _ones(x: Tensor) -> Tensor:
    return x.new_ones(1, *(1,) * (x.ndim - 1))


def _scale(sigma: Level, noise_level: float, x: Tensor) -> Tensor:
    """σ / noise_level, ready to multiply x."""
    if not bool((torch.as_tensor(sigma) > 0).all()):
        raise ConfigurationError(f"sigma = {sigma}: the noise level is positive.")
    return per_sample(sigma, x) / noise_level


def _require_level(name: str, level: float) -> None:
    if not 0 < level < float("inf"):
        raise ConfigurationError(f"{name} = {level}: the standard deviation of noise is positive.")
