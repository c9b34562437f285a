"""Find an installed problem by name, fill its configuration from plain values, and turn it into JSON and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_type_hints

from pde_benchmarks.errors import ConfigurationError
from pde_benchmarks.installed import Installed, installed
from pde_benchmarks.mesh_problem import MeshProblem
from pde_benchmarks.problem import Problem, RecordedProblem, decode_spec, encode_spec
from solvers.errors import ScimlError

__all__ = [
    "configure",
    "describe_problem",
    "find",
    "mesh_problem_types",
    "problem_types",
    "rebuild_mesh_problem",
    "rebuild_problem",
]


@cache
def problem_types() -> dict[str, type[Problem]]:
    """Installed problems by name (entry-point group ``pde_benchmarks.problems``)."""
    return installed("pde_benchmarks.problems")


@cache
def mesh_problem_types() -> dict[str, type[MeshProblem]]:
    """Installed problems on meshes of varying shape by name (entry-point group ``pde_benchmarks.mesh_problems``)."""
    return installed("pde_benchmarks.mesh_problems")


def find(table: Mapping[str, Any], name: str, what: str) -> Any:
    """Look ``name`` up in ``table``, a table of ``what``.

    Raises
    ------
    ConfigurationError
        If it is not there; the message lists the known names, or says why an installed one cannot be loaded.
    """
    if name not in table:
        if isinstance(table, Installed) and name in table.broken:
            raise ConfigurationError(f"{what} {name!r}: {table.broken[name]}")
        raise ConfigurationError(f"unknown {what} {name!r}: known are {', '.join(sorted(table)) or 'none'}.")
    return table[name]


def configure(config_type: type, values: Mapping[str, Any]) -> Any:
    """Build a configuration dataclass from plain values, coerced and checked by pydantic.

    A problem within a problem may be given as `describe_problem` describes it.

    Raises
    ------
    ConfigurationError
        If a key is unknown (the known ones are listed) or a value has the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [f.name for f in dataclasses.fields(config_type)]
    for key in values:
        if key not in known:
            raise ConfigurationError(f"unknown key {key!r} of {config_type.__name__}: known are {', '.join(known)}.")
    # YAML reads the text 11 as a number; where text is expected, its digits are meant.
    types = get_type_hints(config_type)
    values = {key: str(v) if types[key] is str and type(v) is int else v for key, v in values.items()}
    values = {key: rebuild_problem(v) if _is_nested(types[key], v) else v for key, v in values.items()}
    try:
        return TypeAdapter(config_type).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        own = first.get("ctx", {}).get("error")
        if isinstance(own, ScimlError):  # the class's own check, which names value and remedy itself
            raise ConfigurationError(str(own)) from None
        raise ConfigurationError(_misfit(config_type, values, error.errors())) from None


def describe_problem(problem: Problem | MeshProblem) -> dict[str, Any]:
    """A problem as JSON-ready values; `rebuild_problem` or `rebuild_mesh_problem` is the inverse.

    Examples
    --------
    >>> from pde_benchmarks.darcy import Darcy
    >>> describe_problem(Darcy(resolution=16))
    {'name': 'darcy', 'config': {'law': 'smooth', 'resolution': 16, 'factors': 5}}
    """
    if isinstance(problem, RecordedProblem):
        return {
            "name": problem.name,
            "source": problem.source,
            "inputs": encode_spec(problem.inputs),
            "outputs": encode_spec(problem.outputs),
        }
    config = dataclasses.asdict(problem)  # type: ignore[call-overload]
    nested = {key: getattr(problem, key) for key in config if isinstance(getattr(problem, key), Problem)}
    return {"name": problem.name, "config": {**config, **{key: describe_problem(p) for key, p in nested.items()}}}


def rebuild_problem(description: Mapping[str, Any]) -> Problem:
    """The problem that `describe_problem` described.

    Raises
    ------
    ConfigurationError
        If no installed problem has its name, or the configuration does not fit it.
    """
    if description["name"] == RecordedProblem.name:
        return RecordedProblem(
            description["source"], decode_spec(description["inputs"]), decode_spec(description["outputs"])
        )
    problem: Problem = configure(find(problem_types(), description["name"], "problem"), description.get("config", {}))
    return problem


def rebuild_mesh_problem(description: Mapping[str, Any]) -> MeshProblem:
    """The problem on meshes of varying shape that `describe_problem` described.

    Raises
    ------
    ConfigurationError
        If no installed problem has its name, or the configuration does not fit it.
    """
    kind = find(mesh_problem_types(), description["name"], "problem on meshes")
    problem: MeshProblem = configure(kind, description.get("config", {}))
    return problem


def _misfit(config_type: type, values: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> str:
    """What the first value that does not fit should have been, and its default as an example."""
    key = errors[0]["loc"][0]
    reasons = dict.fromkeys(error["msg"] for error in errors if error["loc"][0] == key)  # those of all alternatives
    (field,) = (field for field in dataclasses.fields(config_type) if field.name == key)
    usual = "" if field.default is dataclasses.MISSING else f"; the default is {field.default!r}"
    return f"{config_type.__name__}.{key} = {values[key]!r}: {', or '.join(reasons)}{usual}."


def _is_nested(kind: Any, value: Any) -> bool:
    """Whether ``value`` describes a problem, and one is expected."""
    return isinstance(kind, type) and issubclass(kind, Problem) and isinstance(value, Mapping) and "name" in value
