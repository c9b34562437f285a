"""Reconstructions with a prior: cases, choices, what is done with them, and what they leave behind."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from reconstruction_cases import N, heat, prior_of_images, prior_of_signals, smoother

from pde_benchmarks.errors import DatasetError, ProblemError
from pde_benchmarks.imaging.forward_operators import DarcyPressure, LogPermeability, TwoPhases
from pde_benchmarks.media import TwoPhaseDarcy
from sciml.errors import ConfigurationError, ObservationError
from sciml.experiments import Silent
from sciml.plug_and_play import ADMM, AcceleratedProximalGradient, Backtracking, PreimageDescent
from sciml.reconstructions import (
    FORWARD_PROBLEMS,
    Story,
    Wishes,
    carry_out,
    method_of,
    prior_paths,
    recorded_case,
    strengthened,
    synthetic_case,
    usual_method,
    verdict,
    write_reconstruction,
)

LINEAR = ("deblur", "tomography", "compressed-sensing", "heat-source")


def case_of(name="heat-source", prior=None, noise=0.05, **settings):
    return synthetic_case(FORWARD_PROBLEMS[name](**settings), prior or prior_of_signals(), noise, 0)


@pytest.mark.parametrize("name", LINEAR)
def test_every_linear_problem_makes_data_with_the_noise_that_is_said(name):
    case = case_of(name, prior_of_images())
    clean = case.operator.apply(case.truth)
    assert case.sigma == pytest.approx(0.05 * float(clean.max() - clean.min()))
    assert case.operator.norm() == pytest.approx(1, abs=0.02) or name == "compressed-sensing"
    assert float(case.fidelity.discrepancy(case.truth)) == pytest.approx(1, abs=0.3)
    again = case_of(name, prior_of_images())
    assert case.data.equal(again.data)


def test_the_limit_is_the_ridge_solution():
    """With R = ½⟨x, (S⁻¹ − I) x⟩: x = (AᵀA + w (S⁻¹ − I))⁻¹ Aᵀb, by every method."""
    case, weight = replace(case_of(), sigma=None), 1.5
    A = heat().apply(torch.eye(N, dtype=torch.float64)[:, None])[:, 0].mT
    P = torch.linalg.inv(smoother(N)) - torch.eye(N, dtype=torch.float64)
    exact = torch.linalg.solve(A.mT @ A + weight * P, A.mT @ case.data[0, 0])
    for method in ("proximal-gradient", "admm", "douglas-rachford"):
        wishes = Wishes(method, {"tolerance": 1e-9}, weight)
        answer = carry_out(case, prior_of_signals(), wishes, Silent())
        torch.testing.assert_close(answer.result.x[0, 0], exact, rtol=0, atol=1e-6)
        assert answer.result.within_theorem


@pytest.fixture(scope="module")
def fitted():
    """A case and its answer with the weight that the noise asks for."""
    case = case_of()
    return case, carry_out(case, prior_of_signals(), Wishes(settings={"tolerance": 1e-5}), Silent())


def test_the_weight_fits_the_data_to_their_noise(fitted):
    case, answer = fitted
    assert float(case.fidelity.discrepancy(answer.result.x)) == pytest.approx(1, abs=0.06)
    for one in answer.beside.values():
        assert float(case.fidelity.discrepancy(one.x)) == pytest.approx(1, abs=0.06)
    assert set(answer.beside) == {"Tikhonov", "total variation"}
    assert not answer.remarks
    assert bool(answer.result.monotone().all())


def test_without_noise_the_weight_must_be_given(tmp_path):
    np.save(tmp_path / "data.npy", case_of().data[0, 0].numpy())
    case = recorded_case(FORWARD_PROBLEMS["heat-source"](), prior_of_signals(), tmp_path / "data.npy")
    with pytest.raises(ConfigurationError, match="--noise"):
        carry_out(case, prior_of_signals(), Wishes(), Silent())
    answer = carry_out(case, prior_of_signals(), Wishes(weight=0.01), Silent())
    assert not answer.beside
    assert "noise" in answer.remarks[0]


def test_steps_outside_of_the_theorem_are_refused_with_their_range():
    with pytest.raises(ConfigurationError, match=r"steps in \(0, "):
        carry_out(case_of(), prior_of_signals(), Wishes(settings={"step": 1e3}, weight=1.0), Silent())


def test_methods_and_strengths_by_name():
    assert isinstance(method_of("proximal-gradient", heat()), AcceleratedProximalGradient)
    assert isinstance(method_of("proximal-gradient", DarcyPressure(8)), Backtracking)
    assert isinstance(method_of(usual_method(DarcyPressure(8)), DarcyPressure(8)), PreimageDescent)
    assert usual_method(DarcyPressure(8), "relaxed=0.5") == usual_method(heat()) == "proximal-gradient"
    assert isinstance(method_of("admm", heat(), {"penalty": 2.0}), ADMM)
    with pytest.raises(ConfigurationError, match="known"):
        method_of("gradient", heat())
    network, v = prior_of_signals().network, torch.rand(1, 1, N, dtype=torch.float64)
    torch.testing.assert_close(strengthened(network, "own").prox(v).x, network(v))
    torch.testing.assert_close(strengthened(network, "rescaled=2").prox(v).x, network(v))  # linear
    torch.testing.assert_close(strengthened(network, "relaxed=0.25").prox(v).x, 0.25 * network(v) + 0.75 * v)
    for wrong in ("strong", "relaxed", "relaxed=2", "rescaled=-1", "rescaled=x", "exact=1"):
        with pytest.raises(ConfigurationError):
            strengthened(network, wrong)


def test_a_prior_of_its_own_strength_is_within_the_theorem_too():
    wishes = Wishes(settings={"tolerance": 1e-5}, strength="own")
    case = replace(case_of(), sigma=None)
    assert carry_out(case, prior_of_signals(), replace(wishes, weight=1.5), Silent()).result.within_theorem
    with pytest.raises(ConfigurationError, match="one strength"):
        carry_out(case, prior_of_signals(), replace(wishes, weight=0.5), Silent())


def test_tomography_has_filtered_back_projection_beside():
    case = case_of("tomography", prior_of_images(n=16), angles=30)
    found = case.problem.direct(case.operator, case.operator.apply(case.truth))["filtered back-projection"]
    assert float((found - case.truth).norm() / case.truth.norm()) < 0.5


def test_a_sinogram_in_a_file_is_in_line_integrals(tmp_path):
    made = case_of("tomography", prior_of_images())
    np.save(tmp_path / "sinogram.npy", (made.data / made.operator.factor)[0, 0].numpy())
    case = recorded_case(FORWARD_PROBLEMS["tomography"](), prior_of_images(), tmp_path / "sinogram.npy", 0.05)
    torch.testing.assert_close(case.data, made.data)


def test_darcy_takes_the_permeability_of_the_prior_s_law():
    phases = TwoPhaseDarcy().inputs[0].kind.values
    for law, expected in (
        ("permeability", TwoPhases()),
        ("darcy-two-phase:coefficient", TwoPhases(*phases, phases)),
        ("ellipses", LogPermeability()),
    ):
        operator = FORWARD_PROBLEMS["darcy"]().operator((1, 9, 9), prior_of_images(law, 9).problem)
        assert operator.permeability == expected


def test_darcy_is_reconstructed_from_pressures():
    prior = prior_of_images("permeability")
    case = replace(case_of("darcy", prior, noise=0.02), sigma=None)
    wishes = Wishes(settings={"tolerance": 1e-3, "max_iterations": 20}, weight=1e-5)
    answer = carry_out(case, prior, wishes, Silent())
    assert bool(answer.result.monotone().all())
    flat = torch.full_like(case.truth, float(case.truth.mean()))
    assert float(case.fidelity.value(answer.result.x)) < float(case.fidelity.value(flat))


def test_darcy_by_descent_fits_the_noise_and_starts_at_the_smooth_answer():
    prior = prior_of_images("permeability")
    case = case_of("darcy", prior, noise=0.05)
    answer = carry_out(case, prior, Wishes("preimage-descent", {"tolerance": 1e-3}), Silent())
    assert bool(answer.result.monotone().all())
    assert float(answer.result.stationarity.max()) < 1e-2
    assert float(case.fidelity.discrepancy(answer.result.x)) == pytest.approx(1, abs=0.1)
    nowhere = carry_out(case, prior, Wishes("preimage-descent", {"max_iterations": 1}, 1e-8), Silent())
    smooth = nowhere.beside["Tikhonov"].x
    assert (nowhere.result.x - smooth).norm() < 0.5 * smooth.norm()


def test_the_prior_along_paths_is_that_of_the_formula():
    prior = prior_of_signals()
    x = prior.truths(1, 0)[0]
    P = torch.linalg.inv(smoother(N)) - torch.eye(N, dtype=torch.float64)
    for path in prior_paths(prior, x):
        assert path.value[0] == 0
        assert path.value.isfinite().all()
        # R is quadratic along a line.
        third = path.value.diff().diff().diff()
        assert float(third.abs().max()) < 1e-4 * float(path.value.abs().max())
    noisy = next(path for path in prior_paths(prior, x) if path.name.startswith("noise"))
    assert float(noisy.value[-1]) > 0
    assert float((x[0] @ P @ x[0]) / 2) > 0


def test_the_directory_holds_everything(fitted, tmp_path):
    prior, (case, answer) = prior_of_signals(), fitted
    story = Story({"method": "proximal-gradient"}, prior, case, answer, prior_paths(prior, case.truth[0]), 1e-4)
    page = write_reconstruction(tmp_path / "made", story, "sciml invert heat-source --prior toy").read_text()
    assert {p.name for p in (tmp_path / "made" / "figures").iterdir()} == {"fields.png", "course.png", "prior.png"}
    numbers = json.loads((tmp_path / "made" / "metrics.json").read_text())
    assert numbers["within_theorem"]
    assert numbers["monotone"] == [True]
    assert numbers["reconstructions"]["learned prior"]["psnr_db"] > 10
    with h5py.File(tmp_path / "made" / "reconstruction.h5") as file:
        assert np.asarray(file["reconstruction"]).shape == (1, 1, N)
        assert {"truth", "data", "Tikhonov", "total_variation", "objective"} <= set(file)
    assert "Every condition of the convergence theorem was met" in page
    assert verdict(answer.result) in page.replace("&lt;", "<")


@pytest.mark.parametrize("noise", [0.0, -1.0, float("nan"), float("inf")])
def test_noise_must_be_positive(noise):
    with pytest.raises(ConfigurationError, match="positive number"):
        case_of(noise=noise)


def test_bad_files_are_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    np.save(tmp_path / "colour.npy", np.zeros((3, N)))
    np.save(tmp_path / "complex.npy", np.zeros(N, dtype=complex))
    np.save(tmp_path / "short.npy", np.random.default_rng(0).random(3))
    prior, heat_source = prior_of_signals(), FORWARD_PROBLEMS["heat-source"]()
    for name, error in (("broken.png", DatasetError), ("complex.npy", DatasetError), ("absent.npy", DatasetError)):
        with pytest.raises(error, match=name):
            recorded_case(heat_source, prior, tmp_path / name, 0.1)
    with pytest.raises(ConfigurationError, match=r"colour.npy: 1 channels on 2 axes"):
        recorded_case(heat_source, prior, tmp_path / "colour.npy", 0.1)
    with pytest.raises(ObservationError, match=r"short.npy: data of shape 3, but 1×4 numbers"):
        recorded_case(FORWARD_PROBLEMS["compressed-sensing"](), prior, tmp_path / "short.npy", 0.1)


def test_settings_out_of_range_are_named():
    with pytest.raises(ProblemError, match="boundary 'open'"):
        case_of("deblur", boundary="open")
    with pytest.raises(ProblemError, match="square images"):
        case_of("tomography")
    with pytest.raises(ProblemError, match="permeability 'linear'"):
        case_of("darcy", prior_of_images(), permeability="linear")
    with pytest.raises(ConfigurationError, match="seed = -1"):
        synthetic_case(FORWARD_PROBLEMS["deblur"](), prior_of_signals(), 0.1, -1)
