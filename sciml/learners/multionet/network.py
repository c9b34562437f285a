"""MultiONet: a field as the weighted sum of inner products of a latent vector's network and a coordinate network."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from pde_benchmarks.jet import Jet
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.multionet.activations import activation
from sciml.learners.multionet.trunk import Trunk

__all__ = ["MultiONet"]


class MultiONet(nn.Module):
    """u(x; β) = (1/l) Σ_k w_k ⟨t_k(x), b_k(β)⟩ + c over the last l layers.

    Zang & Koutsourelakis 2025, arXiv 2502.06250. The trunk t and the branch b have the same widths; l = 1 is a
    DeepONet (Lu et al. 2021). Of a field with several components each has a branch, weights w and a constant c of its
    own; they share the trunk, whose (dx + 1) H + (L − 1)(H² + H) parameters are joined by
    (d + 1) H + (L − 1)(H² + H) + l + 1 for every component.

    Parameters
    ----------
    dim_x, dim_latent
        Coordinates dx of a point, numbers d in a latent vector.
    width, depth, aggregate
        Neurons H of a layer, layers L, and the number l of the last layers that are summed over.
    out_channels
        Components of the field.
    trunk_activation, branch_activation
        ``tanh_sin``, ``silu_sin`` or ``silu_identity``.
    layer_weight_init
        Where the w_k start. At zero, as published, nothing but w and c would have a gradient in the first step.

    Raises
    ------
    ConfigurationError
        If a size is not positive, ``aggregate`` exceeds ``depth``, or an activation is unknown.

    Examples
    --------
    >>> network = MultiONet(dim_x=2, dim_latent=8, width=16, depth=3, aggregate=2)
    >>> network(torch.zeros(5, 8), torch.rand(7, 2)).shape
    torch.Size([5, 7, 1])
    >>> network.jet(torch.zeros(5, 8), torch.rand(7, 2), order=1).gradient.shape
    torch.Size([5, 7, 1, 2])
    """

    def __init__(
        self,
        dim_x: int,
        dim_latent: int,
        width: int = 100,
        depth: int = 5,
        aggregate: int = 4,
        out_channels: int = 1,
        trunk_activation: str = "tanh_sin",
        branch_activation: str = "tanh_sin",
        layer_weight_init: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = {"dim_x": dim_x, "dim_latent": dim_latent, "width": width, "depth": depth, "out_channels": out_channels}
        for name, value in sizes.items():
            if value < 1:
                raise ConfigurationError(f"{name} = {value}: at least 1 is expected.")
        if not 1 <= aggregate <= depth:
            raise ConfigurationError(
                f"aggregate = {aggregate}: between 1 (DeepONet) and the {depth} layers of depth are summed over."
            )
        self.dim_x, self.dim_latent, self.aggregate, self.out_channels = dim_x, dim_latent, aggregate, out_channels
        self.trunk = Trunk(dim_x, width, depth, aggregate, trunk_activation)
        self.activation = activation(branch_activation)
        widths = [dim_latent, *[width] * depth]
        self.branch = nn.ModuleList(ParallelLinear(out_channels, a, b) for a, b in pairwise(widths))
        # The weights w_k and the constant of every component: the one layer that the answer is linear in.
        self.readout = nn.Conv1d(out_channels * aggregate, out_channels, 1, groups=out_channels)
        with torch.no_grad():
            self.readout.weight.fill_(layer_weight_init)
            self.readout.get_parameter("bias").zero_()

    def forward(self, latent: Tensor, points: Tensor) -> Tensor:
        """Fields ``(B, n, c)`` of latent vectors ``(B, d)`` at points ``(n, dx)``, or ``(B, n, dx)`` per sample.

        Raises
        ------
        LearnerError
            If the arrays have other widths.
        """
        self._check(latent, points)
        if points.shape[-2] == 0:
            return latent.new_zeros(len(latent), 0, self.out_channels)
        # Per layer (c, B, H) times (H, n); points per sample are multiplied sample by sample.
        rule = "bch,nh->bcn" if points.ndim == 2 else "bch,bnh->bcn"
        layers = zip(self._branches(latent), self.trunk(points), strict=True)
        products = torch.stack([torch.einsum(rule, b, t) for b, t in layers], 2) / self.aggregate
        answer: Tensor = self.readout(products.flatten(1, 2))
        return answer.mT

    def trunk_features(self, points: Tensor, order: int = 0) -> tuple[Tensor, ...]:
        """T(x), the last layers' values side by side, and its first ``order`` derivatives.

        Parameters
        ----------
        points
            ``(n, dx)``; or ``(B, n, dx)``, and then every shape below has B before n.
        order
            0, 1 or 2.

        Returns
        -------
        tuple
            ``order + 1`` arrays: values ``(n, F)``, Jacobian ``(dx, n, F)``, Hessian ``(dx, dx, n, F)``.
        """
        if order not in (0, 1, 2):
            raise LearnerError(f"order = {order}: derivatives of order 0, 1 or 2 are offered.")
        self._check_points(points)
        return self.trunk.jet(points, order)

    def branch_features(self, latent: Tensor) -> Tensor:
        """w_k b_k(β) / l of every component, side by side: ``(B, c, F)`` for latent vectors ``(B, d)``."""
        self._check_latent(latent)
        layers = torch.stack(self._branches(latent), 2)
        weights = self.readout.weight.reshape(self.out_channels, self.aggregate, 1) / self.aggregate
        return (layers * weights).flatten(2)

    def jet(self, latent: Tensor, points: Tensor, order: int = 1) -> Jet:
        """Fields and their derivatives of order 1 or 2; points ``(n, dx)`` shared by the samples cost one trunk.

        Autocasting is switched off: residuals need all digits of a derivative.
        """
        self._check(latent, points)
        if order not in (1, 2):
            raise LearnerError(f"order = {order}: a jet holds derivatives of order 1 or 2.")
        kind = points.device.type
        if torch.is_autocast_enabled(kind):
            latent = latent.to(points.dtype)
        with torch.autocast(kind, enabled=False):
            features = self.branch_features(latent)
            value, first, *more = self.trunk_features(points, order)
            n = "n" if points.ndim == 2 else "bn"
            values = torch.einsum(f"bcf,{n}f->bnc", features, value) + self.readout.get_parameter("bias")
            gradient = torch.einsum(f"bcf,i{n}f->bnci", features, first)
            hessian = torch.einsum(f"bcf,ij{n}f->bncij", features, more[0]) if more else None
        return Jet(values, gradient, hessian)

    def _branches(self, latent: Tensor) -> list[Tensor]:
        """The last layers ``(B, c, H)`` of the branches."""
        answers, b = [], latent[:, None].expand(-1, self.out_channels, -1)
        for layer in self.branch:
            (b,) = self.activation(layer(b), 0)
            answers.append(b)
        return answers[-self.aggregate :]

    def _check(self, latent: Tensor, points: Tensor) -> None:
        self._check_latent(latent)
        self._check_points(points)
        if points.ndim == 3 and len(points) != len(latent):
            raise LearnerError(
                f"points of {len(points)} samples, latent vectors of {len(latent)}: give (n, {self.dim_x}) points for "
                "all samples, or as many sets as samples."
            )

    def _check_latent(self, latent: Tensor) -> None:
        if latent.ndim != 2 or latent.shape[1] != self.dim_latent:
            raise LearnerError(f"latent of shape {tuple(latent.shape)}: expected (samples, {self.dim_latent}).")

    def _check_points(self, points: Tensor) -> None:
        if points.ndim not in (2, 3) or points.shape[-1] != self.dim_x:
            raise LearnerError(
                f"points of shape {tuple(points.shape)}: expected (n, {self.dim_x}), or (samples, n, {self.dim_x})."
            )


class ParallelLinear(nn.Module):
    """One linear layer for each of several components, started like `torch.nn.Linear`."""

    def __init__(self, components: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(components, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(components, outputs).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """Map ``(B, components, inputs)`` to ``(B, components, outputs)``."""
        return torch.einsum("bci,coi->bco", values, self.weight) + self.bias
