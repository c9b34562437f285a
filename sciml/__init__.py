"""Learn the solution operator of a partial differential equation, and check every answer against the equation.

``import sciml`` loads nothing heavy: a public name loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.learner import Learner, load
    from sciml.training import Trainer

__version__ = "0.1.0"
__all__ = ["Learner", "Trainer", "__version__", "load"]

_MODULE_OF = {
    "Learner": "sciml.learner",
    "Trainer": "sciml.training",
    "load": "sciml.learner",
}
_FLOORS = ("solvers", "meshes", "pde_benchmarks")


def __getattr__(name: str) -> Any:
    """Load the module of a public name on first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sciml' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _locate(package: str) -> Path | None:
    """Return the folder that ``import package`` would take, without importing it; None where there is none."""
    spec = find_spec(package)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return Path(folders[0] if folders else str(spec.origin)).resolve()


def _check_floors() -> None:
    """Raise ImportError unless the packages below are the ones installed with this one."""
    home = Path(__file__).resolve().parent.parent
    for package in _FLOORS:
        found = _locate(package)
        if found is None:
            raise ImportError(
                f"sciml: the package {package!r} is missing; it is installed together with sciml, in {home}. "
                "Mend: reinstall with `pip install --force-reinstall --no-deps sciml-pde`, "
                "or `pip install -e .` in a clone of the repository.",
                name=package,
            )
        if found != home / package:
            raise ImportError(
                f"sciml: `import {package}` finds a foreign package at {found}, not the one installed with sciml "
                f"at {home / package}. Mend: uninstall the foreign {package!r}, rename or leave its folder, "
                "take it off PYTHONPATH, or use a virtual environment of its own for sciml.",
                name=package,
                path=str(found),
            )


_check_floors()
