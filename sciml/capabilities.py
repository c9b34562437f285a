"""What learners offer beside predictions: for which problems, and by which settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.problem import Complex

__all__ = ["CAPABILITIES", "Capabilities", "Offer", "elliptic", "everywhere", "one_real_answer", "placed"]

#: Letter and meaning of each capability, by the name of its field in `Capabilities`.
CAPABILITIES = {
    "inverse": ("I", "finds inputs from measurements: sciml invert"),
    "uncertainty": ("U", "standard deviations or samples beside the mean"),
    "unstructured_mesh": ("M", "meshes of varying shape"),
    "resolution_change": ("R", "predicts on other grids than that of training"),
    "no_labels": ("N", "learns without reference solutions"),
    "processes": ("P", "trains on several processes: torchrun"),
}


def everywhere(problem: Any) -> bool:
    """For every problem that the learner accepts."""
    return True


def elliptic(problem: Any) -> bool:
    """For problems whose elliptic operator is known."""
    return isinstance(problem, EllipticProblem)


def placed(problem: Any) -> bool:
    """For problems that say where the points of their grids lie."""
    fields = [problem.state] if isinstance(problem, EvolutionProblem) else [*problem.inputs, *problem.outputs]
    return all(getattr(spec.support, "alignment", "unknown") != "unknown" for spec in fields)


def one_real_answer(problem: Any) -> bool:
    """For problems without roll-out whose outputs are real."""
    complex_ones = any(isinstance(spec.kind, Complex) for spec in problem.outputs)
    return not isinstance(problem, EvolutionProblem) and not complex_ones


@dataclass(frozen=True)
class Offer:
    """A capability that a learner has.

    Parameters
    ----------
    settings
        What has to be set for it, ``key=value``, comma-separated; nothing for what is there by default.
    where
        The problems for which it has it, of those that it accepts.
    """

    settings: str = ""
    where: Callable[[Any], bool] = everywhere


@dataclass(frozen=True)
class Capabilities:
    """What a learner offers beside predictions; None for what it does not.

    Parameters
    ----------
    inverse
        It finds inputs from measurements of outputs, by ``sciml invert``.
    uncertainty
        Its predictions have standard deviations or samples.
    unstructured_mesh
        It learns from meshes of varying shape.
    resolution_change
        It predicts on other grids or meshes than those of training.
    no_labels
        It learns without reference solutions.
    processes
        Several processes, started by ``torchrun``, train it together.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> Capabilities(no_labels=Offer("physics=error, labels=0", elliptic), processes=Offer()).of(Darcy())
    ('no_labels', 'processes')
    """

    inverse: Offer | None = None
    uncertainty: Offer | None = None
    unstructured_mesh: Offer | None = None
    resolution_change: Offer | None = None
    no_labels: Offer | None = None
    processes: Offer | None = None

    @property
    def offers(self) -> dict[str, Offer]:
        """Those that there are, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: offer for name, offer in found.items() if offer is not None}

    def of(self, problem: Any) -> tuple[str, ...]:
        """Names of those that there are for a problem that the learner accepts."""
        return tuple(name for name, offer in self.offers.items() if offer.where(problem))
