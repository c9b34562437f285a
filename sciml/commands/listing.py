"""``sciml list``: what is installed."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import typer

__all__ = ["list_installed"]

#: Columns of the matrix where there is no terminal.
MATRIX_WIDTH = 100


def list_installed(
    what: Annotated[Literal["learners", "problems", "all"], typer.Argument(help="learners, problems, or all")] = "all",
    matrix: Annotated[bool, typer.Option("--matrix", help="which learner learns which problem, and what else")] = False,
) -> None:
    """Show the installed learners and problems, with the keys of --set and their defaults."""
    if matrix:
        _show_matrix()
        return
    from pde_benchmarks.registry import mesh_problem_types, problem_types
    from sciml.commands.console import table
    from sciml.learner import learner_types
    from sciml.mesh_learner import mesh_learner_types

    if what in ("learners", "all"):
        rows = [
            [name, "\nnot installed: ".join(filter(None, (_summary(kind), kind.missing()))), _keys(kind.config_type)]
            for name, kind in sorted(learner_types().items())
        ]
        rows += [[name, _summary(kind), _keys(kind.config_type)] for name, kind in sorted(mesh_learner_types().items())]
        table("learners", ("name", "what it is", "--set"), rows)
    if what in ("problems", "all"):
        rows = [
            [name, _summary(kind), _keys(kind)]
            for name, kind in sorted({**problem_types(), **mesh_problem_types()}.items())
        ]
        table("problems", ("name", "what it is", "--problem-set"), rows)


def _show_matrix() -> None:
    from rich.console import Console

    from sciml.commands.console import show
    from sciml.matrix import as_text, installed_matrices

    width = Console().width if Console().is_terminal else MATRIX_WIDTH
    show(as_text(installed_matrices(), width))


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _keys(config_type: Any) -> str:
    """Lines ``key=default``; a key without a default stands alone."""
    lines = []
    for field in dataclasses.fields(config_type):
        if field.default is not dataclasses.MISSING:
            lines.append(f"{field.name}={'null' if field.default is None else field.default}")
        elif field.default_factory is not dataclasses.MISSING:
            lines.append(f"{field.name}={field.default_factory()}")
        else:
            lines.append(field.name)
    return "\n".join(lines)
