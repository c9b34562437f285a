"""MultiONet: the formula, its special cases, its derivatives, and the encoders before it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.multionet import ConvolutionalEncoder, DenseEncoder, MultiONet, PointSetEncoder
from sciml.learners.multionet.activations import ACTIVATIONS, activation

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def made(dtype=torch.float64, seed=0, **settings):
    torch.manual_seed(seed)
    sizes = {"dim_x": 2, "dim_latent": 6, "width": 9, "depth": 4, "aggregate": 3, "out_channels": 2}
    network = MultiONet(**{**sizes, **settings}).to(dtype)
    with torch.no_grad():  # as if trained: weights differ from layer to layer
        network.readout.weight += 0.05 * torch.randn_like(network.readout.weight)
        network.readout.bias += 0.3
    generator = torch.Generator().manual_seed(seed)
    latent = torch.rand(5, network.dim_latent, generator=generator, dtype=dtype) * 2 - 1
    return network, latent, torch.rand(7, network.dim_x, generator=generator, dtype=dtype)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_derivatives(name):
    """The published formulas; f′ and f″ are autograd's."""
    published = {
        "tanh_sin": lambda z: torch.tanh(torch.sin(torch.pi * (z + 1))) + z,
        "silu_sin": lambda z: nn.functional.silu(torch.sin(torch.pi * (z + 1))) + z,
        "silu_identity": lambda z: nn.functional.silu(z) + z,
    }
    z = torch.linspace(-3, 3, 101, dtype=torch.float64, requires_grad=True)
    value, slope, curvature = activation(name)(z, 2)
    torch.testing.assert_close(value, published[name](z), rtol=0, atol=1e-13)
    (first,) = torch.autograd.grad(published[name](z).sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z)
    torch.testing.assert_close(slope, first, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(curvature, second, rtol=1e-12, atol=1e-11)
    for order in (0, 1):
        torch.testing.assert_close(activation(name)(z, order), (value, slope)[: order + 1], rtol=0, atol=0)


def test_the_answer_is_the_formula():
    """u_c = (1/l) Σ_k w_ck ⟨t_k, b_ck⟩ + c_c, the last l layers written out for every component."""
    network, latent, points = made()
    answer = network(latent, points)
    act = activation("tanh_sin")
    for c in range(2):
        b, t = latent, points
        total = torch.zeros(5, 7, dtype=torch.float64)
        for k in range(4):
            (t,) = act(t @ network.trunk.layers[k].weight.T + network.trunk.layers[k].bias, 0)
            (b,) = act(b @ network.branch[k].weight[c].T + network.branch[k].bias[c], 0)
            if k >= 1:
                total += network.readout.weight[c, k - 1, 0] * (b @ t.T) / 3
        torch.testing.assert_close(answer[..., c], total + network.readout.bias[c], rtol=1e-12, atol=1e-12)


def test_one_aggregated_layer_is_a_deeponet():
    """l = 1: w ⟨t_L(x), b_L(β)⟩ + c with two plain networks side by side."""
    network, latent, points = made(aggregate=1, out_channels=1)

    class Wave(nn.Module):
        def forward(self, z):
            return torch.tanh(torch.sin(torch.pi * (z + 1))) + z

    def chain(layers):
        stages = []
        for weight, bias in layers:
            linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
            linear.load_state_dict({"weight": weight, "bias": bias})
            stages += [linear, Wave()]
        return nn.Sequential(*stages)

    trunk = chain([(layer.weight, layer.bias) for layer in network.trunk.layers])
    branch = chain([(layer.weight[0], layer.bias[0]) for layer in network.branch])
    expected = network.readout.weight.item() * branch(latent) @ trunk(points).T + network.readout.bias
    torch.testing.assert_close(network(latent, points)[..., 0], expected, rtol=1e-12, atol=1e-12)


def test_points_shared_or_repeated_for_every_sample_give_the_same():
    network, latent, points = made()
    repeated = points.expand(5, -1, -1)
    torch.testing.assert_close(network(latent, points), network(latent, repeated), rtol=1e-12, atol=1e-12)
    shared, own = network.jet(latent, points, 2), network.jet(latent, repeated, 2)
    for name in ("value", "gradient", "hessian"):
        torch.testing.assert_close(getattr(shared, name), getattr(own, name), rtol=1e-11, atol=1e-11)


@settings(deadline=None, max_examples=15)
@given(samples=st.integers(1, 4), n=st.integers(1, 6), dim=st.integers(1, 3), channels=st.integers(1, 3))
def test_points_are_permuted_and_samples_are_separated_with_their_answers(samples, n, dim, channels):
    """u(P x) = P u(x), and a sample's answer does not depend on the others."""
    network, _, _ = made(dim_x=dim, out_channels=channels)
    generator = torch.Generator().manual_seed(n)
    latent = torch.randn(samples, 6, generator=generator, dtype=torch.float64)
    points = torch.rand(n, dim, generator=generator, dtype=torch.float64)
    answer, order = network(latent, points), torch.randperm(n, generator=generator)
    assert answer.shape == (samples, n, channels)
    torch.testing.assert_close(network(latent, points[order]), answer[:, order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network(latent[-1:], points), answer[-1:], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_separable_derivatives_are_autograds(dim, name, dtype):
    """∇u and ∇²u by forward mode through the trunk, relative to their size."""
    network, latent, points = made(dtype, dim_x=dim, trunk_activation=name)
    x = points.expand(5, -1, -1).clone().requires_grad_()
    jet = network.jet(latent, points, 2)
    torch.testing.assert_close(jet.value, network(latent, points), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    for c in range(2):
        (first,) = torch.autograd.grad(network(latent, x)[..., c].sum(), x, create_graph=True)
        rows = [torch.autograd.grad(first[..., i].sum(), x, retain_graph=True)[0] for i in range(dim)]
        second = torch.stack(rows, -2)
        assert (jet.gradient[:, :, c] - first).abs().max() <= TOLERANCE[dtype] * first.abs().max()
        assert (jet.hessian[:, :, c] - second).abs().max() <= TOLERANCE[dtype] * second.abs().max()
    assert network.jet(latent, points, 1).hessian is None
    torch.testing.assert_close(network.jet(latent, points, 1).gradient, jet.gradient, rtol=0, atol=0)


def test_features_have_the_promised_shapes_and_multiply_to_the_answer():
    """u = B̃ Tᵀ + c."""
    network, latent, points = made()
    (values,) = network.trunk_features(points)
    again, jacobian, hessian = network.trunk_features(points, order=2)
    branch = network.branch_features(latent)
    assert (values.shape, jacobian.shape, hessian.shape) == ((7, 27), (2, 7, 27), (2, 2, 7, 27))
    assert branch.shape == (5, 2, 27)
    torch.testing.assert_close(again, values, rtol=0, atol=0)
    product = (branch @ values.T).mT + network.readout.bias
    torch.testing.assert_close(product, network(latent, points), rtol=1e-12, atol=1e-12)


def test_losses_of_derivatives_reach_every_weight_and_the_latent_vector():
    """Reverse mode through the forward mode: a directional derivative of a loss of the Hessian."""
    network, latent, points = made()
    latent.requires_grad_()

    def loss():
        jet = network.jet(latent, points, 2)
        return jet.hessian.diagonal(dim1=-2, dim2=-1).sum(-1).square().mean() + jet.gradient.square().mean()

    weight = network.trunk.layers[0].weight
    gradient, from_latent = torch.autograd.grad(loss(), [weight, latent])
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight += step * direction
        values.append(loss().detach())
        with torch.no_grad():
            weight -= step * direction
    torch.testing.assert_close((values[0] - values[1]) / 2e-6, (gradient * direction).sum(), rtol=1e-6, atol=0)
    assert (from_latent != 0).all()


@pytest.mark.parametrize(
    ("sizes", "count"),
    [((2, 128, 100, 6, 5), 114206), ((2, 256, 100, 5, 4), 106805), ((2, 128, 128, 5, 4), 148997)],
)
def test_parameter_counts(sizes, count):
    """(dx + 1) H + (d + 1) H + 2 (L − 1)(H² + H) + l + 1; a further component adds its branch, w and c."""
    dx, d, h, depth, aggregate = sizes
    assert sum(p.numel() for p in MultiONet(*sizes).parameters()) == count
    assert (dx + 1) * h + (d + 1) * h + 2 * (depth - 1) * (h**2 + h) + aggregate + 1 == count
    component = (d + 1) * h + (depth - 1) * (h**2 + h) + aggregate + 1
    assert sum(p.numel() for p in MultiONet(*sizes, out_channels=3).parameters()) == count + 2 * component


def test_every_parameter_has_a_gradient_in_the_first_step():
    """With w = 0, as published, the layers below w would have none."""
    torch.manual_seed(0)
    network = MultiONet(2, 6, 9, 4, 3, out_channels=2)
    network(torch.rand(4, 6), torch.rand(8, 2)).square().sum().backward()
    assert all((p.grad != 0).any() for p in network.parameters())
    silent = MultiONet(2, 6, 9, 4, 3, layer_weight_init=0.0)
    silent(torch.rand(4, 6), torch.rand(8, 2)).sub(1).square().sum().backward()
    moved = {name for name, p in silent.named_parameters() if (p.grad != 0).any()}
    assert moved == {"readout.weight", "readout.bias"}


def test_one_sample_is_fitted():
    """Three hundred steps of Adam take one wave to less than two per cent."""
    torch.manual_seed(0)
    network = MultiONet(2, 4, 32, 4, 3)
    latent, points = torch.rand(1, 4), torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    truth = torch.sin(3 * points[:, :1] + 1) * torch.cos(2 * points[:, 1:])
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (network(latent, points)[0] - truth).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.sqrt() < 0.02 * truth.square().mean().sqrt()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"aggregate": 5}, "aggregate = 5: between 1 .* and the 4 layers"),
        ({"aggregate": 0}, "aggregate = 0"),
        ({"width": 0}, "width = 0: at least 1"),
        ({"trunk_activation": "relu"}, "activation 'relu' is unknown: use one of tanh_sin, silu_sin, silu_identity"),
        ({"branch_activation": "gelu"}, "activation 'gelu' is unknown"),
    ],
)
def test_settings_that_make_no_network(settings, match):
    with pytest.raises(ConfigurationError, match=match):
        made(**settings)


def test_arrays_of_another_width_are_named():
    network, latent, points = made()
    with pytest.raises(LearnerError, match=r"latent of shape \(5, 3\): expected \(samples, 6\)"):
        network(latent[:, :3], points)
    with pytest.raises(LearnerError, match=r"points of shape \(7, 1\): expected \(n, 2\)"):
        network.jet(latent, points[:, :1])
    with pytest.raises(LearnerError, match="points of 3 samples, latent vectors of 5"):
        network(latent, points.expand(3, -1, -1))
    with pytest.raises(LearnerError, match="order = 3"):
        network.trunk_features(points, order=3)


@settings(deadline=None, max_examples=10)
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), samples=st.integers(1, 3))
@pytest.mark.parametrize("kind", [DenseEncoder, ConvolutionalEncoder])
def test_grids_of_any_size_are_encoded(kind, shape, samples):
    encoder = kind(2, tuple(shape), latent=5)
    field = torch.rand(samples, 2, *shape, generator=torch.Generator().manual_seed(0))
    code = encoder(field)
    assert code.shape == (samples, 5)
    torch.testing.assert_close(encoder(field[:1]), code[:1], rtol=1e-4, atol=1e-6)
    with pytest.raises(LearnerError, match="branch was made for fields"):
        encoder(field[:, :1])


def test_values_that_never_vary_are_standardised_to_zero():
    """Zero variance: x ↦ x − mean, finite and differentiable; the others get mean 0 and deviation 1."""
    fields = torch.rand(40, 1, 5, 5, generator=torch.Generator().manual_seed(0)) + 3
    fields[..., 0] = 0.1  # no binary fraction: its mean is rounded
    fields[..., 1] = 0.0
    encoder = DenseEncoder(1, (5, 5), latent=3)
    encoder.fit_statistics(fields)
    standard = (fields - encoder.shift) / encoder.scale
    assert standard[..., :2].abs().max() < 1e-6
    torch.testing.assert_close(standard[..., 2:].std(0, correction=0), torch.ones(1, 5, 3), rtol=1e-4, atol=0)
    assert encoder(fields + 1).isfinite().all()


@settings(deadline=None, max_examples=15)
@given(n=st.integers(1, 12), dim=st.integers(1, 3), own=st.booleans())
def test_a_set_of_points_has_no_order_and_no_padding(n, dim, own):
    """Permuting the pairs (x, a(x)), or adding masked rows of any content, changes nothing."""
    torch.manual_seed(0)
    encoder = PointSetEncoder(dim, 2, latent=4, functions=8, widths=(8,)).double()
    generator = torch.Generator().manual_seed(n)
    values = torch.rand(3, n, 2, generator=generator, dtype=torch.float64)
    points = torch.rand(*([3] if own else []), n, dim, generator=generator, dtype=torch.float64)
    code, order = encoder(values, points), torch.randperm(n, generator=generator)
    assert code.shape == (3, 4)
    torch.testing.assert_close(encoder(values[:, order], points[..., order, :]), code, rtol=1e-12, atol=1e-12)
    mask = torch.cat([torch.ones(3, n), torch.zeros(3, 2)], 1).bool()
    filled = torch.cat([values, torch.full((3, 2, 2), torch.nan, dtype=torch.float64)], 1)
    places = torch.cat([points, torch.full_like(points[..., :1, :], 7.0).expand(*points.shape[:-2], 2, dim)], -2)
    torch.testing.assert_close(encoder(filled, places, mask), code, rtol=1e-12, atol=1e-12)


def test_sets_of_different_sizes_agree_on_what_they_sample():
    """Means over ever more points of one function converge: the code hardly moves from 2 000 to 8 000."""
    torch.manual_seed(0)
    encoder = PointSetEncoder(1, 1, latent=4).double()
    codes = []
    for n in (20, 2000, 8000):
        x = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
        codes.append(encoder(torch.sin(7 * x)[None], x))
    assert (codes[1] - codes[2]).abs().max() < 1e-5
    assert (codes[0] - codes[2]).abs().max() < 1e-1


def test_sets_that_do_not_fit_are_named():
    encoder = PointSetEncoder(2, 1, latent=4)
    with pytest.raises(LearnerError, match=r"expected \(samples, n, 1\)"):
        encoder(torch.rand(3, 5, 2), torch.rand(5, 2))
    with pytest.raises(LearnerError, match="a place for every value"):
        encoder(torch.rand(3, 5, 1), torch.rand(4, 2))
    with pytest.raises(LearnerError, match=r"of torch\.bool"):
        encoder(torch.rand(3, 5, 1), torch.rand(5, 2), torch.ones(3, 5))
    with pytest.raises(LearnerError, match=r"1 of 3 samples have no point \(first: 1\)"):
        encoder(torch.rand(3, 5, 1), torch.rand(5, 2), torch.tensor([[True], [False], [True]]).expand(3, 5))
