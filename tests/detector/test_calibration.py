"""From margins to probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize

from leanet.detector.calibration import Calibration, at_prevalence


def simulated(count: int, slope: float, intercept: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Margins, and labels that are anomalous with probability sigmoid(slope · margin + intercept)."""
    draw = np.random.default_rng(seed)
    margins = draw.normal(-1, 2, count)
    labels = (draw.random(count) < 1 / (1 + np.exp(-(slope * margins + intercept)))).astype(int)
    return margins, labels


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_platts_sigmoid(seed):
    margins, labels = simulated(60, 1.3, 0.4, seed)
    positives, negatives = labels.sum(), (labels == 0).sum()
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def cross_entropy(line):  # Platt's Eq. 3, as printed
        p = 1 / (1 + np.exp(-(line[0] * margins + line[1])))
        return -np.sum(target * np.log(p) + (1 - target) * np.log(1 - p))

    slow = minimize(cross_entropy, [1, 0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).x
    fitted = Calibration.fit(margins, labels)
    np.testing.assert_allclose([fitted.slope, fitted.intercept], slow, rtol=1e-4, atol=1e-4)
    assert fitted.prevalence == positives / 60


def test_it_finds_the_truth():
    fitted = Calibration.fit(*simulated(200_000, 0.7, -0.5, seed=1))
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.7, -0.5), abs=0.02)


def test_few_separable_images_are_not_certain():
    fitted = Calibration.fit(np.array([-3.0, -2, -1, 1, 2, 3]), np.array([0, 0, 0, 1, 1, 1]))
    sure = fitted.probabilities(np.array([-3.0, 3]))
    assert 0.05 < sure[0] < 0.3
    assert 0.7 < sure[1] < 0.95


def test_another_share_of_anomalies_is_another_probability():
    margins, labels = simulated(400_000, 1, 0, seed=2)
    scores = 1 / (1 + np.exp(-margins))
    draw = np.random.default_rng(3)
    kept = (labels == 0) | (draw.random(len(labels)) < 0.1)  # anomalies become rare
    shifted = at_prevalence(scores, labels.mean(), labels[kept].mean())[kept]
    for low, high in ((0.05, 0.15), (0.2, 0.3), (0.45, 0.55)):
        inside = (shifted > low) & (shifted < high)
        assert labels[kept][inside].mean() == pytest.approx(shifted[inside].mean(), abs=0.02)
    np.testing.assert_allclose(at_prevalence(scores, 0.3, 0.3), scores)
