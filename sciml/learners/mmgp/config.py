"""Settings of the mesh morphing Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sciml.errors import ConfigurationError
from sciml.learners.mmgp.gaussian_processes.config import GaussianProcessConfig
from sciml.learners.mmgp.reduction import CountRule, EnergyRule, RankRule
from sciml.learners.mmgp.similarity import monomial

__all__ = ["MMGPConfig"]


@dataclass(frozen=True)
class MMGPConfig:
    """What can be chosen.

    Parameters
    ----------
    morphing
        Name of a morphing onto the reference shape (`sciml.learners.mmgp.morphings.MORPHINGS`): "auto" flattens
        surfaces onto the disc, moves plane parts with holes by their boundaries and solids by their named faces.
    align
        Turn and move every part onto the reference first, so that where it lies does not count.
    refinements
        How many times the edges of the common mesh are halved: what is lost on the way to it and back falls, time and
        memory rise (four or eight times as many cells each time).
    inner_product
        In which the modes are orthogonal: on the mean of all shapes, on the reference shape (in a disc thin parts count
        as much as wide ones), or by nodes.
    shape_energy, field_energy
        Relative error of the training snapshots that the modes may leave.
    shape_modes, field_modes
        So many modes instead.
    most_modes
        At most so many, if they are chosen by energy.
    steps
        Fields in steps, of time or of load: "together", with modes over space and steps, so that a sample has one set
        of coefficients for all steps; or "separately", with modes and coefficients for each step.
    folds
        Parts of the training set that are left out in turn for error bars.
    scalar_transforms
        "chosen": each predicted scalar by itself, asinh, logarithm or power as left-out samples are likeliest; "none".
    heavy_tailed
        Fields for which asinh of the values is tried, too, and kept where left-out errors fall; none: those whose
        largest value in some sample is more than four times the usual one.
    ratios, scales
        Products and quotients of given scalars: what the regression is given in their place, and units in which
        fields and scalars are predicted (`sciml.learners.mmgp.similarity.Similarity`). With neither, those of the
        problem, if it has any.
    gaussian_processes
        How the regression is fitted.

    Raises
    ------
    ConfigurationError
        A number out of its range.

    Examples
    --------
    >>> MMGPConfig(field_modes=8).field_rule
    CountRule(count=8)
    """

    morphing: str = "auto"
    align: bool = False
    refinements: int = 1
    inner_product: Literal["mean-shape", "reference", "nodes"] = "mean-shape"
    shape_energy: float = 5e-3
    shape_modes: int | None = None
    field_energy: float = 1e-2
    field_modes: int | None = None
    most_modes: int = 40
    steps: Literal["together", "separately"] = "together"
    folds: int = 10
    scalar_transforms: Literal["chosen", "none"] = "chosen"
    heavy_tailed: tuple[str, ...] | None = None
    ratios: tuple[str, ...] = ()
    scales: dict[str, str] = field(default_factory=dict)
    gaussian_processes: GaussianProcessConfig = field(default_factory=GaussianProcessConfig)

    def __post_init__(self) -> None:
        for name in ("shape_energy", "field_energy"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigurationError(f"{name} = {getattr(self, name)}: expected a share between 0 and 1.")
        for name in ("shape_modes", "field_modes"):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise ConfigurationError(f"{name} = {getattr(self, name)}: expected a number of modes, or none.")
        if self.most_modes < 1 or self.folds < 2 or not 0 <= self.refinements <= 3:
            raise ConfigurationError(
                f"most_modes = {self.most_modes}, folds = {self.folds}, refinements = {self.refinements}: expected at "
                "least 1, at least 2, and 0 to 3."
            )
        if self.inner_product not in ("mean-shape", "reference", "nodes"):
            raise ConfigurationError(f"inner_product {self.inner_product!r}: expected mean-shape, reference or nodes.")
        if self.steps not in ("together", "separately"):
            raise ConfigurationError(f"steps {self.steps!r}: expected together or separately.")
        for text in (*self.ratios, *self.scales.values()):
            monomial(text)

    @property
    def shape_rule(self) -> RankRule:
        """How many modes of the shape are kept."""
        return _rule(self.shape_energy, self.shape_modes, self.most_modes)

    @property
    def field_rule(self) -> RankRule:
        """How many modes of a field are kept."""
        return _rule(self.field_energy, self.field_modes, self.most_modes)


def _rule(energy: float, modes: int | None, most: int) -> RankRule:
    return EnergyRule(energy, most) if modes is None else CountRule(modes)
