"""Error bars from a trained network's last, linear layer (Laplace approximation), calibrated on held-out samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from sciml.errors import ConfigurationError

__all__ = ["LastLayerLaplace", "last_features", "readout_of"]

RIDGE = 1e-4  # of the mean square of the last features
CALIBRATION_STEPS = 200


class LastLayerLaplace(nn.Module):
    """Variance of a network whose answer is C φ(x), linear in the features φ of its last hidden layer.

    With a Gaussian prior on C its posterior covariance is proportional to Σ = (⟨φ φᵀ⟩ + ε I)⁻¹, the mean taken over
    all points of the training set (Kristiadi, Hein, Hennig 2020), and

        variance(x) = τ φ(x)ᵀ Σ φ(x) + σ² m(x),

    m the mean square of the training residual at the point. The first term is large for features unlike those of
    training, the second is what remains where there were many of them. The errors at neighbouring points are far from
    independent, so the posterior's own scale would be much too confident: τ and σ² maximise the likelihood of held-out
    samples instead.

    Parameters
    ----------
    features
        Number of the last hidden layer's channels.
    outputs, grid
        Channels and shape of the answer.
    """

    def __init__(self, features: int, outputs: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("covariance", torch.eye(features))
        self.register_buffer("residual", torch.ones(outputs, *grid))
        self.register_buffer("weights", torch.tensor([0.0, 1.0]))

    @torch.no_grad()
    def fit_posterior(self, network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
        """Σ and m from batches of network inputs and standardised targets of the training set."""
        readout, squares, points = readout_of(network), torch.zeros_like(self.covariance), 0
        residual = torch.zeros_like(self.residual)
        for given, target in batches:
            with _features_seen(readout) as seen:
                answer = network(given)
            phi = seen[0].movedim(1, -1).flatten(0, -2)
            squares += phi.T @ phi
            points += len(phi)
            residual += (answer - target).square().sum(0)
        mean = squares / points
        ridge = RIDGE * mean.diagonal().mean() * torch.eye(len(mean)).to(mean)
        self.covariance.copy_(torch.linalg.inv((mean + ridge).double()))
        self.residual.copy_(residual / sum(len(target) for _, target in batches))

    @torch.no_grad()
    def calibrate(self, network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
        """τ and σ² by maximum likelihood of the errors of samples that the network was not trained on."""
        spreads = torch.cat([self.spread(network, given) for given, _ in batches]).double().flatten(1)
        errors = torch.cat([(network(given) - target).square() for given, target in batches]).double().flatten(1)
        floor = self.residual.double().flatten().expand_as(spreads)
        with torch.enable_grad():
            self.weights.copy_(_most_likely(spreads, floor, errors))

    @torch.no_grad()
    def spread(self, network: nn.Module, given: Tensor) -> Tensor:
        """φᵀ Σ φ of every point, shape of the network's answer."""
        with _replaced_readout(network, self.covariance):
            result: Tensor = network(given)
        return result

    def forward(self, network: nn.Module, given: Tensor) -> Tensor:
        """Standard deviation of the network's answer to ``given``, in its own units and shape."""
        variance = self.weights[0] * self.spread(network, given) + self.weights[1] * self.residual
        return variance.clamp_min(0).sqrt()

    covariance: Tensor
    residual: Tensor
    weights: Tensor


def readout_of(network: nn.Module) -> nn.Module:
    """The last layer of a network that ends in a pointwise linear one called ``readout``.

    Raises
    ------
    ConfigurationError
        If it has none.
    """
    for name, module in network.named_modules():
        if name.rpartition(".")[2] == "readout" and isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return module
    raise ConfigurationError(
        "uncertainty=laplace needs a network whose last layer is linear, as those of mgno, unet and multionet are: use "
        "one of them, or set uncertainty=none."
    )


def last_features(network: nn.Module) -> int:
    """Number of the channels that the last layer reads; raises as `readout_of` does."""
    return cast(nn.Conv2d, readout_of(network)).in_channels


class _QuadraticForm(nn.Module):
    """φᵀ Σ φ, the same for every output channel."""

    def __init__(self, covariance: Tensor, outputs: int) -> None:
        super().__init__()
        self.covariance, self.outputs = covariance, outputs

    def forward(self, phi: Tensor) -> Tensor:
        value = torch.einsum("bi...,ij,bj...->b...", phi, self.covariance, phi)
        return value[:, None].expand(-1, self.outputs, *phi.shape[2:]).contiguous()


@contextmanager
def _replaced_readout(network: nn.Module, covariance: Tensor) -> Iterator[None]:
    """What follows the last layer (blocks, cropping) only moves numbers, so it moves variances just as well."""
    readout = cast(nn.Conv2d, readout_of(network))
    owner = next(module for module in network.modules() if getattr(module, "readout", None) is readout)
    owner.readout = _QuadraticForm(covariance, readout.out_channels)
    try:
        yield
    finally:
        owner.readout = readout


@contextmanager
def _features_seen(readout: nn.Module) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []
    handle = readout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()


def _most_likely(spreads: Tensor, floor: Tensor, errors: Tensor) -> Tensor:
    """(τ, σ²) that minimise the mean of log v + e² / v with v = τ spread + σ² floor, by L-BFGS in their logarithms."""
    smallest = torch.finfo(errors.dtype).tiny
    start = errors.mean().clamp_min(smallest)
    logs = torch.stack([start / spreads.mean().clamp_min(smallest), start / floor.mean().clamp_min(smallest)]) / 2
    parameters = logs.log().requires_grad_()
    optimizer = torch.optim.LBFGS([parameters], max_iter=CALIBRATION_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        tau, noise = parameters.exp()
        variance = (tau * spreads + noise * floor).clamp_min(smallest)
        loss = (variance.log() + errors / variance).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return parameters.detach().exp()
