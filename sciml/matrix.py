"""Which installed learner learns which installed problem, and what it offers there, as one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pde_benchmarks.registry import mesh_problem_types, problem_types
from sciml.capabilities import CAPABILITIES, Capabilities
from sciml.learner import learner_types
from sciml.mesh_learner import mesh_learner_types

__all__ = ["Matrix", "as_markdown", "as_text", "installed_matrices", "matrix_of"]

FORWARD = ("F", "learns the map from inputs to outputs and predicts: sciml run")
_NONE = "·"


@dataclass(frozen=True)
class Matrix:
    """Learners × problems.

    Parameters
    ----------
    title
        What these learners learn from.
    learners, problems
        Names, in the order of columns and rows.
    cells
        By problem and learner, the names of the capabilities beside prediction; what is not there is not accepted.
    settings
        By learner and capability, the settings that it takes; those that take none are left out.
    """

    title: str
    learners: tuple[str, ...]
    problems: tuple[str, ...]
    cells: Mapping[tuple[str, str], tuple[str, ...]]
    settings: Mapping[tuple[str, str], str]

    def letters(self, problem: str, learner: str) -> str:
        """A cell as letters, ``F`` first; a dot where the learner does not accept the problem."""
        offered = self.cells.get((problem, learner))
        return _NONE if offered is None else FORWARD[0] + "".join(CAPABILITIES[name][0] for name in offered)


def installed_matrices() -> tuple[Matrix, Matrix]:
    """The matrices of learners of fields on grids and of learners of parts on meshes, as installed."""
    grids = matrix_of("fields on grids, numbers, points", learner_types(), problem_types())
    return grids, matrix_of("parts on meshes", mesh_learner_types(), mesh_problem_types())


def matrix_of(title: str, learners: Mapping[str, Any], problems: Mapping[str, Any]) -> Matrix:
    """The matrix of learners and problems with their default settings, by their types; problems without are left out.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> from sciml.learners.multionet import DeepONetLearner
    >>> matrix_of("grids", {"deeponet": DeepONetLearner}, {"darcy": Darcy}).letters("darcy", "deeponet")
    'FURNP'
    """
    posed = {name: kind() for name, kind in sorted(problems.items()) if _has_defaults(kind)}
    offered = {name: _capabilities(kind) for name, kind in learners.items()}
    cells = {
        (problem, learner): offered[learner].of(posed[problem])
        for problem in posed
        for learner in sorted(learners)
        if learners[learner].accepts(posed[problem]) is None
    }
    settings = {
        (learner, name): offer.settings
        for learner in sorted(learners)
        for name, offer in offered[learner].offers.items()
        if offer.settings
    }
    return Matrix(title, tuple(sorted(learners)), tuple(posed), cells, settings)


def as_text(matrices: Sequence[Matrix], width: int) -> str:
    """Tables of letters at most ``width`` columns wide, learners in as many bands as that takes; then the legend."""
    parts = []
    for matrix in matrices:
        parts.append(matrix.title)
        parts += ["\n".join(lines) for lines in _bands(matrix, width)]
    parts.append("\n".join(f"{letter}  {meaning}" for letter, meaning in _legend()))
    parts.append("\n".join(_remarks(matrices)))
    return "\n\n".join(parts)


def as_markdown(matrices: Sequence[Matrix]) -> str:
    """The tables and the legend as Markdown."""
    parts = []
    for matrix in matrices:
        head = ["", *matrix.learners]
        rows = [[p, *(matrix.letters(p, learner) for learner in matrix.learners)] for p in matrix.problems]
        lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
        parts += [f"## {matrix.title[0].upper()}{matrix.title[1:]}", "\n".join(lines)]
    parts += ["## What the letters mean", "\n".join(f"- **{letter}** {meaning}" for letter, meaning in _legend())]
    parts.append("\n".join(f"- {remark}" for remark in _remarks(matrices)))
    return "\n\n".join(parts) + "\n"


def _capabilities(kind: Any) -> Capabilities:
    """What a learner declares; learners of meshes need not declare anything."""
    declared = getattr(kind, "capabilities", None)
    return declared if isinstance(declared, Capabilities) else Capabilities()


def _has_defaults(kind: type) -> bool:
    none = dataclasses.MISSING
    return all(one.default is not none or one.default_factory is not none for one in dataclasses.fields(kind))


def _legend() -> list[tuple[str, str]]:
    return [FORWARD, *CAPABILITIES.values(), (_NONE, "the learner does not accept the problem, and says why")]


def _remarks(matrices: Sequence[Matrix]) -> list[str]:
    """Which capabilities have to be asked for, and how."""
    by_setting: dict[tuple[str, str], list[str]] = {}
    for matrix in matrices:
        for (learner, name), settings in matrix.settings.items():
            by_setting.setdefault((CAPABILITIES[name][0], settings), []).append(learner)
    return [
        f"{letter} of {', '.join(learners)}: {' '.join(f'--set {one.strip()}' for one in settings.split(','))}"
        for (letter, settings), learners in by_setting.items()
    ]


def _bands(matrix: Matrix, width: int) -> Iterator[list[str]]:
    """The table as lines, some learners at a time."""
    first = max(map(len, matrix.problems), default=0)
    columns = {
        learner: [learner, *(matrix.letters(problem, learner) for problem in matrix.problems)]
        for learner in matrix.learners
    }
    for learners in _fitting({name: max(map(len, cells)) for name, cells in columns.items()}, width - first):
        rows = zip(["", *matrix.problems], *(columns[name] for name in learners), strict=True)
        widths = [first, *(max(map(len, columns[name])) for name in learners)]
        yield ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]


def _fitting(sizes: Mapping[str, int], width: int) -> list[list[str]]:
    """Names in groups whose columns, two apart, fit into ``width``; at least one in each."""
    groups: list[list[str]] = []
    used = width
    for name, size in sizes.items():
        if not groups or used + size + 2 > width:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size + 2
    return groups
