"""Two more exact ways to change what a proximal operator stands for: by relaxation, and by other units."""

from __future__ import annotations

from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.priors import Prior, ProximalPoint, check_strength, is_one

__all__ = ["RelaxedPrior", "RescaledPrior"]


class RelaxedPrior(Prior):
    """t · env(R): its proximal operator is t prox_R + (1 − t) Id.

    env(R)(x) = min_z R(z) + ‖x − z‖² / (2 (1 − t)) is the Moreau envelope with the parameter 1 − t, by which envelopes
    of envelopes are envelopes. Its proximal operator is closer to the identity, and its Lipschitz constant
    1 + t (L − 1).

    Parameters
    ----------
    prior
        R.
    t
        In (0, 1].

    Examples
    --------
    >>> import torch
    >>> from sciml.plug_and_play import SoftThreshold
    >>> RelaxedPrior(SoftThreshold(), 0.5).prox(torch.tensor([[-3.0, 0.5]])).x
    tensor([[-2.5000,  0.2500]])
    """

    def __init__(self, prior: Prior, t: float) -> None:
        if not 0 < t <= 1:
            raise ConfigurationError(f"t = {t}: the relaxation of a prior is in (0, 1].")
        self.prior, self.t, self.exact = prior, t, prior.exact
        self.lipschitz = None if prior.lipschitz is None else 1 + t * (prior.lipschitz - 1)

    def assumptions(self) -> list[Assumption]:
        return self.prior.assumptions()

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        point, t = self.prior.prox(v, start), self.t
        x = t * point.x + (1 - t) * v
        if point.value is None:
            return ProximalPoint(x, None, point.dual, point.solved)
        # The envelope is attained at prox_R(v), from which x is (1 − t)(v − prox_R(v)) away.
        distance = (v - point.x).flatten(1).square().sum(-1)
        return ProximalPoint(x, t * (point.value + (1 - t) * distance / 2), point.dual, point.solved)


class RescaledPrior(Prior):
    """s² R(x / s): R of fields in other units, x = s · (a field that R knows).

    Its proximal operator is s prox_R(v / s): a network trained for the noise level σ stands for the level s σ, and for
    intensities that are s times as large.

    Parameters
    ----------
    prior
        R.
    scale
        s > 0.

    Examples
    --------
    >>> import torch
    >>> from sciml.plug_and_play import SoftThreshold
    >>> RescaledPrior(SoftThreshold(), 10.0).prox(torch.tensor([[-30.0, 5.0]])).x
    tensor([[-20.,   0.]])
    """

    def __init__(self, prior: Prior, scale: float) -> None:
        check_strength(scale)
        self.prior, self.scale, self.exact, self.lipschitz = prior, scale, prior.exact, prior.lipschitz

    def assumptions(self) -> list[Assumption]:
        return self.prior.assumptions()

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        s = self.scale
        point = self.prior.prox(v / s, None if start is None else start / s)
        value = None if point.value is None else s**2 * point.value
        slope = None if point.slope is None else s * point.slope
        return ProximalPoint(s * point.x, value, s * point.dual, point.solved, slope)

    def approximate(self, tolerance: Tensor) -> Prior:
        return RescaledPrior(self.prior.approximate(tolerance * min(1.0, 1 / self.scale)), self.scale)

    def scaled(self, tau: float | Tensor) -> Prior:
        return self if is_one(tau) else RescaledPrior(self.prior.scaled(tau), self.scale)
