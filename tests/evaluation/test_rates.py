"""Intervals that know which images show one thing, and the threshold of the highest F1."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from leanet.evaluation.rates import best_threshold, clopper_pearson, effective


@pytest.mark.parametrize(("hits", "total"), [(0, 12), (12, 12), (39, 40), (3, 120)])
def test_intervals_are_scipys_and_wider_where_images_depend(hits, total):
    low, high = clopper_pearson(hits, total)
    assert (low, high) == pytest.approx(tuple(binomtest(hits, total).proportion_ci(0.95, "exact")))
    wide = clopper_pearson(hits, total, independent=total / 4)
    assert wide[0] <= low <= high <= wide[1]
    assert wide[1] - wide[0] > high - low


def test_images_of_one_thing_count_as_one():
    assert effective(np.arange(50)) == 50
    assert effective(np.arange(152) // 4) == pytest.approx(38)
    assert 1 < effective(np.array([0] * 10 + [1, 2, 3])) < 4  # one thing has most of the say


def test_the_best_threshold_is_that_of_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(15):
        labels = rng.permutation([1, 1, 1, 0, 0, 0, 0, 0])
        scores = (rng.uniform(0, 1, 8) + 0.3 * labels).round(1)  # with ties
        f1, threshold = best_threshold(labels, scores)
        tried = max(f1_score(labels, scores > t, zero_division=0) for t in np.arange(-0.05, 1.4, 0.1))
        assert f1 == pytest.approx(tried) == pytest.approx(f1_score(labels, scores > threshold))
