"""MMGP as the code that was published with it sets it up (Casenave, Staber & Roynard, NeurIPS 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pde_benchmarks.mesh_problem import MeshProblem
from sciml.errors import LearnerError
from sciml.learners.mmgp import MMGP, Mirror, MMGPConfig, Morphing, PartFamily

__all__ = ["PublishedMMGP", "PublishedMMGPConfig"]


@dataclass(frozen=True)
class PublishedMMGPConfig(MMGPConfig):
    """`sciml.learners.mmgp.MMGPConfig` with the defaults of the published code.

    Uniform weights on the disc, the mesh of one sample as the common one, eight modes of the shape and of each field,
    orthogonal on the disc, and no other scales. Means are subtracted before modes are sought, which that code does not.

    Examples
    --------
    >>> PublishedMMGPConfig().morphing, PublishedMMGPConfig().shape_modes
    ('disc-uniform', 8)
    """

    morphing: str = "disc-uniform"
    refinements: int = 0
    inner_product: Literal["mean-shape", "reference", "nodes"] = "reference"
    shape_modes: int | None = 8
    field_modes: int | None = 8
    scalar_transforms: Literal["chosen", "none"] = "none"
    heavy_tailed: tuple[str, ...] | None = ()


class PublishedMMGP(MMGP):
    """MMGP with the weights and ranks of the code that was published with it, and scalars as they are given.

    For plane parts and surfaces without holes. Error bars are measured as in `MMGP`: those of the published code are
    of the regression alone.

    Parameters
    ----------
    family, config, seed, morphing, mirror, problem
        As of `MMGP`; a problem's ratios and scales are not used.
    """

    name: ClassVar[str] = "mmgp-published"
    config_type: ClassVar[type[MMGPConfig]] = PublishedMMGPConfig

    def __init__(
        self,
        family: PartFamily,
        config: MMGPConfig | None = None,
        seed: int = 0,
        morphing: Morphing | None = None,
        mirror: Mirror | None = None,
        problem: MeshProblem | None = None,
    ) -> None:
        super().__init__(family, config or PublishedMMGPConfig(), seed, morphing, mirror, problem)

    @classmethod
    def accepts(cls, problem: object) -> str | None:
        """None for plane parts, else one sentence that says why not."""
        refusal = super().accepts(problem)
        if refusal is None and isinstance(problem, MeshProblem) and problem.dimension != 2:
            return "it flattens plane parts and surfaces to a disc, and these are solids: use mmgp."
        return refusal

    @classmethod
    def from_problem(cls, problem: MeshProblem, config: MMGPConfig | None = None, seed: int = 0) -> Self:
        """An untrained learner of a problem's fields and scalars; raises `LearnerError` if it does not accept it."""
        refusal = cls.accepts(problem)
        if refusal is not None:
            raise LearnerError(f"{cls.name} cannot learn {getattr(problem, 'name', problem)}: {refusal}")
        return cls(PartFamily.of(problem), config, seed, problem=problem)
