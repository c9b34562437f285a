"""`sciml invert` with a prior of several noise levels: the level is chosen, and refused where there is none."""

from __future__ import annotations

import json

import h5py
import pytest
import torch

from sciml.cli import main
from sciml.learner import learner_types
from sciml.learners.proximal import LPN, ConditionedLPN
from sciml.plug_and_play import reconstruct
from sciml.reconstructions import (
    FORWARD_PROBLEMS,
    at_chosen_noise,
    method_of,
    strengthened,
    synthetic_case,
    trained_prior,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of both learners, of short signals."""
    folder = tmp_path_factory.mktemp("priors")
    small = "--problem-set law=signals --problem-set resolution=16 --samples 64 --test-samples 8 --steps 30"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIML_CACHE", str(folder / "cache"))
        for kind in (LPN, ConditionedLPN):
            patch.setitem(learner_types(), kind.name, kind)
            options = [*small.split(), "--set", "widths=[4, 4]", "--set", "strides=[1, 1]", "--baselines", "none"]
            assert main(["run", "denoising", "--learner", kind.name, *options, "-o", str(folder / kind.name)]) == 0
        yield folder


def test_the_prior_of_a_run_is_that_of_the_problem_s_level_or_of_a_chosen_one(runs):
    prior = trained_prior(runs / "lpn-conditioned")
    v = torch.rand(2, 1, 16, dtype=torch.float64)
    assert prior.conditioned is not None
    torch.testing.assert_close(prior.network(v), prior.conditioned(v, 0.1), rtol=0, atol=1e-13)
    low, strength = at_chosen_noise(prior, "noise=0.05")
    assert strength == "exact"
    torch.testing.assert_close(low.network(v), prior.conditioned(v, 0.05), rtol=0, atol=1e-13)
    assert low.map_weight == pytest.approx(400)
    assert at_chosen_noise(prior, "relaxed=0.5") == (prior, "relaxed=0.5")
    assert torch.equal(strengthened(low.network, "own").prox(v).x, low.network(v))


def test_the_command_line_chooses_the_level(runs, tmp_path):
    run, folder = runs / "lpn-conditioned", tmp_path / "made"
    options = f"--strength noise=0.05 --weight 100 --method-set tolerance=1e-3 --noise 0.1 -o {folder}"
    assert main(["invert", "deblur", "--prior", str(run), *options.split()]) == 0
    assert json.loads((folder / "metrics.json").read_text())["strength"] == "noise=0.05"
    expected = []
    for prior in (trained_prior(run).at(0.05), trained_prior(run)):
        case = synthetic_case(FORWARD_PROBLEMS["deblur"](), prior, 0.1, seed=0)
        method = method_of("proximal-gradient", case.operator, {"tolerance": 1e-3})
        with torch.no_grad():
            result = reconstruct(case.fidelity, strengthened(prior.network, "exact"), 100.0, method, throw=False)
        expected.append(result.x)
    with h5py.File(folder / "reconstruction.h5") as file:
        found = torch.from_numpy(file["reconstruction"][:])
    torch.testing.assert_close(found, expected[0], rtol=0, atol=1e-12)
    assert float((found - expected[1]).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("name", "strength", "words"),
    [
        ("lpn", "noise=0.05", "trained for the noise level 0.1 alone"),
        ("lpn-conditioned", "noise=0.5", "from 0.02 to 0.2"),
        ("lpn-conditioned", "noise=nan", "from 0.02 to 0.2"),
        ("lpn-conditioned", "noise=low", "noise=S with a number S"),
        ("lpn-conditioned", "loud", "noise=S"),
    ],
)
def test_levels_that_a_run_does_not_have_are_refused_in_one_line(runs, name, strength, words, tmp_path, capsys):
    folder = tmp_path / "made"
    assert main(["invert", "deblur", "--prior", str(runs / name), "--strength", strength, "-o", str(folder)]) == 2
    spoken = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith("sciml:")]
    assert len(spoken) == 1
    assert words in spoken[0]
    assert not folder.exists()
