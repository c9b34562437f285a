"""Which gradients of a constraint are exact, and the warnings where they are not."""

from __future__ import annotations

import warnings

import pytest
import torch
from termwise_toys import Reaction, reaction, smooth_basis

from pde_benchmarks import Batch, Darcy
from pde_benchmarks.diffusion_sorption import DiffusionSorption
from pde_benchmarks.interval import BurgersField
from pde_benchmarks.navier_stokes import DecayingFlow
from sciml.errors import LearnerError
from sciml.learners.hard_constraints import (
    BoxRouter,
    ConstraintLayer,
    Coupled,
    ErrorNorm,
    Independent,
    MixtureOfExperts,
    PlainNorm,
)
from solvers.nonlinear import LevenbergMarquardt, NormalEquations

PROBLEM = Darcy(resolution=8)
PLAIN = ConstraintLayer(PlainNorm())
LAYERS = {
    "one": lambda one: one,
    "coupled": lambda one: MixtureOfExperts(one, BoxRouter((1, 2)), Coupled()),
    "independent": lambda one: MixtureOfExperts(one, BoxRouter((1, 2)), Independent()),
}
EVERY = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def darcy(coefficient, source=None):
    """The equation of Darcy's flow; its right-hand side, a parameter of the rows, may be given."""
    residual = PROBLEM.termwise(Batch({PROBLEM.inputs[0].name: coefficient}))
    if source is not None:
        residual.parameters = (source,)
    return residual


def posed():
    """Coefficients, right-hand sides, and a basis that leaves a residual."""
    coefficient = PROBLEM.sample(2, torch.Generator().manual_seed(0))[PROBLEM.inputs[0].name].double()
    source = darcy(coefficient).parameters[0] + 0.1 * normal(2, 8, 8, seed=1)
    return coefficient, source, normal(2, 3, 8, 8, seed=2)


def directional(solve, at, seed=3):
    """Of ⟨c, u⟩: the layer's derivative in a random direction, and the central difference."""
    direction = normal(*at.shape, seed=seed) / 10
    variable = at.clone().requires_grad_()
    values = solve(variable).values
    c = normal(*values.shape, seed=4)
    (gradient,) = torch.autograd.grad((values * c).sum(), variable)
    with torch.no_grad():
        ends = [(solve(at + sign * 1e-6 * direction).values * c).sum() for sign in (1, -1)]
    return (gradient * direction).sum(), (ends[0] - ends[1]) / 2e-6


@EVERY
@pytest.mark.parametrize("norm", [PlainNorm(), ErrorNorm()], ids=["plain", "error"])
def test_gradients_of_a_linear_equation_are_exact_in_basis_and_source(layer, norm):
    """Nothing that is differentiated reaches the carrier: no warning, and central differences to 1e-7."""
    coefficient, source, basis = posed()
    zero, constraint = torch.zeros_like(source), layer(ConstraintLayer(norm))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_basis = directional(lambda b: constraint(darcy(coefficient, source), b, zero), basis)
        by_source = directional(lambda f: constraint(darcy(coefficient, f), basis, zero), source)
    for ours, expected in (by_basis, by_source):
        torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-8)


@EVERY
def test_gradients_of_a_coefficient_are_exact_in_the_plain_norm_alone(layer):
    """In the error norm the carrier depends on it: a warning names the tensors, and the number is another one."""
    coefficient, source, basis = posed()
    zero = torch.zeros_like(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, expected = directional(lambda a: layer(PLAIN)(darcy(a, source), basis, zero), coefficient)
    torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-8)
    with pytest.warns(RuntimeWarning, match=r"EllipticRows.carrier_parameters \[0, 1\] .* PlainNorm\(\)"):
        ours, expected = directional(lambda a: layer(ConstraintLayer())(darcy(a, source), basis, zero), coefficient)
    assert abs(ours - expected) > 1e-2 * abs(expected)


def test_who_does_not_differentiate_is_not_warned():
    coefficient, source, basis = posed()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        ConstraintLayer()(darcy(coefficient.requires_grad_(), source), basis, torch.zeros_like(source))


@pytest.mark.parametrize(
    ("problem", "depends"),
    [
        (BurgersField(resolution=17, frames=5), ()),
        (DecayingFlow(resolution=16, frames=4), ()),
        (DiffusionSorption(resolution=16, frames=5), (2,)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_problems_say_what_their_carrier_depends_on(problem, depends):
    """About one field, only the parameters that it names change what is carried."""
    inputs = problem.sample(1, torch.Generator().manual_seed(0)).to(dtype=torch.float64)
    residual = problem.termwise(inputs)
    assert len(residual.carrier_parameters) == len(depends)
    for named, i in zip(residual.carrier_parameters, depends, strict=True):
        assert named is residual.parameters[i]
    about, rows = 0.1 * normal(1, *residual.shape, seed=5).abs(), normal(1, *residual.shape, seed=6)
    (name,) = list(inputs)[:1]
    moved = problem.termwise(Batch({**inputs, name: 0.9 * inputs[name]}))
    assert torch.equal(residual.carrier(about)(rows), moved.carrier(about)(rows))


@EVERY
def test_systems_without_a_gradient_are_named_once(layer):
    """Two steps are too few for a cubic: the warning lists sample and expert, once a call; without gradients, none."""
    residual = reaction(curve=2.0)
    basis, offset = smooth_basis(residual, 2, 5), torch.zeros(2, *residual.shape, dtype=torch.float64)
    short = LevenbergMarquardt(rtol=1e-14, max_iterations=1, damping=1e-8, factorisation=NormalEquations())
    constraint = layer(ConstraintLayer(PlainNorm(), solver=short))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        field = constraint(residual, basis.clone().requires_grad_(), offset)
        said = [str(w.message) for w in told]
        assert constraint(residual, basis, offset).fallbacks == field.fallbacks > 0
    assert len(said) == len(told) == 1
    assert "status MAX_ITERATIONS" in said[0]
    for sample, expert in (field.status != 0).nonzero().tolist():
        assert f"({sample}, {expert})" in said[0]


def test_a_parameter_of_another_batch_is_named():
    residual = reaction(batch=3)
    with pytest.raises(LearnerError, match=r"parameter 0 .* has shape \(3, 1, 1\) for a basis of 2 samples"):
        ConstraintLayer()(residual, smooth_basis(residual, 2, 4), torch.zeros(2, *residual.shape, dtype=torch.float64))


def test_a_class_may_say_that_its_carrier_does_not_depend_on_a_parameter():
    """The rows' right-hand side alone asks for a gradient: a subclass that knows better is not warned."""

    class Knowing(Reaction):
        @property
        def carrier_parameters(self):
            return self.parameters[:1]

    plain = reaction(curve=0.0)
    kappa, initial = plain.parameters
    basis, offset = smooth_basis(plain, 2, 4), torch.zeros(2, *plain.shape, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match=r"Reaction.carrier_parameters \[1\]"):
        ConstraintLayer()(Reaction(kappa, initial.clone().requires_grad_(), 7, 0.0), basis, offset)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, expected = directional(lambda g: ConstraintLayer()(Knowing(kappa, g, 7, 0.0), basis, offset), initial)
    torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-8)
