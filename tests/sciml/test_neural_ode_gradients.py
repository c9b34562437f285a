"""Gradients of solutions and of every regularizer, by every adjoint and by torchdiffeq."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import nn
from torchdiffeq import odeint

from sciml.learners.neural_ode import (
    CombinedRegularizer,
    ErrorRegularizer,
    IntegrationInputError,
    LocalRegularizer,
    StiffnessRegularizer,
    odesolve,
)
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Field
from sciml.learners.neural_ode.step import embedded_step
from sciml.learners.neural_ode.tableaux import TABLEAUX

MODES = pytest.mark.parametrize("mode", ["per_sample", "shared"])
TIMES = torch.tensor([0.0, 0.7, 1.5], dtype=torch.float64)
GLOBAL = [
    *(ErrorRegularizer(aggregation, power) for aggregation, power in product(("sum", "mean", "max"), (1, 2))),
    *(StiffnessRegularizer(aggregation) for aggregation in ("sum", "mean", "max")),
    CombinedRegularizer([(1.0, ErrorRegularizer("mean")), (0.1, StiffnessRegularizer())]),
]
GLOBAL_NAMES = [
    *(f"error-{a}-{p}" for a, p in product(("sum", "mean", "max"), (1, 2))),
    *(f"stiffness-{a}" for a in ("sum", "mean", "max")),
    "combined",
]


class Network(nn.Module):
    """A small network of state and time, with weights large enough for some stiffness."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.ParameterList(
            scale * torch.randn(*shape, dtype=torch.float64, generator=generator)
            for shape, scale in (((3, 6), 1.2), ((6, 2), 1.5))
        )
        self.calls = 0

    def forward(self, t, z):
        self.calls += 1
        return torch.tanh(torch.cat([z, t[:, None]], dim=1) @ self.weights[0]) @ self.weights[1]


def network_and_start():
    return Network(), torch.tensor([[1.0, -0.5], [0.2, 2.0], [-1.5, 0.1]], dtype=torch.float64, requires_grad=True)


def gradients(loss, f, z0):
    return torch.autograd.grad(
        loss, [z0, *f.parameters()], allow_unused=True, materialize_grads=True, retain_graph=True
    )


def on_the_same_grid(f, z0, solution, mode):
    """Errors and stiffness of the recorded accepted steps, taken again with their sizes; sample by sample."""
    settings, stats = solution.estimates, solution.stats
    errors, stiffnesses = torch.zeros_like(stats.error), torch.zeros_like(stats.error)
    groups = [slice(0, len(z0))] if mode == "shared" else [slice(b, b + 1) for b in range(len(z0))]
    for rows in groups:
        field = Field(f, (2,), rows.stop - rows.start)
        x = z0[rows].reshape(1, -1)
        for j in stats.mask[:, rows.start].nonzero()[:, 0]:
            t, h = stats.t[j, rows.start].reshape(1), stats.h[j, rows.start].reshape(1)
            step = embedded_step(field, TABLEAUX["tsit5"], t.numpy(), h.numpy(), x, field(t, x))
            x, values = step.end, settings.measured([step.evidence])
            errors[j, rows], stiffnesses[j, rows] = values["error"][0], values["stiffness"][0]
    return errors, stiffnesses


def extrapolated_slope(f, largest=1e-3, halvings=7):
    """f'(0) by central differences and Richardson's extrapolation (Ridders 1982): the entry its neighbours agree with.

    Stiffness bends sharply where the last two stages come close, and there it is a quotient of rounding size as well;
    how close they come depends on the steps, so the differences must find their own size.
    """
    found, doubt, row = math.nan, math.inf, []
    for k in range(halvings):
        size = largest / 2**k
        above, row = row, [(f(size) - f(-size)) / (2 * size)]
        for order, coarser in enumerate(above, start=1):
            row.append(row[-1] + (row[-1] - coarser) / (4**order - 1))
            change = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser))
            if change < doubt:
                found, doubt = row[-1], change
    return found


@MODES
@pytest.mark.parametrize("regularizer", GLOBAL, ids=GLOBAL_NAMES)
def test_gradients_of_global_penalties_are_central_differences_on_the_same_grid(regularizer, mode):
    """Step sizes are constants: with them frozen, autograd and finite differences agree to 1e-6."""
    f, z0 = network_and_start()
    # A loose tolerance, because the local errors themselves are differences with the rounding of the state.
    solution = odesolve(f, z0, TIMES, mode=mode, rtol=1e-4, atol=1e-4)
    computed = gradients(regularizer(solution), f, z0)
    tensors = [z0, *f.parameters()]
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in tensors]

    def moved(size):
        with torch.no_grad():
            for p, d in zip(tensors, directions, strict=True):
                p += size * d
            error, stiffness = on_the_same_grid(f, z0, solution, mode)
            for p, d in zip(tensors, directions, strict=True):
                p -= size * d
        object.__setattr__(solution.stats, "error", error)
        object.__setattr__(solution.stats, "stiffness", stiffness)
        return regularizer(solution).item()

    differences = extrapolated_slope(moved)
    directional = sum((g * d).sum().item() for g, d in zip(computed, directions, strict=True))
    assert directional == pytest.approx(differences, rel=1e-6)


@MODES
def test_gradcheck_of_the_outputs_with_given_steps(mode):
    """With one step that is always accepted the grid cannot move, so plain finite differences apply."""
    f, z0 = network_and_start()
    times = torch.tensor([0.0, 0.03, 0.05], dtype=torch.float64)

    def outputs(start, *weights):
        def slopes(t, z):
            return torch.tanh(torch.cat([z, t[:, None]], dim=1) @ weights[0]) @ weights[1]

        return odesolve(slopes, start, times, mode=mode, first_step=0.05, rtol=1e-3, atol=1e-3).ys

    assert torch.autograd.gradcheck(outputs, (z0, *f.parameters()), atol=1e-8)
    assert torch.autograd.gradgradcheck(outputs, (z0, *f.parameters()), atol=1e-6)


@MODES
@pytest.mark.parametrize("regularizer", [ErrorRegularizer(), StiffnessRegularizer()], ids=["error", "stiffness"])
def test_checkpoints_change_memory_and_nothing_else(regularizer, mode):
    f, z0 = network_and_start()
    found = []
    for adjoint in ("discrete", "checkpoint"):
        solution = odesolve(f, z0, TIMES, mode=mode, adjoint=adjoint)
        found.append(gradients(solution.ys.square().sum() + regularizer(solution), f, z0))
    for plain, checkpointed in zip(*found, strict=True):
        torch.testing.assert_close(checkpointed, plain, rtol=1e-12, atol=1e-13)


@MODES
def test_the_continuous_adjoint_converges_to_the_discrete_one(mode):
    f, z0 = network_and_start()
    found = [
        gradients(odesolve(f, z0, TIMES, mode=mode, adjoint=adjoint, rtol=1e-9, atol=1e-9).ys.square().sum(), f, z0)
        for adjoint in ("discrete", "continuous")
    ]
    for discrete, continuous in zip(*found, strict=True):
        torch.testing.assert_close(continuous, discrete, rtol=1e-6, atol=1e-7)


def test_the_continuous_adjoint_follows_every_samples_own_times():
    f, z0 = network_and_start()
    times = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.2, -0.5], [0.0, 1.0, 1.0]], dtype=torch.float64)
    found = [
        gradients(odesolve(f, z0, times, adjoint=adjoint, rtol=1e-9, atol=1e-9).ys.square().sum(), f, z0)
        for adjoint in ("discrete", "continuous")
    ]
    for discrete, continuous in zip(*found, strict=True):
        torch.testing.assert_close(continuous, discrete, rtol=1e-6, atol=1e-7)


def test_the_continuous_adjoint_refuses_tensors_that_it_would_forget():
    rate = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    z0 = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(IntegrationInputError, match="requires a gradient and is neither"):
        odesolve(lambda t, z: -rate * z, z0, TIMES, adjoint="continuous")
    solution = odesolve(lambda t, z, k: -k * z, z0, TIMES, args=(rate,), adjoint="continuous")
    assert torch.autograd.grad(solution.ys[-1].sum(), rate)[0].item() == pytest.approx(-1.5 * math.exp(-1.5), rel=1e-5)


@pytest.mark.parametrize("regularizer", GLOBAL, ids=GLOBAL_NAMES)
def test_global_penalties_refuse_the_continuous_adjoint(regularizer):
    f, z0 = network_and_start()
    with pytest.raises(IntegrationInputError, match="continuous"):
        regularizer(odesolve(f, z0, TIMES, adjoint="continuous"))


@pytest.mark.parametrize(
    ("regularizer", "record"),
    [(ErrorRegularizer(), ("h",)), (StiffnessRegularizer(), ("error",))],
    ids=["error", "stiffness"],
)
def test_penalties_name_what_was_not_recorded(regularizer, record):
    f, z0 = network_and_start()
    with pytest.raises(IntegrationInputError, match="not recorded"):
        regularizer(odesolve(f, z0, TIMES, record=record))
    with pytest.raises(IntegrationInputError, match="states at the beginnings"):
        LocalRegularizer()(odesolve(f, z0, TIMES))


@MODES
def test_a_weight_of_zero_gives_exactly_the_plain_gradient(mode):
    f, z0 = network_and_start()
    plain = odesolve(f, z0, TIMES, mode=mode, record=("h",))
    watched = odesolve(f, z0, TIMES, mode=mode)
    assert torch.equal(plain.ys, watched.ys)
    zero = 0.0 * (ErrorRegularizer()(watched) + StiffnessRegularizer()(watched))
    for a, b in zip(gradients(plain.ys.sum(), f, z0), gradients(watched.ys.sum() + zero, f, z0), strict=True):
        assert torch.equal(a, b)


@MODES
def test_all_local_terms_weighted_by_their_probability_are_the_global_penalty(mode):
    """Σ_j (h_j / T) E_j = R_E / T, exactly, and equally likely steps give the mean."""
    f, z0 = network_and_start()
    solution = odesolve(f, z0, TIMES, mode=mode, record=("error", "stiffness", "state"))
    groups = 1 if mode == "shared" else len(z0)
    for sampling, weighted, reference in (
        ("unbiased", False, ErrorRegularizer("sum")(solution) / 1.5),
        ("biased", True, ErrorRegularizer("mean")(solution)),
    ):
        local = LocalRegularizer("error", sampling)
        terms = torch.stack([local.at(solution, torch.full((groups,), j)) for j in range(len(solution.stats.h))])
        h = solution.stats.h[:, :groups]
        values = terms if weighted else torch.where(h > 0, terms / h, 0.0)
        expectation = (local.probabilities(solution) * values).sum(dim=0).mean()
        torch.testing.assert_close(expectation, reference, rtol=1e-6, atol=0)
    mean = LocalRegularizer("stiffness", "biased")
    terms = torch.stack([mean.at(solution, torch.full((groups,), j)) for j in range(len(solution.stats.h))])
    torch.testing.assert_close((mean.probabilities(solution) * terms).sum(dim=0).mean(),
                               StiffnessRegularizer("mean")(solution), rtol=1e-6, atol=0)  # fmt: skip


@pytest.mark.parametrize("adjoint", ["discrete", "checkpoint", "continuous"])
@pytest.mark.parametrize("kind", ["error", "stiffness"])
@pytest.mark.parametrize("sampling", ["unbiased", "biased"])
def test_local_penalties_move_the_network_and_not_the_start_whatever_the_adjoint(kind, sampling, adjoint):
    f, z0 = network_and_start()
    solution = odesolve(f, z0, TIMES, adjoint=adjoint, record=("state",))
    calls = f.calls
    penalty = LocalRegularizer(kind, sampling, torch.Generator().manual_seed(3))(solution)
    assert f.calls == calls + 7
    start, *weights = gradients(penalty, f, z0)
    assert not start.any()
    assert all(weight.isfinite().all() and weight.any() for weight in weights)


def test_torchdiffeq_agrees_on_solutions_and_their_gradients():
    f, z0 = network_and_start()
    ours = odesolve(f, z0, TIMES, mode="shared", method="dopri5", rtol=1e-10, atol=1e-10).ys
    theirs = odeint(lambda t, z: f(t.expand(len(z)), z), z0, TIMES, rtol=1e-10, atol=1e-10, method="dopri5")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
    for a, b in zip(gradients(ours.sum(), f, z0), gradients(theirs.sum(), f, z0), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("times", [TIMES, TIMES.flip(0)], ids=["forward", "backward"])
def test_the_torchdiffeq_backend_measures_what_an_independent_loop_measures(times):
    """Errors, stiffness and gradients of its recorded steps, taken again by its own tableau; first step detached."""
    f, z0 = network_and_start()
    solution = odesolve(f, z0, times, mode="shared", method="torchdiffeq:dopri5")
    stats = solution.stats
    assert stats.nfe_batched == 2 + 6 * int(stats.accepted[0] + stats.rejected[0]) == f.calls
    assert stats.t[0, 0].item() == times[0].item()
    replayed_error, replayed_stiffness, x = [], [], z0.reshape(1, -1)
    field = Field(f, (2,), len(z0))
    weights = torch.tensor([
        35 / 384 - 1951 / 21600, 0, 500 / 1113 - 22642 / 50085, 125 / 192 - 451 / 720, -2187 / 6784 + 12231 / 42400,
        11 / 84 - 649 / 6300, -1 / 60,
    ], dtype=torch.float64)  # fmt: skip
    for t, h in zip(stats.t[:, :1], stats.h[:, :1], strict=True):
        step = embedded_step(field, TABLEAUX["dopri5"], t.numpy(), h.numpy(), x, field(t, x))
        local = h * (weights @ torch.cat(step.stages))[None]
        values = Estimates(1e-6, 1e-6).measured([step.evidence._replace(local_error=local)])
        x = step.end
        replayed_error.append(values["error"][0, 0])
        replayed_stiffness.append(values["stiffness"][0, 0])
    for recorded, replayed in ((stats.error, replayed_error), (stats.stiffness, replayed_stiffness)):
        replayed = torch.stack(replayed)
        torch.testing.assert_close(recorded[:, 0], replayed, rtol=1e-6, atol=0)
        for a, b in zip(gradients(recorded[:, 0].sum(), f, z0), gradients(replayed.sum(), f, z0), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_the_torchdiffeq_backend_reports_its_failures():
    _, z0 = network_and_start()
    solution = odesolve(lambda t, z: torch.sin(50 * z), z0, TIMES, mode="shared", method="torchdiffeq:dopri5",
                        max_steps=3, on_failure="status")  # fmt: skip
    assert solution.status.tolist() == [1, 1, 1]


def test_penalties_skip_what_was_rejected_and_gradients_survive_it():
    """A right-hand side that is infinite beyond a wall makes attempts fail; gradients stay finite."""
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)

    def f(t, z):
        return scale * torch.sqrt(2.5 - z)

    z0 = torch.tensor([[0.0], [2.4]], dtype=torch.float64)
    solution = odesolve(f, z0, torch.tensor([0.0, 0.55], dtype=torch.float64), first_step=0.5)
    assert solution.stats.rejected.sum() > 0
    (gradient,) = torch.autograd.grad(solution.ys[-1].sum() + ErrorRegularizer()(solution), scale)
    assert gradient.isfinite()
