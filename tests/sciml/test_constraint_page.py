"""The page on constraint layers: its code runs, and shows what the words say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hard_constraints.md"


@pytest.fixture(scope="module")
def scope():
    """The names that the page's code has left."""
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_constrained_field_is_near_the_solution(scope):
    """Eight polynomials come within 1 % of Newton's solution, whose rows vanish; u(0) = g and u(1) = 0 nearly hold."""
    assert scope["residual"].rows(scope["exact"]).abs().max() < 1e-10
    assert scope["field"].fallbacks == 0
    assert float(scope["error"]) < 1e-2
    torch.testing.assert_close(scope["exact"][:, 0], scope["left"], rtol=0, atol=1e-12)


def test_the_network_is_trained_through_the_layer(scope):
    assert scope["losses"][-1] < scope["losses"][0] / 2


def test_experts_have_weights_of_their_own(scope):
    assert scope["divided"].weights.shape == (3, 4, 4)
    assert scope["divided"].fallbacks == 0


def test_the_bound_is_what_keeps_the_field_positive(scope):
    assert scope["free"].values.min() < -1e-3
    assert scope["bounded"].values.min() >= 0


def test_the_law_holds_to_rounding(scope):
    assert scope["before"].abs().max() > 1e-2
    assert scope["after"].abs().max() < 1e-14
