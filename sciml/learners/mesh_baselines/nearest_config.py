"""Settings of the nearest training part."""

from __future__ import annotations

from dataclasses import dataclass, field

from sciml.errors import ConfigurationError
from sciml.learners.mmgp import MMGPConfig

__all__ = ["NearestPartConfig"]

#: Modes in which fields are kept: what these leave is far below what the nearest part misses.
_KEPT = 1e-3


@dataclass(frozen=True)
class NearestPartConfig:
    """What can be chosen.

    Parameters
    ----------
    morphing, align, refinements
        How parts are brought onto one another, as in `sciml.learners.mmgp.MMGPConfig`.
    shape_energy
        Relative error of the training shapes that may be left out of the comparison of shapes: small details of the
        meshes count as much as anything else.
    folds
        Parts of the training set that are left out in turn to judge how usual a shape is.
    ratios, scales
        As in `sciml.learners.mmgp.MMGPConfig`; with neither, those of the problem, if it has any.

    Raises
    ------
    ConfigurationError
        A number out of its range.

    Examples
    --------
    >>> NearestPartConfig().stages.field_rule
    EnergyRule(tolerance=0.001, most=1000)
    """

    morphing: str = "auto"
    align: bool = False
    refinements: int = 1
    shape_energy: float = 5e-2
    folds: int = 10
    ratios: tuple[str, ...] = ()
    scales: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.shape_energy < 1:
            raise ConfigurationError(f"shape_energy = {self.shape_energy}: expected a share between 0 and 1.")
        _ = self.stages

    @property
    def stages(self) -> MMGPConfig:
        """Settings of the stages that it shares with MMGP."""
        return MMGPConfig(
            morphing=self.morphing,
            align=self.align,
            refinements=self.refinements,
            shape_energy=self.shape_energy,
            field_energy=_KEPT,
            most_modes=1000,
            folds=self.folds,
            ratios=self.ratios,
            scales=self.scales,
        )
