"""Convex networks that know the noise level: one proximal operator for each level of a range."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sciml.learners.proximal.constrained import ConstrainedNetwork
from sciml.learners.proximal.convex_network import ConvexNetwork
from sciml.learners.proximal.noise_levels import NoiseLevels

__all__ = ["ConditionedNetwork"]


class ConditionedNetwork(ConstrainedNetwork):
    """f(v; σ) = ∇ψ(v; σ) with a potential that is convex in v for every σ of a range.

    The linear maps of a convex network are shared. Its other coefficients are smooth functions of log σ with the
    B-splines B_j of `NoiseLevels`,

        b_k(σ) = b_k + Σ_j B_j(σ) c_kj,   a_k(σ) = a_k ⊙ Σ_j B_j(σ) g_kj,   r(σ) = r + Σ_j B_j(σ) r_j

    where g_kj ≥ 0, hence a_k(σ) ≥ 0: for each σ, f(·; σ) is the proximal operator of a function R_σ. Before training it
    does not depend on σ, and is the convex network.

    Parameters
    ----------
    base
        The convex network; it becomes part of this one.
    levels
        The range of σ, in units of v.

    Examples
    --------
    >>> from sciml.learners.proximal import FieldConvexNetwork
    >>> network = ConditionedNetwork(FieldConvexNetwork(dim=1, widths=(4, 4), strides=(1, 2)), NoiseLevels(0.02, 0.2))
    >>> v = torch.rand(3, 1, 16)
    >>> network(v, torch.tensor([0.02, 0.1, 0.2])).shape
    torch.Size([3, 1, 16])
    >>> network.at(0.1).potential(v).shape  # an ordinary convex network
    torch.Size([3])
    """

    def __init__(self, base: ConvexNetwork, levels: NoiseLevels) -> None:
        super().__init__()
        self.base, self.levels = base, levels
        count = levels.functions
        self.offsets = nn.ParameterList(torch.zeros(count, len(bias)) for bias in base.biases)
        self.gains = nn.ParameterList(torch.ones(count, len(readout)) for readout in base.readouts)
        self.shifts = nn.Parameter(torch.zeros(count, len(base.shift)))

    @property
    def strong_convexity(self) -> float:
        """m with ⟨f(a; σ) − f(b; σ), a − b⟩ ≥ m ‖a − b‖² for every σ."""
        return self.base.strong_convexity

    def forward(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """f(v; σ) of ``v (B, channels, *grid)``, shaped like v; one σ for all samples or ``(B,)``.

        Raises
        ------
        LearnerError
            If v is of another kind, or σ outside of the range.
        """
        f: Tensor = functional_call(self.base, self._coefficients(v, sigma), (v,))
        return f

    def potential(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """ψ(v; σ), ``(B,)``."""
        return self.potential_and_gradient(v, sigma)[0]

    def potential_and_gradient(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v; σ) ``(B,)`` and f(v; σ), for little more than f(v; σ)."""
        weights = {f"network.{name}": value for name, value in self._coefficients(v, sigma).items()}
        both: tuple[Tensor, Tensor] = functional_call(_ValueAndGradient(self.base), weights, (v,))
        return both

    @torch.no_grad()
    def at(self, sigma: float) -> ConvexNetwork:
        """The network of one noise level: an ordinary one, with weights of its own.

        Raises
        ------
        LearnerError
            If σ is outside of the range.
        """
        network = copy.deepcopy(self.base)
        for name, value in self._coefficients(self.shifts[:1], sigma).items():
            network.get_parameter(name).copy_(value[0])
        return network

    def constrained(self) -> list[Tensor]:
        """Those of the convex network, and the factors of its a_k."""
        return [*self.base.constrained(), *self.gains]

    def _coefficients(self, v: Tensor, sigma: float | Tensor) -> dict[str, Tensor]:
        """What stands in for the convex network's, one row for all samples of v or one for each."""
        base, basis = self.base, self.levels.basis(self.levels.checked(sigma, v))
        biases = [b + basis @ c for b, c in zip(base.biases, self.offsets, strict=True)]
        readouts = [a * (basis @ g) for a, g in zip(base.readouts, self.gains, strict=True)]
        return {
            **{f"biases.{k}": value for k, value in enumerate(biases)},
            **{f"readouts.{k}": value for k, value in enumerate(readouts)},
            "shift": base.shift + basis @ self.shifts,
        }


class _ValueAndGradient(nn.Module):
    """A way to call for both."""

    def __init__(self, network: ConvexNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v) and f(v)."""
        return self.network.potential_and_gradient(v)
