"""Constraints enforced at prediction: never worse, exact where they can be, and the command that does it."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import (
    BurgersField,
    Darcy,
    DecayingFlow,
    DiffusionSorption,
    DiffusionSorptionHard,
    NavierStokes,
    Poisson,
)
from pde_benchmarks.conservation import Conserved
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch
from sciml.admissible import Admissible
from sciml.cli import main
from sciml.enforce import Kind, enforce, usual_boxes
from sciml.errors import ConfigurationError, LearnerError
from solvers import DenseOperator
from solvers.status import Status

SORPTION = DiffusionSorption(resolution=16, frames=12)
UNEVEN = DiffusionSorptionHard(resolution=16, frames=12)


def case(problem, count=3, seed=0):
    """Inputs and discrete solution."""
    inputs = problem.sample(count, torch.Generator().manual_seed(seed))
    exact = getattr(problem, "discrete_solution", problem.solve)(inputs)
    return inputs, exact[problem.outputs[0].name]


def perturbed(exact, size, seed=0, waves=4):
    """Fields whose relative L2 distance from the exact ones is ``size``: random waves, the longest of the grid."""
    axes = tuple(range(2, exact.ndim))
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spectrum = torch.fft.rfftn(noise, dim=axes)
    kept = torch.zeros_like(spectrum)
    low = (slice(None), slice(None), *(slice(waves),) * len(axes))
    kept[low] = spectrum[low]
    smooth = torch.fft.irfftn(kept, s=exact.shape[2:], dim=axes)
    norms = torch.linalg.vector_norm(exact, dim=axes, keepdim=True) / torch.linalg.vector_norm(
        smooth, dim=axes, keepdim=True
    )
    return exact + size * norms * smooth


def missing(problem, inputs, field):
    """‖Ã⁻¹r(u)‖ of each sample, in float64."""
    inputs = inputs.to(dtype=torch.float64)
    return problem.termwise(inputs).correction(field[:, 0].double()).flatten(1).norm(dim=1)


@settings(max_examples=8, deadline=None)
@given(
    size=st.floats(-6, 0.5).map(lambda power: 10**power),
    seed=st.integers(0, 1000),
    waves=st.integers(1, 8),
    problem=st.sampled_from([SORPTION, UNEVEN, Poisson(resolution=16), Darcy(resolution=16)]),
)
def test_never_worse_than_the_prediction_by_the_estimate(size, seed, waves, problem):
    """‖Ã⁻¹r(enforced)‖ ≤ ‖Ã⁻¹r(p)‖ for every sample."""
    inputs, exact = case(problem)
    p = perturbed(exact, size, seed, waves)
    found = enforce(problem, inputs, Batch({"solution": p}))
    assert (found.estimated_error <= found.raw_error).all()
    before, after = missing(problem, inputs, p), missing(problem, inputs, found.outputs["solution"])
    assert (after <= before * (1 + 1e-12)).all()
    torch.testing.assert_close(found.raw_error, before / found.outputs["solution"].flatten(1).norm(dim=1))


@pytest.mark.parametrize("problem", [SORPTION, UNEVEN, BurgersField(resolution=17, frames=9)], ids=lambda p: p.name)
def test_the_exact_solution_is_kept(problem):
    """r(u) = 0 to rounding: u comes back, bit for bit where its dtype cannot tell a better one."""
    inputs, exact = case(problem)
    found = enforce(problem, inputs, Batch({"solution": exact}))
    torch.testing.assert_close(found.outputs["solution"], exact, rtol=0, atol=1e-10)
    single = enforce(problem, inputs, Batch({"solution": exact.float()}))
    assert single.kind.tolist() == [Kind.KEPT] * 3
    assert torch.equal(single.outputs["solution"], exact.float())


@pytest.mark.parametrize("boxes", [(1, 1), (2, 4)])
def test_a_linear_problem_whose_solution_is_in_the_span_is_solved(boxes):
    """A (2 v + 3 v x) = f with closed forms v, v x: that solution, from any prediction."""
    problem = Poisson(resolution=16)
    inputs = problem.sample(2, torch.Generator().manual_seed(0))
    forms = problem.closed_forms(inputs)
    u = (2 * forms["vanishing"] + 3 * forms["vanishing_x0"]).unsqueeze(1)
    source = problem.operator(inputs).mv(u.flatten(1)).reshape(u.shape)
    (name,) = inputs
    found = enforce(problem, Batch({name: source}), Batch({"solution": perturbed(u, 0.5)}), boxes=boxes)
    assert found.kind.tolist() == [Kind.ENFORCED] * 2
    assert found.status.tolist() == [Status.CONVERGED] * 2
    assert relative_l2(found.outputs["solution"], u).max() < 1e-8


@pytest.mark.parametrize("problem", [SORPTION, UNEVEN, BurgersField(resolution=17, frames=9)], ids=lambda p: p.name)
def test_the_error_of_a_perturbed_solution_falls(problem):
    """20 % of long waves: less than a quarter of it is left, and the estimate is the error within a factor of two."""
    inputs, exact = case(problem)
    found = enforce(problem, inputs, Batch({"solution": perturbed(exact, 0.2)}))
    error = relative_l2(found.outputs["solution"], exact)
    assert (error < 0.05).all()
    assert (found.estimated_error / error - 1).abs().max() < 0.5
    assert (found.kind != Kind.KEPT).all()


class NoForms(DiffusionSorption):
    """Closed forms that are not finite, so that no constrained field can be computed."""

    def closed_forms(self, inputs):
        return {name: form / 0 for name, form in super().closed_forms(inputs).items()}


def test_where_the_constrained_solve_fails_the_correction_is_returned():
    """The best of three by the estimate: here of two, p + d where p is wrong and p where it is right."""
    problem = NoForms(resolution=16, frames=12)
    inputs, exact = case(problem)
    p = torch.cat([exact[:1], perturbed(exact, 0.2)[1:]]).float()
    found = enforce(problem, inputs, Batch({"solution": p}))
    assert found.kind.tolist() == [Kind.KEPT, Kind.CORRECTED, Kind.CORRECTED]
    assert (found.status == Status.NONFINITE_INPUT).all()
    corrected = p.double()[:, 0] + problem.termwise(inputs).correction(p.double()[:, 0])
    torch.testing.assert_close(found.outputs["solution"][1:, 0], corrected[1:].float())


@pytest.mark.parametrize(
    "problem", [Darcy(resolution=16), DecayingFlow(resolution=8, frames=4, duration=0.1)], ids=lambda p: p.name
)
def test_conservation_laws_hold_to_rounding(problem):
    """|A u − c| ≤ 1e-12 of the largest value, whatever was predicted."""
    inputs, exact = case(problem)
    name = problem.outputs[0].name
    p = perturbed(exact, 0.2)
    found = enforce(problem, inputs, Batch({name: p}), laws=problem.conserved)
    law = problem.conserved(inputs)

    def violation(u):
        return (law.operator.mv(u.flatten(1)) - law.value).abs().max() / law.value.abs().max().clamp(min=1)

    assert violation(found.outputs[name]) <= 1e-12 < violation(p)
    assert (found.estimated_error <= found.candidate_errors[:, Kind.KEPT]).all()


def test_a_lower_bound_holds_everywhere():
    """u ≥ 0 for a prediction with negative concentrations, and the error is no larger for it."""
    inputs, exact = case(UNEVEN)
    p = perturbed(exact, 0.3)
    assert p.min() < 0
    found = enforce(UNEVEN, inputs, Batch({"solution": p}), lower=0.0)
    assert found.outputs["solution"].min() >= 0
    assert (relative_l2(found.outputs["solution"], exact) < 0.1).all()


def test_laws_and_a_bound_hold_together():
    """A u = c to 1e-12 and u ≥ 0."""
    problem = Darcy(resolution=16)
    inputs, exact = case(problem)
    found = enforce(problem, inputs, Batch({"solution": exact - exact.mean()}), laws=problem.conserved, lower=0.0)
    law, u = problem.conserved(inputs), found.outputs["solution"].flatten(1)
    assert u.min() >= 0
    assert (law.operator.mv(u) - law.value).abs().max() <= 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_and_the_device_of_the_prediction_are_kept(dtype):
    """As are those of the inputs; the numbers beside are float64."""
    inputs, exact = case(SORPTION)
    p = perturbed(exact, 0.2).to(dtype)
    found = enforce(SORPTION, inputs.to(dtype=dtype), Batch({"solution": p}))
    assert (found.outputs["solution"].dtype, found.outputs["solution"].device) == (dtype, p.device)
    assert found.estimated_error.dtype == torch.float64
    assert found.kind.dtype == found.status.dtype == torch.int8


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_prediction_that_is_not_finite_is_reported_and_harms_no_other(bad):
    """That sample comes back as it was; the others are what they are without it."""
    inputs, exact = case(SORPTION)
    p = perturbed(exact, 0.2)
    whole = enforce(SORPTION, inputs, Batch({"solution": p}))
    p[1, 0, 3, 4] = bad
    found = enforce(SORPTION, inputs, Batch({"solution": p}))
    assert torch.equal(found.outputs["solution"][1].nan_to_num(), p[1].nan_to_num())
    assert found.status.tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.CONVERGED]
    assert found.kind[1] == Kind.KEPT
    assert found.raw_error.isnan().tolist() == [False, True, False]
    for i in (0, 2):
        torch.testing.assert_close(found.outputs["solution"][i], whole.outputs["solution"][i], rtol=1e-9, atol=1e-9)


def test_batches_change_nothing_and_may_be_empty():
    """enforce of all = enforce of each."""
    inputs, exact = case(SORPTION)
    p = Batch({"solution": perturbed(exact, 0.2)})
    one, all_of = (enforce(SORPTION, inputs, p, batch_size=size) for size in (1, 3))
    torch.testing.assert_close(one.outputs["solution"], all_of.outputs["solution"], rtol=1e-9, atol=1e-9)
    assert torch.equal(one.kind, all_of.kind)
    none = enforce(SORPTION, inputs.rows(slice(0, 0)), p.rows(slice(0, 0)))
    assert none.outputs["solution"].shape == (0, 1, 12, 16)
    assert none.estimated_error.shape == (0,)


def test_a_problem_without_pointwise_equation_names_those_that_have_one():
    with pytest.raises(LearnerError, match=r"navier-stokes: constraints need .* darcy, .*diffusion-sorption,"):
        enforce(NavierStokes(), Batch({}), Batch({}))


def test_bad_input_is_refused():
    inputs, exact = case(SORPTION)
    with pytest.raises(LearnerError, match=r"shape \(3, 1, 12, 15\), but the inputs .* needs \(3, 1, 12, 16\)"):
        enforce(SORPTION, inputs, Batch({"solution": exact[..., :-1]}))
    with pytest.raises(LearnerError, match="3 predictions for 2 inputs"):
        enforce(SORPTION, inputs.rows(slice(0, 2)), Batch({"solution": exact}))
    with pytest.raises(ConfigurationError, match="lower=nan: a finite number"):
        enforce(SORPTION, inputs, Batch({"solution": exact}), lower=float("nan"))
    with pytest.raises(ConfigurationError, match="expected positive numbers"):
        enforce(SORPTION, inputs, Batch({"solution": exact}), boxes=(0, 4))


@given(shape=st.lists(st.integers(1, 200), min_size=1, max_size=4))
def test_usual_boxes_have_eight_points_a_side_where_an_axis_is_cut(shape):
    """k = 1 or n/k ≥ 8."""
    assert all(k == 1 or n // k >= 8 for k, n in zip(usual_boxes(tuple(shape)), shape, strict=True))


@given(st.integers(0, 100), st.sampled_from([None, 0.0, -0.5]))
@settings(max_examples=10, deadline=None)
def test_moving_into_the_admissible_set_brings_nearer_to_each_of_its_fields(seed, lower):
    """‖P u − v‖ ≤ ‖u − v‖ for A v = c, v ≥ lower; P P u = P u."""
    generator = torch.Generator().manual_seed(seed)
    u, v, a = (torch.randn(2, n, generator=generator, dtype=torch.float64) for n in (6, 6, 6))
    v = v.abs()
    A = DenseOperator(a.unsqueeze(1))
    admissible = Admissible(Conserved(A, A.mv(v)), lower)
    moved = admissible.moved(u)
    assert ((moved - v).norm(dim=1) <= (u - v).norm(dim=1) * (1 + 1e-12)).all()
    torch.testing.assert_close(admissible.moved(moved), moved, rtol=0, atol=1e-12)
    assert (A.mv(moved) - A.mv(v)).abs().max() < 1e-12


def test_laws_that_contradict_the_bound_are_refused():
    """Σ u = −1 and u ≥ 0."""
    one = torch.ones(1, 3, dtype=torch.float64)
    with pytest.raises(LearnerError, match="lower=0: no field of sample 0"):
        Admissible(Conserved(DenseOperator(one), -one[:, :1]), 0.0).moved(one)


@pytest.fixture(scope="module")
def soil(tmp_path_factory):
    """A run on diffusion and sorption, trained for two seconds on a small grid, and new inputs."""
    folder = tmp_path_factory.mktemp("soil")
    small = ["resolution=16", "frames=12"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIML_CACHE", str(folder / "cache"))
        quick = ["--budget", "2s", "--samples", "16", "--test-samples", "4", "--baselines", "none"]
        problem = ["--problem-set", " ".join(small[:1]), "--problem-set", small[1]]
        command = ["run", "diffusion-sorption", "--learner", "unet", *quick, *problem, "-o", str(folder / "run")]
        assert main(command) == 0
    settings_of = [part for setting in small for part in ("--set", setting)]
    data = str(folder / "new.h5")
    assert main(["generate", "diffusion-sorption", "--count", "3", "--seed", "7", *settings_of, "-o", data]) == 0
    return folder


def test_the_command_enforces_and_writes_what_it_did(soil, tmp_path, capsys):
    """The written fields are nearer to the discrete solution than what the learner said."""
    command = ["predict", str(soil / "run"), "--input", str(soil / "new.h5"), "-o", str(tmp_path / "u.npz")]
    assert main([*command, "--enforce", "--lower", "0"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "median estimated error" in line)
    assert line.startswith("3 samples: ")
    assert all(word in line for word in ("enforced", "corrected", "kept", "% before", "% after"))
    answer = np.load(tmp_path / "u.npz")
    with h5py.File(soil / "new.h5") as file:
        inputs = Batch({"initial": torch.from_numpy(file["inputs/initial"][()])})
    discrete = SORPTION.discrete_solution(inputs)["solution"]
    errors = {
        name: relative_l2(torch.from_numpy(answer[name]), discrete) for name in ("solution", "solution_prediction")
    }
    assert (errors["solution"] < errors["solution_prediction"] / 2).all()
    assert answer["solution"].min() >= 0
    assert (answer["estimated_error"] <= answer["estimated_error_prediction"]).all()
    assert set(answer["kind"]) <= {0, 1, 2}
    assert answer["estimated_error_enforced"].shape == answer["status"].shape == (3,)


def test_a_wrong_bound_is_told_by_the_estimate():
    """Fields kept above 0.5 where the solution is not: worse than before, and measured by the size of the right one."""
    inputs, exact = case(SORPTION)
    p = perturbed(exact, 0.05)
    found = enforce(SORPTION, inputs, Batch({"solution": p}), lower=0.5)
    free = enforce(SORPTION, inputs, Batch({"solution": p}))
    assert (found.estimated_error > 2 * found.raw_error).all()
    torch.testing.assert_close(found.raw_error, free.raw_error, rtol=0.2, atol=0)


def test_the_command_warns_of_a_wrong_bound(soil, tmp_path, capsys):
    command = ["predict", str(soil / "run"), "--input", str(soil / "new.h5"), "-o", str(tmp_path / "u.npz")]
    assert main([*command, "--enforce", "--lower", "0.9"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: 3 samples of 3 became worse" in said
    assert "the bound --lower 0.9 does not hold for the solution" in said
    assert main([*command, "--enforce", "--lower", "0"]) == 0
    assert "became worse" not in capsys.readouterr().err


def test_the_command_refuses_in_one_line(soil, tmp_path, capsys):
    command = ["predict", str(soil / "run"), "--input", str(soil / "new.h5"), "-o", str(tmp_path / "u.npz")]
    lone = [*command[:-1], str(tmp_path / "u.npy"), "--enforce"]
    for arguments, words in (
        ([*command, "--enforce", "--certify", "1e-8"], "give one of them"),
        ([*command, "--lower", "0"], "--lower 0 is a part of --enforce"),
        (lone, ".npy holds one array"),
    ):
        assert main(arguments) == 2
        (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sciml:")]
        assert words in said
    assert not (tmp_path / "u.npz").exists()
