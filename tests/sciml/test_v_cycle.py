"""The V-cycle operator W: linear, local, equivariant, and textbook multigrid when its weights are set by hand."""

import pytest
import torch
from torch import nn

from sciml.errors import ConfigurationError
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.network import BiasFunction, MgNONetwork, blocks_to_channels, channels_to_blocks
from sciml.learners.mgno.schedule import Schedule
from sciml.learners.mgno.v_cycle import VCycle
from solvers import DampedJacobi, GeometricMultigrid, poisson_operator

RULES = {
    "cell": ["dirichlet", "neumann", "periodic", "zeros"],
    "interior": ["dirichlet"],
    "vertex": ["dirichlet", "neumann"],
}
CASES = [(grid, rule) for grid, rules in RULES.items() for rule in rules]
SIZE = {"cell": 16, "interior": 15, "vertex": 17}


def v_cycle(grid="cell", rule="dirichlet", levels="11 11 20", channels=(2, 3), dim=2, restrict="rhs") -> VCycle:
    torch.manual_seed(0)
    return VCycle(*channels, Schedule.parse(levels), GhostLayer((rule,) * dim, grid), restrict).double()


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("restrict", ["rhs", "residual"])
@pytest.mark.parametrize(("grid", "rule"), CASES)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_w_is_linear_and_keeps_the_grid(grid, rule, dim, restrict):
    W = v_cycle(grid, rule, dim=dim, restrict=restrict)
    n = SIZE[grid]
    f, g = field(1, 2, *[n] * dim), field(1, 2, *[n] * dim, seed=1)
    combined = W(0.3 * f + g).detach()
    assert combined.shape == (1, 3, *[n] * dim)
    torch.testing.assert_close(
        combined, (0.3 * W(f) + W(g)).detach(), rtol=1e-12, atol=1e-12 * float(combined.abs().max())
    )
    assert W(torch.zeros_like(f)).abs().max() == 0


def test_periodic_w_commutes_with_shifts_of_the_coarsest_cell():
    W = v_cycle(rule="periodic", levels="11 11 11 20")
    f = field(1, 2, 32, 32)
    moved = W(f.roll((8, 16), (2, 3)))
    torch.testing.assert_close(moved, W(f).roll((8, 16), (2, 3)), rtol=0, atol=1e-12)


def test_without_periodic_prolongation_it_does_not():
    """The published code pads the prolongation by zeros: shifts then change the answer."""
    W = v_cycle(rule="periodic", levels="11 11 11 20")
    for level in W.levels[:-1]:
        level.prolong.ghosts = GhostLayer(("zeros", "zeros"))
    f = field(1, 2, 32, 32)
    deviation = (W(f.roll((8, 8), (2, 3))) - W(f).roll((8, 8), (2, 3))).norm() / W(f).norm()
    assert deviation > 1e-2


@pytest.mark.parametrize("rule", ["dirichlet", "neumann"])
def test_ghosts_reproduce_odd_and_even_functions(rule):
    """The ghost of a cell grid continues sin πx oddly and cos πx evenly beyond the boundary."""
    n = 8
    x = (torch.arange(-1, n + 1, dtype=torch.float64) + 0.5) / n
    function = torch.sin if rule == "dirichlet" else torch.cos
    values = torch.outer(function(torch.pi * x), function(torch.pi * x))[None, None]
    extended = GhostLayer((rule, rule))(values[..., 1:-1, 1:-1])
    torch.testing.assert_close(extended, values, rtol=0, atol=1e-14)


def test_each_side_has_its_own_rule():
    extended = GhostLayer((("dirichlet", "neumann"), "periodic"))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    expected = torch.tensor([[-2.0, -1, -2, -1], [2, 1, 2, 1], [4, 3, 4, 3], [4, 3, 4, 3]])
    torch.testing.assert_close(extended[0, 0], expected)


def hand_set(W: VCycle) -> VCycle:
    """Poisson: A = 5-point Laplacian, S = ω D⁻¹, bilinear P, R = Pᵀ/4, Π = 0, in stencil units on every level."""
    laplacian = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=torch.float64)
    point = torch.zeros(3, 3, dtype=torch.float64)
    point[1, 1] = 0.8 / 4
    line = torch.tensor([0.5, 1, 0.5], dtype=torch.float64)
    kernels = {
        "smooth": point, "operator": laplacian, "residual_operator": laplacian, "prolong": torch.outer(line, line),
        # Coarse equations in stencil units: h² grows by 4, which undoes the 1/4 of R = Pᵀ/4.
        "restrict_rhs": torch.outer(line, line), "restrict_start": torch.zeros(3, 3),
    }  # fmt: skip
    with torch.no_grad():
        for name, weight in W.named_parameters():
            weight.copy_(kernels[name.split(".")[-2]][None, None])
    return W


@pytest.mark.parametrize("n", [15, 31, 63])
def test_hand_set_weights_are_textbook_multigrid(n):
    """W equals a V(2,2) cycle of `solvers.multigrid` with damped Jacobi; it contracts by the textbook's 0.18-0.19."""
    A = poisson_operator((n, n), alignment="vertex")
    cycle = GeometricMultigrid(pre=2, post=2, smoother=DampedJacobi(0.8)).setup(A)
    # The coarsest 3×3 grid is solved by 120 sweeps, each contracting by 0.77: 1e-14.
    words = " ".join(["22"] * (len(cycle.operators) - 1) + ["120-0"])
    W = hand_set(v_cycle("interior", levels=words, channels=(1, 1), restrict="residual"))
    f = field(1, 1, n, n)
    expected = cycle(f.flatten(1)).reshape(f.shape)
    torch.testing.assert_close(W(f).detach(), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    e = field(1, n * n, seed=2)
    with torch.no_grad():
        for _ in range(40):
            before = e.norm()
            e = e - W(A.mv(e).reshape(1, 1, n, n)).flatten(1)
            contraction = e.norm() / before
    assert 0.15 < contraction < 0.20


def test_hand_set_interior_w_is_symmetric():
    n = 7
    W = hand_set(v_cycle("interior", levels="22 22 40-0", channels=(1, 1), restrict="residual"))
    with torch.no_grad():
        matrix = W(torch.eye(n * n, dtype=torch.float64).reshape(-1, 1, n, n)).flatten(1)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-13 * float(matrix.abs().max()))


def test_reach():
    """One level, one step: exactly 3×3 cells feel an impulse; with four levels down to 4² every cell does."""
    impulse = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    impulse[0, 0, 16, 16] = 1
    assert int((v_cycle(levels="10", channels=(1, 1))(impulse) != 0).sum()) == 9
    assert bool((v_cycle(levels="10 10 10 20", channels=(1, 1))(impulse) != 0).all())


@pytest.mark.parametrize("words", ["10 10 20", "10 10 10 10 20"])
def test_parameter_count_is_the_formula(words):
    """c² (9 (2 Σk − 1) + (L − 1)(9 + 9 + 16)) without post-smoothing."""
    schedule, c = Schedule.parse(words), 5
    W = VCycle(c, c, schedule, GhostLayer(("zeros", "zeros")))
    expected = c**2 * (9 * (2 * sum(schedule.pre) - 1) + (schedule.levels - 1) * 34)
    assert sum(p.numel() for p in W.parameters()) == expected


def test_published_networks_have_the_published_sizes():
    """Darcy rough, 4 layers, c = 24, six levels: 572 661 parameters, of which biases and normaliser are under 1 %."""
    schedule = Schedule.parse("10 10 10 10 10 20")
    W = VCycle(24, 24, schedule, GhostLayer(("zeros", "zeros")))
    per_layer = sum(p.numel() for p in W.parameters())
    assert per_layer == 24**2 * (9 * 13 + 5 * 34)
    network = MgNONetwork(1, 1, 24, 4, schedule, GhostLayer(("zeros", "zeros")))
    assert abs(sum(p.numel() for p in network.parameters()) - 572_661) / 572_661 < 0.01


@pytest.mark.parametrize("rule", ["dirichlet", "neumann", "periodic", "zeros"])
def test_gradients(rule):
    W = v_cycle(rule=rule, levels="11 20", channels=(2, 2))
    f = field(1, 2, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(W, (f,), fast_mode=True)


def test_single_precision_agrees_with_double():
    W, f = v_cycle(), field(2, 2, 16, 16)
    expected = W(f).detach()
    torch.testing.assert_close(
        W.float()(f.float()).double().detach(), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_patches_are_a_permutation(dim):
    f = field(2, 3, *[8] * dim)
    patched = blocks_to_channels(f, 2)
    assert patched.shape == (2, 3 * 2**dim, *[4] * dim)
    assert torch.equal(channels_to_blocks(patched, 2), f)


def test_bias_functions_do_not_depend_on_the_grid():
    bias = BiasFunction(3, 2, degree=2, alignment="vertex").double()
    nn.init.normal_(bias.coefficients)
    torch.testing.assert_close(bias((17, 17))[:, ::2, ::2], bias((9, 9)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dim", "dtype"), [(1, torch.float32), (2, torch.float64), (3, torch.float32), (2, torch.bfloat16)]
)
def test_networks_run_in_every_dimension_and_precision(dim, dtype):
    network = MgNONetwork(
        2, 1, 4, 2, Schedule.parse("11 20"), GhostLayer(("dirichlet",) * dim), patch=2, bias_degree=2
    ).to(dtype)
    out = network(torch.ones(1, 2, *[8] * dim, dtype=dtype))
    assert out.dtype == dtype
    assert out.shape == (1, 1, *[8] * dim)


@pytest.mark.slow
def test_a_compiled_network_is_the_same_function():
    torch.manual_seed(0)
    network = MgNONetwork(2, 1, 8, 2, Schedule.parse("11 20"), GhostLayer(("dirichlet", "dirichlet")))
    f = torch.randn(2, 2, 16, 16)
    torch.testing.assert_close(torch.compile(network)(f), network(f), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", ["", "1", "a1", "01 20", "111"])
def test_schedules_that_are_none(text):
    with pytest.raises(ConfigurationError):
        Schedule.parse(text)


def test_sizes_that_the_levels_cannot_halve_are_named():
    with pytest.raises(ConfigurationError, match="48 and 64"):
        Schedule.parse("10 10 10 10 20").check((50,), "cell")


@pytest.mark.parametrize(
    ("rules", "grid"),
    [(("robin",), "cell"), ((("periodic", "neumann"),), "cell"), (("periodic",), "vertex"), (("neumann",), "interior")],
)
def test_boundary_rules_that_make_no_sense(rules, grid):
    with pytest.raises(ConfigurationError):
        GhostLayer(rules, grid)
