import math
import statistics

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from leanet.evaluation.comparison import compare, holm, mean_interval


def test_a_worked_example_of_the_literature():
    """scikit-learn's "Statistical comparison of models using grid search", which follows Nadeau & Bengio.

    It prints a corrected t of 0.750 and a one-sided p of 0.227 for ten times ten folds.
    """
    images, labels = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), images, labels, scoring="roc_auc", cv=folds)
        for kernel in ("rbf", "linear")
    )
    comparison = compare(rbf, linear, folds_per_repeat=10)
    assert comparison.p / 2 == pytest.approx(0.227, abs=5e-4)
    t = stats.t.isf(comparison.p / 2, 99)
    assert t == pytest.approx(0.750, abs=5e-4)
    assert comparison.effect == pytest.approx(np.mean(rbf) - np.mean(linear))
    assert comparison.low == pytest.approx(comparison.effect * (1 - stats.t.ppf(0.975, 99) / t))


def test_five_folds_by_hand():
    """Differences 0.02, 0.04, 0.00, 0.06, 0.03: mean 0.03, variance 0.0005, error √(0.0005 (1/5 + 1/4))."""
    comparison = compare([0.92, 0.94, 0.90, 0.96, 0.93], [0.9] * 5, folds_per_repeat=5)
    assert comparison.effect == pytest.approx(0.03)
    assert comparison.high - comparison.effect == pytest.approx(2.7764451 * 0.015, rel=1e-6)
    assert comparison.p == pytest.approx(2 * stats.t.sf(2, 4))
    assert str(comparison) == "+0.030 [-0.012, +0.072], p = 0.12"


def test_equal_folds_have_no_p():
    comparison = compare([0.5, 0.7], [0.5, 0.7], folds_per_repeat=2)
    assert (comparison.effect, comparison.p) == (0, None)
    assert str(comparison) == "+0.000 [+0.000, +0.000]"


def test_an_interval_is_wider_than_if_folds_were_independent():
    values = [0.8, 0.9, 0.85, 0.95, 0.7]
    low, high = mean_interval(values, folds_per_repeat=5)
    plain = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (high - low) / (plain[1] - plain[0]) == pytest.approx(1.5)  # √((1/5 + 1/4) / (1/5))


def test_holm_is_the_published_procedure():
    """Four tests, of which each is compared with 0.05 over those that are left (Holm 1979, section 3)."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.02]) == [1, None, pytest.approx(0.06)]
    assert holm([]) == []


def test_fewer_training_images_widen_an_interval():
    values = [0.92, 0.94, 0.90, 0.96, 0.93]
    variance = statistics.variance(values)
    low, high = mean_interval(values, folds_per_repeat=5, kept=0.5)
    reach = stats.t.ppf(0.975, 4) * math.sqrt(variance * (1 / 5 + 1 / (0.5 * 4)))
    assert (high - low) / 2 == pytest.approx(reach)
