"""Problems are found by name, configured from plain values, and rebuilt from JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.errors import ConfigurationError
from pde_benchmarks.problem import FieldSpec, Grid, Phases, RecordedProblem
from pde_benchmarks.registry import configure, describe_problem, find, problem_types, rebuild_problem


@pytest.fixture
def darcy_installed(monkeypatch):
    monkeypatch.setattr("pde_benchmarks.registry.problem_types", lambda: {"darcy": Darcy})


@pytest.mark.usefixtures("darcy_installed")
@pytest.mark.parametrize(
    "problem",
    [
        Darcy(law="multiscale", resolution=32),
        RecordedProblem(
            "file.mat",
            (FieldSpec("a", 1, Grid((4, 4), "left"), kind=Phases((3.0, 12.0))),),
            (FieldSpec("u", 2, Grid((4, 4), "left")),),
        ),
    ],
    ids=lambda problem: problem.name,
)
def test_a_problem_survives_json(problem):
    assert rebuild_problem(json.loads(json.dumps(describe_problem(problem)))) == problem


@dataclass(frozen=True)
class Config:
    levels: str = "11 20"
    flag: bool = False


def test_a_whole_number_is_text_where_text_is_expected():
    assert configure(Config, {"levels": 11, "flag": True}) == Config("11", flag=True)
    with pytest.raises(ConfigurationError, match="levels"):
        configure(Config, {"levels": [11]})


def test_values_are_coerced_and_checked():
    assert configure(Darcy, {"resolution": "32"}) == Darcy(resolution=32)
    with pytest.raises(ConfigurationError, match=r"Darcy\.resolution = 'many'"):
        configure(Darcy, {"resolution": "many"})
    with pytest.raises(ConfigurationError, match="unknown key 'resolutoin' of Darcy: known are law, resolution"):
        configure(Darcy, {"resolutoin": 32})


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigurationError, match="unknown problem 'stokes': known are darcy"):
        find({"darcy": Darcy}, "stokes", "problem")
    assert all(isinstance(name, str) for name in problem_types())
