"""Counts of images, and intervals that know which of them show one thing."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from leanet.evaluation.counts import clopper_pearson, count, effective, pooled_curve


@pytest.mark.parametrize(("hits", "total"), [(0, 12), (12, 12), (39, 40), (3, 120)])
def test_intervals_are_scipys_and_wider_where_images_depend(hits, total):
    low, high = clopper_pearson(hits, total)
    assert (low, high) == pytest.approx(tuple(binomtest(hits, total).proportion_ci(0.95, "exact")))
    wide = clopper_pearson(hits, total, independent=total / 4)
    assert wide[0] <= low <= high <= wide[1]
    assert wide[1] - wide[0] > high - low


def test_images_of_one_thing_count_as_one():
    assert effective(pd.Series(range(50))) == 50
    assert effective(pd.Series(np.arange(152) // 4)) == pytest.approx(38)
    assert 1 < effective(pd.Series([0] * 10 + [1, 2, 3])) < 4  # one thing has most of the say


def test_every_image_counts_once_at_the_threshold():
    images = pd.DataFrame(
        {
            "path": [*"abcd", *"abcd"],
            "label": [1, 1, 0, 0] * 2,
            "fold": [0, 1, 0, 1, 2, 3, 2, 3],  # two repeats of two folds
            "score": [0.9, 0.4, 0.6, 0.1, 0.1, 0.1, 0.9, 0.9],
        }
    )
    manifest = pd.DataFrame({"path": list("abcd"), "group": [0, 1, 2, 3]})
    counts = count(images, manifest, folds=2)
    assert (counts.found.hits, counts.found.total) == (1, 2)
    assert (counts.alarms.hits, counts.alarms.total) == (1, 2)
    assert counts.f1 == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert str(counts.found) == "1 of 2 [1%, 99%]"
    recall, precision = pooled_curve(images, 2)
    assert list(recall) == sorted(recall)
    assert precision[recall == 0.5].max() == 1
