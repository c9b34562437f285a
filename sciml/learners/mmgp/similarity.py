"""Scalars and fields in units that each sample has of its own, so that similar cases look the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np

from meshes.mesh import Mesh
from pde_benchmarks.shape_measures import SHAPE_MEASURES
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.mmgp.faults import in_sample
from sciml.learners.mmgp.parts import PartFamily, scalar_values

__all__ = ["Similar", "Similarity", "monomial"]

_TERM = re.compile(r"([*/]?)\s*([A-Za-z_]\w*)\s*")


@dataclass(frozen=True)
class Similarity:
    """Products and quotients of given scalars: those that count, and units in which fields and scalars are predicted.

    Dimensional analysis knows that some cases are one: an elastoplastic part under twice the load, with twice the
    yield stress, stiffness and hardening, has twice the stresses. A regression would have to learn it. Beside given
    scalars numbers may be named that are measured on the mesh itself (`SHAPE_MEASURES`), such as net_section_y.

    Parameters
    ----------
    ratios
        What the regression is given in place of the scalars, such as ("P/R0/net_section_y", "H/E"); empty: the
        scalars.
    scales
        Name of a field or scalar that is predicted to its unit, such as {"u": "R0/E", "s11": "R0"}.

    Examples
    --------
    >>> similarity = Similarity(("P/R0",), {"s": "R0"})
    >>> rod = Mesh([[0.0], [1.0]], {"line": [[0, 1]]}, {"s": [4.0, 8.0]}, global_data={"P": 1.0, "R0": 2.0})
    >>> seen = similarity.seen(rod)
    >>> float(seen.global_data["P/R0"]), seen.point_data["s"].tolist()
    (0.5, [2.0, 4.0])
    """

    ratios: tuple[str, ...]
    scales: Mapping[str, str]

    def family(self, family: PartFamily) -> PartFamily:
        """The family as the regression sees it.

        Raises
        ------
        LearnerError
            A ratio or unit of scalars that are not given, or the unit of something that is not predicted.
        """
        used = {name for text in (*self.ratios, *self.scales.values()) for name in monomial(text)}
        foreign = sorted(used - set(family.input_scalars) - set(SHAPE_MEASURES))
        if foreign:
            raise LearnerError(
                f"ratios and scales are of {', '.join(foreign)}: expected given scalars, "
                f"{', '.join(family.input_scalars) or 'of which there are none'}, or what is measured on the mesh, "
                f"{', '.join(SHAPE_MEASURES)}."
            )
        unknown = [name for name in self.scales if name not in family.fields + family.output_scalars]
        if unknown:
            raise LearnerError(f"scales of {', '.join(unknown)}: expected fields or scalars that are predicted.")
        return replace(family, input_scalars=self.ratios or family.input_scalars)

    def seen(self, mesh: Mesh) -> Mesh:
        """The mesh with ratios in its global data, and with what is known of the outputs in their units.

        Raises
        ------
        LearnerError
            As `units`, or a ratio divides by zero.
        """
        mesh = replace(mesh, global_data={**mesh.global_data, **_arrays(self.measured(mesh))})
        ratios = {text: np.array(_value(text, mesh)) for text in self.ratios}
        units = {name: _unit(text, mesh) for name, text in self.scales.items()}
        fields = {name: mesh.point_data[name] / units[name] for name in units if name in mesh.point_data}
        numbers = {name: mesh.global_data[name] / units[name] for name in units if name in mesh.global_data}
        return replace(
            mesh,
            point_data={**mesh.point_data, **fields},
            global_data={**mesh.global_data, **numbers, **ratios},
        )

    def measured(self, mesh: Mesh) -> dict[str, float]:
        """What ratios and scales name of the shape itself."""
        used = {name for text in (*self.ratios, *self.scales.values()) for name in monomial(text)}
        return {name: SHAPE_MEASURES[name](mesh) for name in sorted(used & set(SHAPE_MEASURES) - set(mesh.global_data))}

    def units(self, mesh: Mesh) -> dict[str, float]:
        """Name of what is predicted to its unit for one mesh.

        Raises
        ------
        LearnerError
            A scalar is missing, or the unit is not positive.
        """
        mesh = replace(mesh, global_data={**mesh.global_data, **_arrays(self.measured(mesh))})
        return {name: _unit(text, mesh) for name, text in self.scales.items()}


@dataclass(frozen=True)
class Similar(Sequence[Mesh]):
    """Samples as the regression sees them, made when they are asked for; what is measured of a shape is kept."""

    samples: Sequence[Mesh]
    similarity: Similarity
    _measured: dict[int, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mesh]: ...

    def __getitem__(self, index: int | slice) -> Mesh | list[Mesh]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        with in_sample(index):
            mesh = self.samples[index]
            if index not in self._measured:
                self._measured[index] = self.similarity.measured(mesh)
            known = {**mesh.global_data, **_arrays(self._measured[index])}
            return self.similarity.seen(replace(mesh, global_data=known))


def monomial(text: str) -> dict[str, int]:
    """Names to their powers in a product or quotient.

    Raises
    ------
    ConfigurationError
        Anything else than names with * and / between them.

    Examples
    --------
    >>> monomial("P*H/E/E")
    {'P': 1, 'H': 1, 'E': -2}
    """
    powers: dict[str, int] = {}
    place = 0
    for match in _TERM.finditer(text.strip()):
        if match.start() != place or bool(match[1]) != bool(place):
            break
        powers[match[2]] = powers.get(match[2], 0) + (-1 if match[1] == "/" else 1)
        place = match.end()
    if place != len(text.strip()) or not powers:
        raise ConfigurationError(f"{text!r}: expected names of scalars with * and / between them, such as P/R0.")
    return powers


def _arrays(numbers: Mapping[str, float]) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in numbers.items()}


def _value(text: str, mesh: Mesh) -> float:
    value = 1.0
    for name, power in monomial(text).items():
        number = scalar_values(mesh, name)
        if number == 0 and power < 0:
            raise LearnerError(f"{text}: {name} is zero: expected another value, or leave it out of the ratios.")
        value *= number**power
    return value


def _unit(text: str, mesh: Mesh) -> float:
    value = _value(text, mesh)
    if not value > 0:
        raise LearnerError(f"{text} is {value}: expected a positive unit.")
    return value
