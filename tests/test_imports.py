"""``import sciml`` is light, public names load on first use, and foreign packages of our names are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sciml

HOME = Path(sciml.__file__).resolve().parent.parent
HEAVY = ("torch", "numpy", "scipy", "numba", "h5py", "matplotlib", "pyvista", "accelerate", "pydantic")


def python(code: str, *path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` with `path` ahead of everything that is installed."""
    front = "".join(f"sys.path.insert({i}, {str(p)!r}); " for i, p in enumerate(path))
    command = [sys.executable, "-c", f"import sys; {front}{code}"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def package(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("raise RuntimeError('a foreign package was imported')\n")
    return folder


def test_import_loads_nothing_heavy(tmp_path):
    done = python(f"import sciml; print(sorted(set({HEAVY!r}) & set(sys.modules)))", HOME, cwd=tmp_path)
    assert done.stdout == "[]\n", done.stderr


def test_import_does_not_import_the_floors_below(tmp_path):
    floors = {"solvers", "meshes", "pde_benchmarks"}
    done = python(f"import sciml; print(sorted({floors!r} & set(sys.modules)))", HOME, cwd=tmp_path)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("name", ["solvers", "meshes", "pde_benchmarks"])
def test_a_foreign_package_is_named_with_its_path_and_the_remedy(tmp_path, name):
    foreign = package(tmp_path / "elsewhere", name)
    done = python("import sciml", foreign, HOME, cwd=tmp_path)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: sciml:")
    assert str(foreign / name) in message
    assert str(HOME / name) in message
    assert "Mend:" in message


def test_a_foreign_single_file_module_is_found_too(tmp_path):
    (tmp_path / "solvers.py").write_text("")
    done = python("import sciml", tmp_path, HOME, cwd=tmp_path)
    assert f"foreign package at {tmp_path / 'solvers.py'}" in done.stderr


def test_a_missing_package_is_named(tmp_path):
    lone = tmp_path / "lone"
    (lone / "sciml").mkdir(parents=True)
    (lone / "sciml" / "__init__.py").write_text((HOME / "sciml" / "__init__.py").read_text())
    code = f"sys.path = [p for p in sys.path if p != {str(HOME)!r} and 'site-packages' not in p]; import sciml"
    done = python(code, lone, cwd=lone)
    assert "ImportError: sciml: the package 'solvers' is missing" in done.stderr


@pytest.mark.parametrize("name", [n for n in sciml.__all__ if n != "__version__"])
def test_a_public_name_is_the_one_of_its_module(name):
    value = getattr(sciml, name)
    assert value.__name__ == name
    assert value.__module__.startswith("sciml")
    assert name in dir(sciml)


def test_no_public_name_is_a_module_too():
    """Else its value would depend on which of the two was imported first."""
    modules = {path.stem for path in (HOME / "sciml").iterdir()}
    assert not modules & set(sciml.__all__)


def test_an_unknown_name_lists_the_public_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'Lerner'.*Learner, Trainer"):
        sciml.Lerner  # noqa: B018
