"""The whole MgNO network in one to three dimensions, its boundary sides, memory, precision and complex fields."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pde_benchmarks import Batch, FieldSpec, Grid, RecordedProblem
from pde_benchmarks.complex_channels import from_channels, to_channels
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.registry import configure
from sciml.errors import ConfigurationError
from sciml.learners.mgno import DataMgNO, DataMgNOConfig, MgNOConfig
from sciml.learners.mgno.boundaries import boundary_rules
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.network import ChannelNorm, MgNOLayer, MgNONetwork
from sciml.learners.mgno.schedule import Schedule
from sciml.training import Trainer, TrainingConfig

DIMENSIONS = pytest.mark.parametrize("dim", [1, 2, 3])


def field(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def network(dim=2, rule="dirichlet", channels=4, layers=2, levels="11 20", **options) -> MgNONetwork:
    torch.manual_seed(0)
    schedule, ghosts = Schedule.parse(levels), GhostLayer((rule,) * dim)
    return MgNONetwork(2, 1, channels, layers, schedule, ghosts, **options).double()


def recorded(grid: Grid) -> RecordedProblem:
    return RecordedProblem("file", (FieldSpec("x", 1, grid),), (FieldSpec("y", 1, grid),))


# one to three dimensions


@DIMENSIONS
@pytest.mark.parametrize("patch", [1, 2])
def test_the_network_keeps_the_grid(dim, patch):
    assert network(dim, patch=patch, bias_degree=2)(field(3, 2, *[8] * dim)).shape == (3, 1, *[8] * dim)


@DIMENSIONS
def test_gradients(dim):
    tiny = network(dim, channels=2, layers=1, levels="10 10")
    assert torch.autograd.gradcheck(tiny, (field(1, 2, *[4] * dim).requires_grad_(),), fast_mode=True)


@DIMENSIONS
@pytest.mark.parametrize("patch", [1, 2])
def test_the_number_of_parameters_is_the_formula(dim, patch):
    """c_f c_u (3ᵈ (2 Σk − 1) + (L − 1) 4ᵈ…): S, A, R, Π have 3ᵈ weights, P has 4ᵈ; B and C one; b one a channel."""
    c, layers, words = 5, 3, "10 10 20"
    schedule = Schedule.parse(words)
    steps, transfers, s, p = sum(schedule.pre), schedule.levels - 1, 3**dim, 4**dim

    def layer(f: int, u: int) -> int:
        return f * u * (s * (2 * steps - 1) + 1) + transfers * (s * (f * f + u * u) + p * u * u) + u

    inputs, outputs = 2 * patch**dim, patch**dim
    expected = layer(inputs, c) + (layers - 1) * layer(c, c) + c * outputs
    net = network(dim, channels=c, layers=layers, levels=words, patch=patch)
    assert sum(parameter.numel() for parameter in net.parameters()) == expected


@DIMENSIONS
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_periodic_networks_commute_with_shifts_of_patches_of_the_coarsest_cell(dim, norm):
    """N(τ v) = τ N(v) for shifts by multiples of patch · 2^(L−1) points, and not for others."""
    net, v = network(dim, "periodic", patch=2, norm=norm), field(1, 2, *[16] * dim)
    axes = tuple(range(2, 2 + dim))
    answer = net(v).detach()
    scale = float(answer.abs().max())
    moved = net(v.roll((4,) * dim, axes)).detach()
    torch.testing.assert_close(moved, answer.roll((4,) * dim, axes), rtol=0, atol=1e-12 * scale)
    assert (net(v.roll((1,) * dim, axes)) - answer.roll((1,) * dim, axes)).abs().max() > 1e-3 * scale


@DIMENSIONS
def test_a_layer_without_bias_is_linear(dim):
    torch.manual_seed(0)
    ghosts = GhostLayer((("dirichlet", "neumann"),) * dim)
    layer = MgNOLayer(2, 3, Schedule.parse("11 20"), ghosts, "rhs", degree=1).double()
    assert float(layer.bias.coefficients.detach().abs().max()) == 0
    f, g = field(1, 2, *[8] * dim), field(1, 2, *[8] * dim, seed=1)
    expected = (0.3 * layer(f) + layer(g)).detach()
    torch.testing.assert_close(
        layer(0.3 * f + g).detach(), expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max())
    )


def poisson_like(dim: int, n: int, count: int) -> Dataset:
    """Smooth sources, and minus their inverse Laplacian with zero boundary values: two sine modes an axis."""
    x = Grid((n,)).points(0)
    modes = torch.stack([torch.sin(torch.pi * k * x) for k in (1, 2)])
    amplitude = field(count, *[2] * dim)
    square = sum(torch.arange(1.0, 3.0, dtype=torch.float64).reshape(-1, *[1] * k).square() for k in range(dim))
    source, answer = amplitude, amplitude / square
    for _ in range(dim):
        source, answer = (torch.tensordot(a, modes, dims=([1], [0])) for a in (source, answer))
    grid = Grid((n,) * dim)
    return Dataset(recorded(grid), Batch({"x": source[:, None]}), Batch({"y": answer[:, None]}), "poisson")


@DIMENSIONS
def test_a_short_training_lowers_the_error(dim):
    """Below that of the best multiple of the source, which is where a network without neighbours would end."""
    data = poisson_like(dim, 8, 24)
    x, y = data.inputs["x"], data.outputs["y"]
    multiple = relative_l2((x * y).sum() / (x * x).sum() * x, y).mean()
    learner = DataMgNO.from_problem(
        data.problem, DataMgNOConfig(channels=12, layers=2, levels="11 20", boundary="problem", patch=1)
    )
    learner.fit(data, data, Trainer(TrainingConfig(steps=60, learning_rate=1e-2, validations=1)))
    assert learner.evaluate(data)["relative_l2"] < 0.8 * multiple


# a rule for every side


@pytest.mark.parametrize(
    ("boundary", "rules"),
    [
        ("problem", (("zeros", "neumann"), "periodic")),
        ("neumann", ("neumann", "neumann")),
        ((("dirichlet", "neumann"), "periodic"), (("dirichlet", "neumann"), "periodic")),
    ],
)
def test_boundary_rules(boundary, rules):
    grid = Grid((8, 8), boundary=(("unknown", "neumann"), "periodic"))
    assert boundary_rules(boundary, grid) == rules


def test_boundaries_come_as_lists_from_files_and_survive_json():
    config = configure(MgNOConfig, {"boundary": [["dirichlet", "neumann"], "periodic"]})
    assert config.boundary == (("dirichlet", "neumann"), "periodic")
    again = configure(MgNOConfig, json.loads(json.dumps(dataclasses.asdict(config))))
    assert again == config


@pytest.mark.parametrize("boundary", ["robin", ("dirichlet", "robin"), (("dirichlet", "robin"), "periodic")])
def test_a_boundary_that_does_not_exist(boundary):
    with pytest.raises(ConfigurationError, match="'robin' is unknown: use problem, auto, or one of dirichlet, neumann"):
        MgNOConfig(boundary=boundary)


def test_a_boundary_for_the_wrong_number_of_axes():
    with pytest.raises(ConfigurationError, match="3 entries for a grid of 2 axes"):
        DataMgNO.from_problem(recorded(Grid((16, 16))), DataMgNOConfig(boundary=("zeros",) * 3, levels="11 20"))


def test_one_side_of_an_axis_cannot_be_periodic():
    with pytest.raises(ConfigurationError, match="periodic on both sides"):
        DataMgNO.from_problem(recorded(Grid((16,))), DataMgNOConfig(boundary=(("periodic", "zeros"),)))


def test_the_sides_of_the_problem_reach_the_operators():
    """The problem's own pairs and the same pairs written out give one network; mirrored pairs another."""
    grid = Grid((16, 16), boundary=(("dirichlet", "neumann"), "periodic"))
    x = Batch({"x": field(2, 1, 16, 16)})

    def answer(boundary):
        config = DataMgNOConfig(boundary=boundary, channels=4, layers=1, levels="11 20", patch=1)
        return DataMgNO.from_problem(recorded(grid), config).predict(x).mean["y"]

    assert torch.equal(answer("problem"), answer((("dirichlet", "neumann"), "periodic")))
    assert not torch.equal(answer("problem"), answer((("neumann", "dirichlet"), "periodic")))


def imposing(grid: Grid, **options) -> DataMgNO:
    config = DataMgNOConfig(impose=True, boundary="problem", channels=4, layers=1, levels="11 20", patch=1, **options)
    return DataMgNO.from_problem(recorded(grid), config)


def test_imposed_values_are_exact_on_dirichlet_sides_of_vertex_grids(tmp_path):
    """u = 0 on the low side of axis 0 and both sides of axis 1, bit for bit, after training; free on the other."""
    grid = Grid((17, 9), "vertex", (("dirichlet", "neumann"), "dirichlet"))
    learner = imposing(grid)
    data = Dataset(learner.problem, Batch({"x": field(4, 1, 17, 9)}), Batch({"y": 3 + field(4, 1, 17, 9)}), "file")
    learner.fit(data, data, Trainer(TrainingConfig(steps=2, batch_size=4, validations=1)))
    y = learner.predict(data.inputs).mean["y"]
    assert y[:, :, 0].abs().max() == 0
    assert y[..., 0].abs().max() == 0
    assert y[..., -1].abs().max() == 0
    assert y[:, :, 1:, 1:-1].abs().min() > 0
    fine = Batch({"x": field(1, 1, 33, 17)})
    assert learner.predict_directly(fine).mean["y"][:, :, 0].abs().max() == 0
    learner.save(tmp_path)


def test_imposing_keeps_the_error_bars():
    assert imposing(Grid((17,), "vertex"), uncertainty="laplace").module.error_bars is not None


def test_imposed_values_on_left_nodes_are_those_of_the_low_side():
    y = imposing(Grid((16,), "left")).predict(Batch({"x": field(2, 1, 16)})).mean["y"]
    assert y[..., 0].abs().max() == 0
    assert y[..., 1:].abs().min() > 0


@pytest.mark.parametrize("grid", [Grid((16, 16)), Grid((17, 17), "vertex", ("neumann", "unknown"))])
def test_nothing_to_impose_is_said(grid):
    """The boundary of a cell grid lies between its cells, and a Neumann side has no value."""
    with pytest.raises(ConfigurationError, match="impose=true"):
        imposing(grid)


# memory


def saved_bytes(net: nn.Module, v: torch.Tensor) -> tuple[int, list[torch.Tensor]]:
    """Bytes kept for the backward pass beyond the weights, and the gradients."""
    weights = {parameter.data_ptr() for parameter in net.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    net.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = net(v).square().mean()
    held = sum(kept.values())
    loss.backward()
    return held, [parameter.grad.clone() for parameter in net.parameters()]


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_checkpointing_gives_the_same_gradients_from_less_memory(norm):
    v = field(2, 2, 16, 16)
    much, expected = saved_bytes(network(layers=4, norm=norm), v)
    little, gradients = saved_bytes(network(layers=4, norm=norm, checkpointing=True), v)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))
    assert little < 0.3 * much


def test_checkpointed_networks_predict_as_others_do():
    v, net = field(2, 2, 16, 16), network(checkpointing=True).eval()
    assert torch.equal(net(v), network()(v))


# normalisation


def test_normalised_channels_have_mean_zero_and_variance_one_in_every_point():
    v = ChannelNorm(64).double()(3 + 2 * field(2, 64, 4, 6))
    torch.testing.assert_close(v.mean(1), torch.zeros(2, 4, 6, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(v.var(1, correction=0), torch.ones(2, 4, 6, dtype=torch.float64), rtol=1e-4, atol=0)


def test_norm_adds_two_parameters_a_channel_and_layer():
    count = [sum(p.numel() for p in network(norm=norm).parameters()) for norm in ("none", "layer")]
    assert count[1] - count[0] == 2 * 2 * 4


# compilation and precision


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")  # of pure functions
@pytest.mark.parametrize(("backend", "checkpointing"), [("aot_eager", False), ("eager", True)])
def test_a_compiled_network_is_the_same_function(backend, checkpointing):
    """What the tracer makes of the network has the same values and gradients."""
    net, v = network(1, layers=1, levels="10 10", patch=2, checkpointing=checkpointing), field(2, 2, 16)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend=backend)
    expected = torch.autograd.grad(net(v).square().sum(), list(net.parameters()))
    torch.testing.assert_close(compiled(v), net(v), rtol=1e-12, atol=1e-14)
    gradients = torch.autograd.grad(compiled(v).square().sum(), list(net.parameters()))
    torch.testing.assert_close(gradients, expected, rtol=1e-12, atol=1e-14)


def test_training_in_bf16_stays_near_single_precision():
    """A few steps of mixed precision on the processor: a finite loss within 5 % of that in fp32."""
    data = poisson_like(2, 16, 16)
    losses = {}
    for precision in ("fp32", "bf16"):
        learner = DataMgNO.from_problem(data.problem, DataMgNOConfig(channels=4, layers=2, levels="11 20", patch=2))
        history = learner.fit(data, data, Trainer(TrainingConfig(steps=8, precision=precision, validations=1)))
        losses[precision] = history.rows[-1]["train_loss"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_a_gpu_without_bf16_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla T4")
    with pytest.raises(ConfigurationError, match=r"Tesla T4 does not compute in bfloat16.*use precision=fp32"):
        Trainer(TrainingConfig(steps=1, precision="bf16")).fit(
            nn.Linear(1, 1), lambda module, batch, generator: module(batch["x"]).mean(), {"x": torch.ones(2, 1)}
        )


# complex fields


@settings(deadline=None, max_examples=20)
@given(
    shape=st.lists(st.integers(0, 4), min_size=2, max_size=5),
    dtype=st.sampled_from([torch.complex64, torch.complex128]),
    conjugate=st.booleans(),
)
def test_complex_fields_go_through_channels_and_back(shape, dtype, conjugate):
    values = torch.randn(shape, dtype=dtype)
    values = values.conj() if conjugate else values
    channels = to_channels(values)
    assert channels.shape == (shape[0], 2 * shape[1], *shape[2:])
    assert channels.dtype == values.real.dtype
    assert torch.equal(from_channels(channels), values)


def test_real_fields_are_their_own_channels():
    values = field(2, 3, 4)
    assert to_channels(values) is values


def test_derivatives_pass_through_complex_channels():
    """The gradient of |z|² / 2 with respect to the parts of z is z."""
    z = torch.randn(2, 1, 4, dtype=torch.complex128, requires_grad=True)
    (to_channels(z).square().sum() / 2).backward()
    torch.testing.assert_close(z.grad, z.detach())


@pytest.mark.parametrize(
    ("values", "words"), [(torch.ones(1, 3, 4), "3 channels"), (torch.ones(1, 2, 4).half(), "float16")]
)
def test_channels_that_make_no_complex_field(values, words):
    with pytest.raises(ProblemError, match=words):
        from_channels(values)
