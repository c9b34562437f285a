"""Error bars of foreign shapes: they grow with the distance where left-out samples say so, and only there."""

import pytest
import torch

from sciml.learners.mmgp.distance_growth import distance_growth
from sciml.learners.mmgp.trust import TrustLimits


def drawn(power, seed, count=80, outputs=3):
    """Distances of shapes in nine dimensions, and scores that grow with a power of them."""
    generator = torch.Generator().manual_seed(seed)
    distances = torch.randn(count, 9, generator=generator, dtype=torch.float64).norm(dim=1)
    noise = 0.3 * torch.randn(outputs, count, generator=generator, dtype=torch.float64)
    return distances, list(0.7 * distances**power * noise.exp())


def test_a_growth_that_is_there_is_found():
    found = torch.tensor([distance_growth(*drawn(2.0, seed)) for seed in range(20)], dtype=torch.float64)
    assert found.mean() == pytest.approx(2.0, abs=0.15)


def test_a_growth_that_is_not_there_is_found_as_often_as_promised():
    """Student's test at 5 %: at most 10 + 3 standard errors of 200 training sets; never when errors shrink."""
    found = sum(distance_growth(*drawn(0.0, seed)) > 0 for seed in range(200))
    assert found <= 10 + 3 * 10**0.5
    assert all(distance_growth(*drawn(-1.0, seed)) == 0 for seed in range(20))


def test_units_of_scores_and_distances_do_not_count():
    distances, scores = drawn(1.0, 0)
    scaled = distance_growth(10.0 * distances, [100.0 * scores[0], *scores[1:]])
    assert scaled == pytest.approx(distance_growth(distances, scores), rel=1e-9)


def test_where_nothing_varies_nothing_grows():
    same = torch.full((40,), 3.0, dtype=torch.float64)
    _, scores = drawn(1.0, 0, count=40)
    assert distance_growth(same, scores) == 0.0
    assert distance_growth(torch.zeros(40, dtype=torch.float64), scores) == 0.0
    assert distance_growth(drawn(1.0, 0, count=40)[0], [torch.zeros(40, dtype=torch.float64)]) == 0.0
    assert distance_growth(*drawn(1.0, 0, count=6)) == 0.0


@pytest.mark.parametrize(("growth", "inflation"), [(0.0, 1.0), (1.0, 3.0), (2.0, 9.0)])
def test_intervals_widen_beyond_the_usual_distance_and_the_score_stays(growth, inflation):
    usual = torch.full((40,), 2.0, dtype=torch.float64)
    limits = TrustLimits(1.0, torch.ones(2, dtype=torch.float64), 1e-3 * usual, usual, growth)
    near, far = (limits.score(1e-4, torch.tensor([size, 0.0], dtype=torch.float64)) for size in (1.0, 6.0))
    assert near.inflation == 1.0
    assert far.inflation == pytest.approx(inflation)
    assert far.ratio == pytest.approx(3.0)
    assert far.is_foreign
    assert limits.score(1e-1, torch.zeros(2, dtype=torch.float64)).inflation == pytest.approx(50.0)
    both = limits.score(1e-1, torch.tensor([6.0, 0.0], dtype=torch.float64))
    assert both.inflation**2 == pytest.approx(50.0**2 + inflation**2 - 1)
