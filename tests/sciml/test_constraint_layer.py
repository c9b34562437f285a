"""The constraint layer: minima, gradients, invariances, failures."""

from __future__ import annotations

import gc
from dataclasses import replace
from weakref import WeakSet

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from termwise_toys import Reaction, reaction, smooth_basis

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.hard_constraints.adjoints import Envelope, Implicit
from sciml.learners.hard_constraints.bounds import LowerBound
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.norms import ErrorNorm, PlainNorm
from sciml.learners.hard_constraints.projection import LinearConstraint
from sciml.learners.hard_constraints.routers import BoxRouter
from sciml.learners.hard_constraints.stacked_rows import StackedRows
from solvers import DenseOperator, SolveError, Status
from solvers.nonlinear import LevenbergMarquardt, NormalEquations, Orthogonal

PLAIN = ConstraintLayer(PlainNorm(), ridge=0.0)
ERROR = ConstraintLayer(ErrorNorm(), ridge=0.0)
NORMS = pytest.mark.parametrize("layer", [PLAIN, ERROR], ids=["plain", "error"])


def normal(*shape, seed=5):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Saved:
    """What autograd keeps, alive as long as the graph."""

    def __init__(self, tensor):
        self.tensor = tensor


def zero_offset(residual, batch=2):
    return torch.zeros(batch, *residual.shape, dtype=torch.float64)


def mean_square_rows(residual, fields):
    """The rows of the plain norm, ``(B, G)``: each block divided by the root of its size."""
    rows, conditions = residual.rows(fields).flatten(1), residual.global_rows.flatten()
    counts = torch.where(conditions, conditions.sum(), (~conditions).sum())
    return rows / counts.to(rows).sqrt()


def gradient_of(layer, residual, basis, offset, functional):
    basis = basis.clone().requires_grad_()
    (layer(residual, basis, offset).values * functional).sum().backward()
    return basis.grad


def test_a_linear_residual_is_minimised_as_by_lstsq():
    """w = argmin ‖A w + c‖ with A the rows of the basis functions, to 1e-10."""
    residual = reaction(curve=0.0)
    basis, offset = smooth_basis(residual, 2, 5), normal(2, *residual.shape)
    w = PLAIN(residual, basis, offset).weights[:, 0]
    c = mean_square_rows(residual, offset)
    A = torch.stack([mean_square_rows(residual, offset + basis[:, k]) - c for k in range(5)], -1)
    torch.testing.assert_close(w, torch.linalg.lstsq(A, -c.unsqueeze(-1)).solution[..., 0], rtol=1e-10, atol=1e-10)


@NORMS
@pytest.mark.parametrize("curve", [0.0, 2.0])
def test_a_solution_in_the_span_is_found(layer, curve):
    """u ∈ u₀ + span(b): r = 0 to 1e-10 and the weights are those of u."""
    residual = reaction(curve=curve)
    basis = smooth_basis(residual, 2, 4)
    truth = normal(2, 1, 4)
    offset = residual.solution() - (basis * truth[:, 0, :, None, None]).sum(1)
    field = layer(residual, basis, offset)
    assert float(residual.rows(field.values).abs().max()) < 1e-9
    torch.testing.assert_close(field.weights, truth, rtol=1e-8, atol=1e-8)
    assert field.fallbacks == 0


def test_the_error_norm_of_a_linear_residual_gives_the_best_approximation():
    """With the exact inverse Ã⁻¹ r = u − u*: the least squares is the projection of u*."""
    residual = reaction(curve=0.0)
    basis, truth = smooth_basis(residual, 2, 5), residual.solution()
    best = torch.linalg.lstsq(basis.flatten(2).mT, truth.flatten(1).unsqueeze(-1)).solution[..., 0]
    torch.testing.assert_close(ERROR(residual, basis, zero_offset(residual)).weights[:, 0], best, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore:constraint. Reaction.carrier_parameters")
@pytest.mark.parametrize(("layer", "curve"), [(PLAIN, 0.0), (PLAIN, 2.0), (ERROR, 0.0)])
def test_gradients_are_central_differences(layer, curve):
    """d⟨c, u⟩/d(b, offset, κ, g) with r ≠ 0 and a random functional, to 1e-7."""
    residual = reaction(curve=curve)
    kappa, initial = residual.parameters
    inputs = [smooth_basis(residual, 2, 5), smooth_basis(residual, 2, 1, seed=2)[:, 0] / 9, kappa, initial]
    start = layer(residual, *inputs[:2]).weights.detach()
    c, directions = normal(2, *residual.shape), [normal(*t.shape, seed=8 + i) / 10 for i, t in enumerate(inputs)]

    def loss(basis, offset, kappa, initial):
        posed = Reaction(kappa, initial, residual.shape[0], curve)
        return (layer(posed, basis, offset, start).values * c).sum()

    variables = [t.clone().requires_grad_() for t in inputs]
    gradients = torch.autograd.grad(loss(*variables), variables)
    for i, (gradient, direction) in enumerate(zip(gradients, directions, strict=True)):
        ends = []
        for sign in (1, -1):
            moved = [t + sign * 1e-6 * direction if i == j else t for j, t in enumerate(inputs)]
            with torch.no_grad():
                ends.append(loss(*moved))
        if i >= 2 and layer is ERROR:
            continue  # Ã depends on κ, and is not differentiated
        expected = (ends[0] - ends[1]) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-7, atol=1e-7)


def test_gradients_in_the_error_norm_are_exact_for_a_fixed_inverse():
    """d⟨c, u⟩/db by central differences of the last solve, Ã at one field."""
    residual = reaction(curve=2.0)
    basis, offset, c = smooth_basis(residual, 2, 5), zero_offset(residual), normal(2, *residual.shape)
    frozen = residual.carrier(ERROR(residual, basis, offset).values)
    residual.carrier = lambda about: frozen
    gradient, direction = gradient_of(ERROR, residual, basis, offset, c), normal(*basis.shape, seed=7)
    ends = [(ERROR(residual, basis + s * 1e-6 * direction, offset).values * c).sum() for s in (1, -1)]
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-7, atol=0)


def test_gradients_are_those_of_sixty_unrolled_steps():
    """Autograd through Newton steps with the exact Hessian, after sixty of Gauss and Newton."""
    residual = reaction(curve=2.0)
    basis, offset, c = smooth_basis(residual, 2, 4), zero_offset(residual), normal(2, *residual.shape)
    start = PLAIN(residual, basis, offset).weights.detach()[:, 0] * 1.01
    variable = basis.clone().requires_grad_()
    w = start.clone().requires_grad_()

    def objective(w):
        field = offset + (variable * w[..., None, None]).sum(1)
        return mean_square_rows(residual, field).square().sum() / 2

    for _ in range(60):
        (slope,) = torch.autograd.grad(objective(w), w, create_graph=True)
        rows = [torch.autograd.grad(slope[:, j].sum(), w, create_graph=True)[0] for j in range(4)]
        w = w - torch.linalg.solve(torch.stack(rows, -2), slope)
    (unrolled,) = torch.autograd.grad(((variable * w[..., None, None]).sum(1) * c).sum(), variable)
    implicit = gradient_of(PLAIN, residual, basis, offset, c)
    assert float((unrolled - implicit).norm() / implicit.norm()) < 1e-8


def test_gauss_newtons_hessian_is_right_only_where_the_residual_vanishes():
    """JᵀJ in place of H: off by more than 1e-3, and exact for a solution in the span."""
    residual = reaction(curve=2.0)
    basis, c, gaps = smooth_basis(residual, 2, 5), normal(2, *residual.shape), []
    for offset in (zero_offset(residual), residual.solution() - basis[:, 0]):
        gradients = [
            gradient_of(ConstraintLayer(PlainNorm(), adjoint=Implicit(h), ridge=0.0), residual, basis, offset, c)
            for h in ("exact", "gauss_newton")
        ]
        gaps.append(float((gradients[0] - gradients[1]).norm() / gradients[0].norm()))
    assert gaps[0] > 1e-3
    assert gaps[1] < 1e-8


@NORMS
def test_the_own_objective_needs_no_adjoint(layer):
    """The envelope theorem: the gradient of ½‖rows‖² through the adjoint is that at fixed weights."""
    residual = reaction(curve=2.0)
    offset, gradients = zero_offset(residual), []
    for through in (False, True):
        basis = smooth_basis(residual, 2, 5).requires_grad_()
        field = layer(residual, basis, offset)
        own = field.objective().sum()
        if through:
            own = field.rows.halved_squares(field.weights, *field.rows.parameters).sum()
        gradients.append(torch.autograd.grad(own, basis)[0])
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-8


def test_envelope_weights_are_constants():
    residual = reaction()
    basis = smooth_basis(residual, 2, 4).requires_grad_()
    field = ConstraintLayer(PlainNorm(), adjoint=Envelope())(residual, basis, zero_offset(residual))
    assert not field.weights.requires_grad
    assert field.values.requires_grad


@pytest.mark.filterwarnings("ignore:constraint. sample 0")
def test_what_is_kept_for_gradients_does_not_depend_on_the_iterations():
    """Bytes saved for backward after 5 and 100 steps."""
    residual = reaction(curve=2.0)
    sizes = []
    for steps in (5, 100):
        solver = LevenbergMarquardt(rtol=1e-13, max_iterations=steps, factorisation=NormalEquations())
        layer, basis, kept = ConstraintLayer(PlainNorm(), solver=solver), smooth_basis(residual, 2, 5), WeakSet()

        def pack(t, kept=kept):
            saved = Saved(t.detach())
            kept.add(saved)
            return saved

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
            field = layer(residual, basis.requires_grad_(), zero_offset(residual))
        gc.collect()
        sizes.append(sum(saved.tensor.numel() for saved in kept))
        assert field.values.requires_grad
    assert sizes[0] == sizes[1] > 0


@NORMS
@pytest.mark.filterwarnings("ignore:constraint. sample 1")
@pytest.mark.parametrize("poison", [float("nan"), 0.0])
def test_a_broken_sample_leaves_the_others_bitwise_unchanged(layer, poison):
    """A basis of NaN or zeros in sample 1: values, weights and gradients of samples 0 and 2 are the same bits."""
    residual = reaction(batch=3)
    basis, offset, c = smooth_basis(residual, 3, 4), zero_offset(residual, 3), normal(3, *residual.shape)
    broken = basis.clone()
    broken[1] = poison
    results = []
    for b in (basis, broken):
        b = b.clone().requires_grad_()
        field = layer(residual, b, offset)
        (field.values * c)[::2].sum().backward()
        results.append((field.values[::2].detach(), field.weights[::2].detach(), b.grad[::2]))
    for healthy, beside in zip(*results, strict=True):
        assert torch.equal(healthy, beside)


def test_a_broken_sample_is_named_and_gets_no_gradient():
    residual = reaction(batch=3)
    basis = smooth_basis(residual, 3, 4)
    basis[1, 2, 3, 4] = torch.nan
    basis.requires_grad_()
    with pytest.warns(RuntimeWarning, match="sample 1 of 3, expert 0 of 1: status NONFINITE_INPUT"):
        field = PLAIN(residual, basis, zero_offset(residual, 3))
    assert field.status[:, 0].tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.CONVERGED]
    assert field.fallbacks == 1
    assert field.weights[1].isfinite().all()
    field.values[::2].sum().backward()
    assert basis.grad.isfinite().all()
    with pytest.raises(SolveError, match=r"sample 1 of 3, expert 0 of 1: status NONFINITE_INPUT"):
        ConstraintLayer(PlainNorm(), throw=True)(residual, basis, zero_offset(residual, 3))


@NORMS
def test_mixing_and_scaling_the_basis_changes_nothing(layer):
    """b ↦ M b with any regular M leaves u unchanged."""
    residual = reaction(curve=2.0)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    layer = replace(layer, norm=ErrorNorm(updates=12)) if layer is ERROR else layer
    mixed = torch.einsum("bkn,bntx->bktx", normal(2, 4, 4) + 3 * torch.eye(4), basis) * 1e4
    torch.testing.assert_close(
        layer(residual, basis, offset).values, layer(residual, mixed, offset).values, rtol=1e-7, atol=1e-7
    )


@NORMS
def test_more_functions_never_raise_the_objective(layer):
    """min over a larger space, linear residual."""
    residual = reaction(curve=0.0)
    basis, offset = smooth_basis(residual, 2, 7), zero_offset(residual)
    few, more = (layer(residual, basis[:, :n], offset).objective() for n in (4, 7))
    assert (more <= few * (1 + 1e-12)).all()


def test_a_start_at_the_minimum_stays_there():
    residual = reaction(curve=2.0)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    first = PLAIN(residual, basis, offset)
    again = PLAIN(residual, basis, offset, start=first.weights)
    assert int(again.iterations.max()) <= 3 < int(first.iterations.max())
    torch.testing.assert_close(first.values, again.values, rtol=1e-8, atol=1e-8)


def test_stagnation_names_the_ridge():
    """Nearly dependent functions of many experts: the message says what helps."""
    residual = reaction()
    field = PLAIN(residual, smooth_basis(residual, 2, 4), zero_offset(residual))
    with pytest.raises(SolveError, match="depend on each other there, or nearly so: set ridge=1e-6"):
        replace(field, status=torch.full_like(field.status, Status.STAGNATION)).raise_if_failed()


def test_dependent_functions_are_reported_and_harmless():
    """b₃ = b₀ + b₁: an infinite condition, the field and the gradient of the three."""
    residual = reaction(curve=0.0)
    basis, offset, c = smooth_basis(residual, 2, 3), zero_offset(residual), normal(2, *residual.shape)
    dependent = torch.cat([basis, basis[:, :1] + basis[:, 1:2]], 1)
    layer = ConstraintLayer(PlainNorm())
    field = layer(residual, dependent, offset)
    assert field.condition.isinf().all()
    torch.testing.assert_close(field.values, layer(residual, basis, offset).values, rtol=1e-7, atol=1e-7)
    assert gradient_of(layer, residual, dependent, offset, c).isfinite().all()


@settings(deadline=None, max_examples=8)
@given(count=st.integers(1, 6), times=st.integers(3, 8), points=st.integers(4, 9), batch=st.integers(1, 3))
def test_fields_have_the_shape_and_dtype_of_the_basis(count, times, points, batch):
    residual = reaction(batch, times, points)
    basis = smooth_basis(residual, batch, count).float().requires_grad_()
    field = PLAIN(residual, basis, torch.zeros(batch, *residual.shape))
    assert field.values.dtype == torch.float32
    assert field.values.shape == (batch, *residual.shape)
    assert field.weights.dtype == torch.float64
    assert field.weights.shape == (batch, 1, count)
    field.values.sum().backward()
    assert basis.grad.dtype == torch.float32


def test_single_precision_solves_by_rotations():
    """The field of float32 and QR is that of float64 to the digits that κ leaves."""
    residual, single = reaction(curve=0.0), reaction(curve=0.0)
    single.parameters = tuple(p.float() for p in residual.parameters)
    basis = smooth_basis(residual, 2, 4)
    layer = ConstraintLayer(PlainNorm(), LevenbergMarquardt(factorisation=Orthogonal()), ridge=0.0, dtype=torch.float32)
    field = layer(single, basis.float(), zero_offset(residual).float())
    torch.testing.assert_close(
        field.values.double(), PLAIN(residual, basis, zero_offset(residual)).values, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("norm", [PlainNorm(points=20), ErrorNorm(points=30)], ids=["plain", "error"])
def test_drawn_points_are_those_of_the_generator(norm):
    residual = reaction(curve=2.0)
    basis, offset, layer = smooth_basis(residual, 2, 4), zero_offset(residual), ConstraintLayer(norm)
    one, same, other = (layer(residual, basis, offset, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one.values, same.values)
    assert not torch.equal(one.values, other.values)


def test_a_lower_bound_holds_everywhere():
    """u ≥ 0.8 where the plain minimum goes below."""
    residual = reaction(curve=2.0)
    basis, offset = smooth_basis(residual, 2, 6), zero_offset(residual)
    layer = ConstraintLayer(PlainNorm(), bound=LowerBound(0.8))
    assert float(PLAIN(residual, basis, offset).values.min()) < 0.6
    field = layer(residual, basis, offset)
    assert float(field.values.min()) >= 0.8
    assert field.fallbacks == 0


def test_gradients_with_a_bound_are_central_differences_on_the_active_set():
    residual = reaction(curve=2.0)
    basis, offset, c = smooth_basis(residual, 2, 6), zero_offset(residual), normal(2, *residual.shape)
    layer = ConstraintLayer(PlainNorm(), bound=LowerBound(0.8, weight=10.0), ridge=0.0)
    gradient, direction = gradient_of(layer, residual, basis, offset, c), normal(*basis.shape, seed=7)
    ends = [(layer(residual, basis + s * 1e-7 * direction, offset).values * c).sum() for s in (1, -1)]
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-7, rtol=1e-5, atol=0)


def test_projection_is_idempotent_self_adjoint_and_exact():
    """P² = P, ⟨P u, v⟩ = ⟨u, P v⟩ for c = 0, A P u = c to 1e-12."""
    A = normal(3, 20)
    project = LinearConstraint(DenseOperator(A))
    u, v, c = normal(2, 4, 5), normal(2, 4, 5, seed=6), normal(2, 3, seed=7)
    once = project(u, c)
    assert float((once.flatten(1) @ A.T - c).abs().max()) < 1e-12
    torch.testing.assert_close(project(once, c), once, rtol=0, atol=1e-12)
    zero = torch.zeros(2, 3, dtype=torch.float64)
    torch.testing.assert_close((project(u, zero) * v).sum(), (u * project(v, zero)).sum(), rtol=1e-11, atol=0)


def test_projection_is_differentiable():
    A = DenseOperator(normal(2, 6))
    inputs = normal(2, 6).requires_grad_(), normal(2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(LinearConstraint(A), inputs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, b, o: PLAIN(r, b[:, :, :-1], o), r"basis of shape .* expected \(B, N, 7, 9\)"),
        (lambda r, b, o: PLAIN(r, b, o[:1]), r"offset of shape \(1, 7, 9\), expected \(2, 7, 9\)"),
        (lambda r, b, o: PLAIN(r, b, o, torch.zeros(2, 4)), r"start weights of shape \(2, 4\), expected \(2, 1, 4\)"),
        (
            lambda r, b, o: ConstraintLayer(PlainNorm(), dtype=torch.float32)(r, b, o),
            r"parameter 0 of the residual has dtype torch.float64, the layer solves in torch.float32",
        ),
        (
            lambda r, b, o: PLAIN(r, b.repeat(1, 16, 1, 1), o),
            r"63 rows for 64 basis functions, expected at least as many rows",
        ),
        (
            lambda r, b, o: ConstraintLayer(ErrorNorm(points=3))(r, b, o, generator=torch.Generator()),
            r"the solve has 3 rows for 4 basis functions",
        ),
    ],
    ids=["basis", "offset", "start", "dtype", "rows", "points"],
)
def test_what_does_not_fit_is_named(call, message):
    residual = reaction()
    with pytest.raises(LearnerError, match=message):
        call(residual, smooth_basis(residual, 2, 4), zero_offset(residual))


def test_bad_parameters_are_named():
    with pytest.raises(ConfigurationError, match="hessian = 'newton'"):
        Implicit("newton")
    with pytest.raises(ConfigurationError, match="weight = -1"):
        LowerBound(weight=-1.0)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match=f"LowerBound: value = {value}, expected a finite number"):
            LowerBound(value)
    rows = normal(1, 6).expand(2, -1).contiguous()
    with pytest.raises(SolveError, match=r"the 2 rows of A .* depend on each other"):
        LinearConstraint(DenseOperator(rows))(normal(1, 6), normal(1, 2))
    with pytest.raises(LearnerError, match="A is 2 × 6, but a field has 5 points"):
        LinearConstraint(DenseOperator(normal(2, 6)))(normal(1, 5), normal(1, 2))


@NORMS
@pytest.mark.parametrize("experts", [1, 2])
def test_normal_equations_and_slopes_are_those_of_the_jacobian(layer, experts):
    """JᵀJ, Jᵀr and the slope of every kind of rows, stacked, without forming J."""
    residual = reaction(curve=2.0)
    bounded = replace(layer, ridge=1e-3, bound=LowerBound(0.5))
    expansion = bounded.expansion(residual, smooth_basis(residual, 2, 4), zero_offset(residual))
    w = normal(2, experts, 4)
    boxes = BoxRouter((1, experts)).boxes(residual.shape, w.device)
    rows = bounded.norm.rows(expansion, boxes, w, None)
    rows = bounded.regularised(StackedRows((*rows.blocks, *bounded.bound.blocks(expansion, boxes))), w)
    r, J = rows(w, *rows.parameters), rows.jacobian(w, *rows.parameters)
    gram, pulled = rows.normal_equations(w, r, *rows.parameters)
    torch.testing.assert_close(gram, J.mT @ J, rtol=1e-12, atol=1e-12)
    for slope in (pulled, rows.slope(w, *rows.parameters)):
        torch.testing.assert_close(slope, (J.mT @ r.unsqueeze(-1)).squeeze(-1), rtol=1e-11, atol=1e-11)
    assert rows.count(rows.parameters) == r.shape[-1]
