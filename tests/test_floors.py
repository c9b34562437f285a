"""The arrows between the packages: each floor imports only the floors below it, and no imports form a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("solvers", "meshes", "pde_benchmarks", "sciml")

Sources = dict[str, tuple[bool, ast.Module]]


def parse(texts: dict[str, str]) -> Sources:
    """Map ``{"sciml/learner.py": source}`` to ``{"sciml.learner": (is a package, tree)}``."""
    sources = {}
    for path, text in texts.items():
        parts = Path(path).with_suffix("").parts
        package = parts[-1] == "__init__"
        sources[".".join(parts[:-1] if package else parts)] = (package, ast.parse(text, path))
    return sources


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when the module is imported: not the bodies of functions, nor ``if TYPE_CHECKING``."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from at_import_time(child)


def imported(module: str, package: bool, nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module.split(".") if package else module.split(".")[:-1]
            above = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def upward_imports(sources: Sources) -> list[str]:
    """Imports, lazy ones too, of a floor above the module's own."""
    return sorted(
        f"{module} imports {target}"
        for module, (package, tree) in sources.items()
        for target in set(imported(module, package, ast.walk(tree)))
        if target.split(".")[0] in FLOORS[FLOORS.index(module.split(".")[0]) + 1 :]
    )


def import_cycle(sources: Sources) -> list[str]:
    """One circle of modules that import each other while they load; empty where there is none."""
    graph: dict[str, set[str]] = {}
    for module, (package, tree) in sources.items():
        targets = {t for t in imported(module, package, at_import_time(tree)) if t in sources}
        # `from package import submodule` names the package too, which Python allows to be half loaded.
        targets -= {t for t in targets if any(other.startswith(f"{t}.") for other in targets)}
        graph[module] = targets - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def house() -> Sources:
    files = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
    return parse({path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files})


def test_every_floor_is_there(house):
    assert set(FLOORS) <= set(house)


def test_no_module_imports_a_floor_above_its_own(house):
    assert upward_imports(house) == []


def test_no_modules_import_each_other_in_a_circle(house):
    assert import_cycle(house) == []


def test_no_module_below_the_package_imports_the_lazy_package_itself(house):
    """``from sciml import Learner`` inside sciml would make the lazy names part of the loading order."""
    names = {"sciml.Learner", "sciml.Trainer", "sciml.load"} - set(house)
    within = [(m, p, t) for m, (p, t) in house.items() if m.startswith("sciml.")]
    assert [m for m, p, t in within if names & set(imported(m, p, ast.walk(t)))] == []


@pytest.mark.parametrize(
    "line",
    [
        "import sciml.learner",
        "from sciml import learner",
        "import numpy, pde_benchmarks.darcy as d",
        "def f():\n    from meshes import mesh",
    ],
)
def test_an_upward_import_is_found(line):
    assert len(upward_imports(parse({"solvers/cg.py": line}))) >= 1


@pytest.mark.parametrize(
    "line", ["import solvers.cg", "from solvers import cg", "from . import problem", "import torch"]
)
def test_an_import_of_the_same_or_a_lower_floor_is_allowed(line):
    assert upward_imports(parse({"pde_benchmarks/darcy.py": line})) == []


def test_a_circle_is_found_whatever_the_form_of_the_import():
    sources = {
        "solvers/a.py": "from solvers import b",
        "solvers/b.py": "from .c import x",
        "solvers/c.py": "import solvers.a",
    }
    assert set(import_cycle(parse(sources))) == {"solvers.a", "solvers.b", "solvers.c"}


@pytest.mark.parametrize(
    "line",
    ["def f():\n    import solvers.a", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import solvers.a"],
    ids=["in a function", "for types only"],
)
def test_an_import_that_does_not_run_at_import_time_closes_no_circle(line):
    assert import_cycle(parse({"solvers/a.py": "import solvers.b", "solvers/b.py": line})) == []
