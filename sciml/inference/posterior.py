"""The posterior density of whitened latents, given a forward map and noisy observations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from sciml.errors import ConfigurationError, LearnerError, ObservationError
from sciml.inference.model_error import ModelError
from sciml.inference.observation import Observation
from sciml.inference.random_draws import normal

__all__ = ["LatentMap", "Posterior"]

LatentMap = Callable[[Tensor], Tensor]


class Posterior:
    """Density exp(−U(z)) of latents z with prior N(0, I), after an observation y.

        U(z) = ½ ‖Σ^(−½) (y − F(z))‖² + ½ ‖z‖² + w R(z),   Σ = diag(σ²) + Σ_model

    All functions are batched over B observations and C chains: z has the shape ``(B, C, d)``.

    Parameters
    ----------
    forward
        F: latents ``(B, C, d)`` to predicted values ``(B, C, n)`` at the sensors. Every row must depend on its own
        latent alone, and differentiably. Latents of a prior that is not standard normal are whitened first
        (`sciml.inference.priors`): ``forward = lambda z: decode(prior(z))``.
    observation
        y, σ and where there are values.
    latent_dim
        d.
    model_error
        Σ_model, the error of F itself; None for none.
    penalty, penalty_weight
        A further term R ``(B, C, d) -> (B, C)``, for example the residual of the equation, and its weight w.

    Raises
    ------
    ObservationError
        If the model error does not fit the observation.
    ConfigurationError
        If the weight or the dimension is out of range.

    Examples
    --------
    >>> observation = Observation(torch.zeros(1, 2), torch.tensor([[2.0]]), 1.0)
    >>> posterior = Posterior(lambda z: z.sum(-1, keepdim=True), observation, latent_dim=2)
    >>> posterior.potential(torch.ones(1, 1, 2))
    tensor([[1.]])
    """

    def __init__(
        self,
        forward: LatentMap,
        observation: Observation,
        latent_dim: int,
        model_error: ModelError | None = None,
        penalty: LatentMap | None = None,
        penalty_weight: float = 1.0,
    ) -> None:
        if latent_dim < 1:
            raise ConfigurationError(f"latent_dim = {latent_dim}: at least 1 is expected.")
        if not 0 <= penalty_weight < float("inf"):
            raise ConfigurationError(f"penalty_weight = {penalty_weight}: finite, zero or positive, is expected.")
        self.forward = forward
        self.observation = observation
        self.latent_dim = latent_dim
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self._whiten = _whitening(observation, model_error)

    @property
    def observations(self) -> int:
        """B."""
        return len(self.observation.values)

    def prior_draws(self, count: int, generator: Generator) -> Tensor:
        """Latents from the prior, ``(B, count, d)``."""
        return normal((self.observations, count, self.latent_dim), generator, self.observation.values)

    def residuals(self, z: Tensor) -> Tensor:
        """Σ^(−½) (F(z) − y), ``(B, C, n)``; zero where nothing was measured.

        Raises
        ------
        LearnerError
            If the forward map answers with another shape or dtype.
        """
        predicted = self.forward(z)
        expected = (*z.shape[:-1], self.observation.values.shape[-1])
        if predicted.shape != expected or predicted.dtype != z.dtype:
            raise LearnerError(
                f"forward map: {expected} of {z.dtype} is expected for latents {tuple(z.shape)}, "
                f"found {tuple(predicted.shape)} of {predicted.dtype}; it must agree with the observation's."
            )
        difference = predicted - self.observation.filled[:, None]
        return self._whiten(torch.where(self.observation.observed[:, None], difference, 0))

    def misfit(self, z: Tensor) -> Tensor:
        """U without the prior, ``(B, C)``."""
        misfit = self.residuals(z).square().sum(-1) / 2
        if self.penalty is None:
            return misfit
        return misfit + self.penalty_weight * self._penalty(z)

    def potential(self, z: Tensor) -> Tensor:
        """U, ``(B, C)``."""
        return self.misfit(z) + z.square().sum(-1) / 2

    def potential_and_gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """U ``(B, C)`` and its gradient ``(B, C, d)``, by one backward pass for all chains."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            potential = self.potential(z)
            (gradient,) = torch.autograd.grad(potential.sum(), z)
        return potential.detach(), gradient

    def gauss_newton(self, z: Tensor) -> Tensor:
        """Gauss–Newton Hessian of U, ``(B, C, d, d)``: JᵀJ + I, J the Jacobian of the residuals.

        The penalty enters with its own Hessian, negative curvature set to zero. One backward pass for every sensor:
        whatever the forward map is made of, it needs no more than the gradient does.
        """
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            J = _rows(self.residuals(z), z)
            H = J.mT @ J + torch.eye(self.latent_dim).to(z)
            if self.penalty is None or self.penalty_weight == 0:
                return H
            (slope,) = torch.autograd.grad(self._penalty(z).sum(), z, create_graph=True)
            curvature, axes = torch.linalg.eigh(_rows(slope, z))
        return H + self.penalty_weight * (axes * curvature.clamp_min(0)[..., None, :]) @ axes.mT

    def _penalty(self, z: Tensor) -> Tensor:
        assert self.penalty is not None
        value = self.penalty(z)
        if value.shape != z.shape[:-1]:
            raise LearnerError(f"penalty: shape {tuple(z.shape[:-1])} is expected, found {tuple(value.shape)}.")
        return value


def _rows(outputs: Tensor, z: Tensor) -> Tensor:
    """Jacobian ``(B, C, n, d)`` of outputs ``(B, C, n)`` whose rows depend on their own latent alone."""
    J = z.new_zeros(*outputs.shape, z.shape[-1])
    if outputs.requires_grad:
        for i in range(outputs.shape[-1]):
            total = outputs[..., i].sum()
            (J[..., i, :],) = torch.autograd.grad(
                total, z, retain_graph=True, allow_unused=True, materialize_grads=True
            )
    return J.detach()


def _whitening(observation: Observation, model_error: ModelError | None) -> LatentMap:
    """The product with Σ^(−½) along the last axis of ``(B, C, n)``; the rows of masked sensors are taken out of Σ."""
    variance = torch.where(observation.observed, observation.std.square(), 1)
    added = torch.zeros_like(variance) if model_error is None else model_error.covariance(observation)
    if added.ndim == 2:
        std = torch.where(observation.observed, variance + added, 1).sqrt()[:, None]
        return lambda residual: residual / std
    pairs = observation.observed[:, :, None] & observation.observed[:, None, :]
    Sigma = torch.where(pairs, added, 0).double() + torch.diag_embed(variance).double()
    L, failed = torch.linalg.cholesky_ex(Sigma)
    if failed.any():
        raise ObservationError(
            f"model error: its covariance plus the noise is not positive definite in observation "
            f"{failed.nonzero()[0].item()}: use a covariance, e.g. ErrorCovariance.from_errors."
        )
    inverse = torch.linalg.solve_triangular(L, torch.eye(L.shape[-1]).to(L), upper=False).to(variance)
    return lambda residual: residual @ inverse.mT
