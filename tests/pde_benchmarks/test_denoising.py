"""Denoising as a problem: drawn, generated, written, read and judged like every other."""

from __future__ import annotations

import math

import pytest
import torch

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.datasets import generate, read_dataset_file
from pde_benchmarks.errors import ConfigurationError, ProblemError
from pde_benchmarks.imaging import Denoising, psnr_db
from pde_benchmarks.imaging.laws import LAWS
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import configure, describe_problem


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("law", [*LAWS, "darcy:coefficient", "darcy:solution", "burgers:solution"])
def test_noisy_is_clean_plus_noise_of_the_level_stated(law):
    problem = Denoising(law, resolution=16, noise=0.2)
    inputs = problem.sample(64, generator())
    clean = problem.solve(inputs)["clean"]
    (given,), (wanted,) = problem.inputs, problem.outputs
    assert inputs["noisy"].shape[1:] == clean.shape[1:] == (given.channels, *given.support.shape)
    assert given.support == wanted.support
    noise = inputs["noisy"] - clean
    assert noise.std().item() == pytest.approx(problem.noise_level, rel=0.05)
    assert abs(noise.mean().item()) < 0.05 * problem.noise_level
    torch.testing.assert_close(clean, problem.draw(64, generator()), rtol=0, atol=1e-14 * problem.peak)


def test_fields_of_a_problem_are_its_own():
    """The law darcy:solution draws what Darcy draws and solves it, in its unit."""
    inputs = Darcy(resolution=16).sample(3, generator())
    assert torch.equal(Denoising("darcy:coefficient", 16).draw(3, generator()), inputs["coefficient"])
    pressure = Denoising("darcy:solution", 16)
    assert torch.equal(pressure.draw(3, generator()), Darcy(resolution=16).solve(inputs)["solution"])
    assert 0.005 < pressure.peak < 0.05
    assert Denoising("darcy:coefficient", 16).peak == 9.0


@pytest.mark.parametrize(
    ("law", "error", "words"),
    [
        ("ellipsoids", ProblemError, "ellipses, sources, permeability, signals, or PROBLEM:FIELD"),
        ("darcy:pressure", ProblemError, "coefficient, solution"),
        ("nowhere:solution", ConfigurationError, "unknown problem 'nowhere'"),
    ],
)
def test_unknown_laws_are_named_with_the_known_ones(law, error, words):
    with pytest.raises(error, match=words):
        Denoising(law).sample(1, generator())


@pytest.mark.parametrize("noise", [0.0, -0.1, math.nan, math.inf])
def test_noise_must_be_positive(noise):
    with pytest.raises(ProblemError, match="positive"):
        Denoising(noise=noise)


def test_only_drawn_fields_have_a_reference_solution():
    noisy = Denoising().sample(2, generator())["noisy"]
    with pytest.raises(ProblemError, match=r"sample\(\)"):
        Denoising().solve(Batch({"noisy": noisy}))


def test_a_generated_data_set_holds_noisy_and_clean_and_nothing_else(tmp_path):
    problem = Denoising("signals", resolution=16)
    made = generate(problem, 40, seed=0, path=tmp_path / "signals.h5")
    again = read_dataset_file(tmp_path / "signals.h5", problem=problem)
    assert list(made.inputs) == list(again.inputs) == ["noisy"]
    assert list(made.outputs) == list(again.outputs) == ["clean"]
    assert torch.equal(made.inputs["noisy"], again.inputs["noisy"])
    assert torch.equal(made.outputs["clean"], again.outputs["clean"])
    assert again.problem == problem
    assert abs((made.inputs["noisy"] - made.outputs["clean"]).std() - 0.1) < 0.01


def test_an_interrupted_generation_ends_with_the_same_samples(tmp_path):
    problem = Denoising("signals", resolution=16)
    whole = generate(problem, 12, seed=3, path=tmp_path / "whole.h5", chunk=4)

    def stop(done: int, wanted: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(problem, 12, seed=3, path=tmp_path / "parts.h5", chunk=4, progress=stop)
    rest = generate(problem, 12, seed=3, path=tmp_path / "parts.h5", chunk=4)
    assert torch.equal(whole.inputs["noisy"], rest.inputs["noisy"])
    assert torch.equal(whole.outputs["clean"], rest.outputs["clean"])


def test_configuration_round_trip():
    problem = Denoising("darcy:solution", resolution=16, noise=0.05)
    assert configure(Denoising, describe_problem(problem)["config"]) == problem
    assert problem.at_resolution(24).resolution == 24


def test_metrics_state_the_quality_before_and_after():
    """The noisy field itself scores 20 log₁₀(peak/σ) up to the draw; half the error is 6.02 dB more."""
    problem = Denoising("permeability", resolution=32, noise=0.1)
    inputs = problem.sample(32, generator())
    truth = problem.solve(inputs)
    metrics = problem.metrics(Batch({"clean": inputs["noisy"]}), truth)
    assert metrics["psnr_db_noisy"] == pytest.approx(20.0)
    assert metrics["psnr_db"] == pytest.approx(20.0, abs=0.1)
    half = Batch({"clean": (inputs["noisy"] + truth["clean"]) / 2})
    assert problem.metrics(half, truth)["psnr_db"] == pytest.approx(metrics["psnr_db"] + 20 * math.log10(2), abs=1e-9)
    assert metrics["relative_l2"] > 0


def test_psnr_is_scale_free_with_its_peak():
    truth = torch.rand(3, 2, 8, 8, generator=generator(), dtype=torch.float64)
    prediction = truth + 0.1 * torch.randn(truth.shape, generator=generator(1), dtype=torch.float64)
    torch.testing.assert_close(psnr_db(prediction, truth), psnr_db(7 * prediction, 7 * truth, peak=7.0))
    assert psnr_db(truth, truth).isinf().all()
    with pytest.raises(ProblemError, match="differ in shape"):
        psnr_db(prediction[:1], truth)
    with pytest.raises(ProblemError, match="peak"):
        psnr_db(prediction, truth, peak=0.0)
