"""Proper orthogonal decomposition, its repetition without some samples, and error bars: theorems."""

import pytest
import torch
from mmgp_parts import arch

from meshes.finite_elements import FunctionSpace, mass
from sciml.errors import LearnerError
from sciml.learners.mmgp.correlation import shrunk_correlation
from sciml.learners.mmgp.fold_basis import folds_of, refit_basis
from sciml.learners.mmgp.inner_products import euclidean, mass_product
from sciml.learners.mmgp.reduction import CountRule, EnergyRule, decompose
from sciml.learners.mmgp.snapshots import SnapshotFile, SnapshotTable, column_blocks, row_blocks
from sciml.learners.mmgp.trust import TrustLimits, upper_quantile

MESH = arch(0.3, 0.1, 1.0)
PRODUCT = mass_product(MESH)


def snapshots(count=12, components=1, seed=0):
    """Fields with energies that fall by a decade every three modes, about a mean that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    size = components * len(MESH.points)
    fall = torch.logspace(0, -4, count, dtype=torch.float64)
    u = torch.randn(count, count, generator=generator, dtype=torch.float64) * fall
    return 5.0 + u @ torch.randn(count, size, generator=generator, dtype=torch.float64)


def test_the_inner_product_is_that_of_linear_finite_elements():
    u = snapshots(2)
    expected = mass(FunctionSpace(MESH))(1.0)
    torch.testing.assert_close(PRODUCT.apply(u), expected.mv(u), rtol=1e-12, atol=0)


@pytest.mark.parametrize("components", [1, 2])
def test_modes_are_orthonormal_and_the_error_is_the_discarded_energy(components):
    """modesᵀ M modes = I and Σ_i ‖u_i − Π u_i‖² = Σ_{a > r} L_a."""
    u = snapshots(components=components)
    found = decompose(SnapshotTable(u), PRODUCT, CountRule(4))
    modes, energies = found.reduction.modes, found.reduction.energies
    torch.testing.assert_close(modes @ PRODUCT.apply(modes).mT, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-10)
    error = PRODUCT.squared_norm(u - found.reduction.expand(found.coefficients)).sum()
    torch.testing.assert_close(error, energies[4:].sum(), rtol=1e-8, atol=1e-10 * float(energies.sum()))
    assert found.reduction.discarded_share == pytest.approx(float((energies[4:].sum() / energies.sum()).sqrt()))


def test_coefficients_are_projections_and_full_rank_reproduces():
    u = snapshots()
    found = decompose(SnapshotTable(u), PRODUCT, EnergyRule(1e-9))
    torch.testing.assert_close(found.reduction.coefficients(u, PRODUCT), found.coefficients, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.reduction.expand(found.coefficients), u, rtol=0, atol=1e-6)


def test_the_energy_rule_keeps_as_many_modes_as_needed_and_no_more():
    u, tolerance = SnapshotTable(snapshots()), 0.05
    energies = decompose(u, PRODUCT, CountRule(1)).reduction.energies
    rank = EnergyRule(tolerance).rank(energies)
    assert energies[rank:].sum() <= tolerance**2 * energies.sum() < energies[rank - 1 :].sum()
    assert EnergyRule(tolerance, most=2).rank(energies) == 2


def test_snapshots_from_a_file_in_blocks_give_the_same_as_in_memory(tmp_path, monkeypatch):
    u = snapshots()
    file = SnapshotFile(tmp_path / "u.bin", u.shape[1])
    for row in u:
        file.append(row)
    torch.testing.assert_close(file.rows(3, 7), u[3:7], rtol=0, atol=0)
    torch.testing.assert_close(file.columns(10, 30), u[:, 10:30], rtol=0, atol=0)
    for blocks, length in ((row_blocks, len(u)), (column_blocks, u.shape[1])):
        cuts = list(blocks(file, limit=8 * 3 * max(u.shape)))
        assert [a for a, _ in cuts] == [0, *(b for _, b in cuts)][:-1]
        assert cuts[-1][1] == length
    whole = decompose(SnapshotTable(u), PRODUCT, CountRule(3))
    monkeypatch.setattr("sciml.learners.mmgp.reduction.row_blocks", lambda s: row_blocks(s, limit=8 * 5 * s.size))
    parts = decompose(file, PRODUCT, CountRule(3))
    torch.testing.assert_close(parts.coefficients, whole.coefficients, rtol=0, atol=1e-10)
    torch.testing.assert_close(parts.reduction.modes, whole.reduction.modes, rtol=0, atol=1e-10)


def test_equal_snapshots_have_no_modes():
    u = snapshots(1).expand(6, -1)
    found = decompose(SnapshotTable(u), PRODUCT, EnergyRule(1e-3))
    assert found.reduction.rank == 0
    torch.testing.assert_close(found.reduction.expand(found.coefficients), u, rtol=1e-12, atol=0)


def test_more_modes_than_snapshots_span_are_refused():
    with pytest.raises(LearnerError, match="8 modes are wanted of snapshots that span 4 dimensions"):
        decompose(SnapshotTable(snapshots(5)), PRODUCT, CountRule(8))


def test_a_basis_without_some_samples_is_that_of_the_others():
    """The span of `refit_basis` is that of a decomposition of the kept snapshots alone."""
    u, kept = snapshots(), torch.tensor([0, 1, 2, 4, 5, 6, 8, 9, 10, 11])
    fold = refit_basis(decompose(SnapshotTable(u), PRODUCT, CountRule(4)), kept)
    direct = decompose(SnapshotTable(u[kept]), PRODUCT, CountRule(4)).reduction
    projected = direct.expand(direct.coefficients(u, PRODUCT))
    torch.testing.assert_close(fold.weights(fold.coefficients) @ u[kept], projected, rtol=0, atol=1e-8)
    torch.testing.assert_close(fold.outside, PRODUCT.squared_norm(u - projected), rtol=0, atol=1e-8)
    weights = fold.weights(fold.coefficients).sum(dim=1)
    torch.testing.assert_close(weights, torch.ones(12, dtype=torch.float64), rtol=0, atol=1e-10)


def test_the_columns_of_a_fold_mean_what_those_of_all_samples_mean():
    """Two modes of nearly equal energy rotate freely from fold to fold; the turn takes that back."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(40, 2, generator=generator, dtype=torch.float64) @ torch.randn(
        2, len(MESH.points), generator=generator, dtype=torch.float64
    )
    whole = decompose(SnapshotTable(u), PRODUCT, CountRule(2))
    fold = refit_basis(whole, torch.arange(0, 36))
    shift = (fold.coefficients - whole.coefficients).mean(dim=0)  # of the mean alone
    torch.testing.assert_close(fold.coefficients - shift, whole.coefficients, rtol=0, atol=1e-6)


def test_folds_part_the_samples_and_keep_groups_together():
    groups = torch.arange(30) % 15
    folds = folds_of(groups, 4, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(folds).tolist()) == list(range(30))
    held = [set(groups[fold].tolist()) for fold in folds]
    assert sum(map(len, held)) == len(set().union(*held)) == 15


def test_correlations_of_independent_columns_vanish_and_true_ones_stay():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(150, 60, generator=generator, dtype=torch.float64)
    found = shrunk_correlation(z)
    assert (found - torch.eye(60, dtype=torch.float64)).abs().max() < 0.05
    related = z.clone()
    related[:, 1:] = 0.9 * z[:, :1] + (1 - 0.9**2) ** 0.5 * z[:, 1:]
    strong = shrunk_correlation(related)
    assert strong[0, 1:].mean() == pytest.approx(0.9, abs=0.05)
    assert torch.linalg.eigvalsh(strong).min() > 0


def test_the_upper_quantile_holds_for_a_new_sample():
    """With n exchangeable values, P(new ≤ ⌈(n + 1) 0.9⌉-th smallest) ≥ 0.9."""
    z = torch.rand(4000, 31, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    held = torch.tensor([float(row[-1]) <= upper_quantile(row[:-1], 0.9) for row in z]).double().mean()
    assert held > 0.9 - 3 * (0.09 / 4000) ** 0.5


def test_shapes_are_judged_in_units_of_what_is_usual():
    scores = torch.linspace(0.0, 0.01, 39, dtype=torch.float64)
    limits = TrustLimits(2.0, torch.ones(2, dtype=torch.float64), scores, 100 * scores)
    near = limits.score(outside=0.01, coefficients=torch.zeros(2, dtype=torch.float64))
    far = limits.score(outside=0.08, coefficients=torch.zeros(2, dtype=torch.float64))
    assert not near.is_foreign
    assert near.inflation == 1.0
    assert far.is_foreign
    assert far.inflation == pytest.approx(0.04 / upper_quantile(scores, 0.95))
    assert "foreign" in str(far)


def test_the_euclidean_product_counts_nodes():
    u = torch.arange(4.0, dtype=torch.float64)
    assert float(euclidean(4).squared_norm(u)) == pytest.approx(14 / 4)
