"""Von Mises plasticity with linear isotropic hardening, at many points at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pde_benchmarks.errors import ProblemError

__all__ = ["ElastoPlastic", "PlasticState", "Response"]

Array = NDArray[Any]

#: xx, yy, zz, xy: how often a component counts in a product of tensors, and the unit tensor.
_TWICE = np.array([1.0, 1.0, 1.0, 2.0])
_UNIT = np.array([1.0, 1.0, 1.0, 0.0])
#: Of the stiffness in plane strain, rows and columns xx, yy and γ_xy: 1 ⊗ 1, and the projection onto deviators.
_VOLUMETRIC = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
_DEVIATORIC = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, 0.0], [0.0, 0.0, 1.5]]) / 3.0
_IN_PLANE = [0, 1, 3]


@dataclass(frozen=True, eq=False)
class PlasticState:
    """What a material remembers.

    Attributes
    ----------
    strain
        Plastic strain tensors ``(m, 4)``: xx, yy, zz, xy.
    cumulated
        Cumulated plastic strain p ``(m,)``.
    """

    strain: Array
    cumulated: Array

    @classmethod
    def virgin(cls, count: int) -> PlasticState:
        """Of ``count`` points that never yielded."""
        return cls(np.zeros((count, 4)), np.zeros(count))


@dataclass(frozen=True, eq=False)
class Response:
    """Answer of a material to strains.

    Attributes
    ----------
    stress
        ``(m, 4)``: xx, yy, zz, xy, in the unit of Young's modulus.
    tangent
        ∂(σ_xx, σ_yy, σ_xy)/∂(ε_xx, ε_yy, γ_xy) ``(m, 3, 3)``, symmetric positive definite.
    state
        What the material remembers afterwards.
    """

    stress: Array
    tangent: Array
    state: PlasticState

    @property
    def von_mises(self) -> Array:
        """Equivalent stress √(3/2 s:s), s the deviator in three dimensions, ``(m,)``."""
        return _equivalent(self.stress - self.stress[:, :3].mean(axis=1, keepdims=True) * _UNIT)


@dataclass(frozen=True)
class ElastoPlastic:
    """Linear elasticity up to ‖σ‖_Mises = R₀ + H p, then associated plastic flow, in plane strain.

    The stress at the end of a step follows from the strain there by radial return, an implicit Euler step of the flow
    rule that has a closed form; the tangent is its exact derivative (Simo & Hughes 1998, chapter 3; de Souza Neto,
    Perić & Owen 2008, chapter 7).

    Parameters
    ----------
    young
        E in MPa (or any unit of stress, the same for all).
    poisson
        ν.
    yield_stress
        R₀; infinite: the material stays linear elastic.
    hardening
        H = dR/dp, at least 0.

    Raises
    ------
    ProblemError
        A constant out of range.

    Examples
    --------
    >>> steel = ElastoPlastic(young=2.6, poisson=0.3, yield_stress=1.0, hardening=0.0)
    >>> shear = np.array([[0.0, 0.0, 5.0]])  # far beyond the elastic limit: τ = R₀/√3
    >>> steel.response(shear, PlasticState.virgin(1)).stress.round(4).tolist()
    [[0.0, 0.0, 0.0, 0.5774]]
    """

    young: float
    poisson: float = 0.3
    yield_stress: float = math.inf
    hardening: float = 0.0

    def __post_init__(self) -> None:
        # Each comparison is false for NaN.
        sound = 0 < self.young < math.inf and -1 < self.poisson < 0.5 and self.yield_stress > 0
        if not (sound and 0 <= self.hardening < math.inf):
            raise ProblemError(
                f"{self}: expected young > 0, −1 < poisson < 1/2, yield_stress > 0 and hardening ≥ 0, all but the "
                "yield stress finite."
            )

    @property
    def shear_modulus(self) -> float:
        """G."""
        return self.young / (2 * (1 + self.poisson))

    @property
    def bulk_modulus(self) -> float:
        """K."""
        return self.young / (3 * (1 - 2 * self.poisson))

    def response(self, strain: Array, before: PlasticState) -> Response:
        """Stresses, tangents and the new state at strains ``(m, 3)``: ε_xx, ε_yy, γ_xy = 2 ε_xy.

        ``before`` is the state at the beginning of the step, whatever was tried in between.
        """
        G, K, H = self.shear_modulus, self.bulk_modulus, self.hardening
        elastic = -before.strain
        elastic[:, _IN_PLANE] += strain * [1.0, 1.0, 0.5]
        trace = elastic[:, :3].sum(axis=1)
        trial = 2 * G * (elastic - trace[:, None] / 3 * _UNIT)
        q = _equivalent(trial)
        flow = np.maximum(q - self.yield_stress - H * before.cumulated, 0.0) / (3 * G + H)
        yields = flow > 0
        ratio = np.divide(flow, q, out=np.zeros_like(q), where=yields)  # where nothing flows, q may be 0
        deviator = (1 - 3 * G * ratio)[:, None] * trial
        stress = deviator + K * trace[:, None] * _UNIT
        after = PlasticState(before.strain + 1.5 * ratio[:, None] * trial, before.cumulated + flow)
        return Response(stress, self._tangent(trial, q, ratio, yields), after)

    def _tangent(self, trial: Array, q: Array, ratio: Array, yields: Array) -> Array:
        G, K, H = self.shear_modulus, self.bulk_modulus, self.hardening
        tangent = K * _VOLUMETRIC + 2 * G * (1 - 3 * G * ratio)[:, None, None] * _DEVIATORIC
        n = math.sqrt(1.5) * trial[yields][:, _IN_PLANE] / q[yields, None]
        weight = 6 * G**2 * (ratio[yields] - 1 / (3 * G + H))
        tangent[yields] += weight[:, None, None] * n[:, :, None] * n[:, None, :]
        return tangent


def _equivalent(deviator: Array) -> Array:
    """√(3/2 s:s) of deviators ``(m, 4)``."""
    return np.asarray(np.sqrt(1.5 * (deviator**2 @ _TWICE)))
