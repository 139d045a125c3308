"""Counts of images."""

import pandas as pd
import pytest

from leanet.evaluation.counts import count, pooled_curve


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
