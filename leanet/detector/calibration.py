"""From a network's margin to a probability: Platt's sigmoid, fitted to images that the network never saw.

Platt 1999, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods".
"""

import math
from dataclasses import dataclass

import numpy as np

from leanet.core.errors import InputError


@dataclass(frozen=True)
class Calibration:
    """P(anomalous) = sigmoid(slope · margin + intercept), where anomalies are as frequent as `prevalence`.

    prevalence: None where no anomalous image was there to fit to, and the sigmoid is no probability.
    """

    slope: float
    intercept: float
    prevalence: float | None

    @classmethod
    def fit(cls, margins: np.ndarray, labels: np.ndarray) -> "Calibration":
        """From out-of-fold margins (N,) and labels (N,) of 0 and 1, both of them present.

        Labels are drawn towards the middle as Platt has it, by one image that might have been of either class:
        few images that happen to be separable are no proof of certainty.
        """
        from sklearn.linear_model import LogisticRegression

        positives = int(labels.sum())
        likely = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
        # Each image twice, as anomalous and as normal, weighted by how likely it is either.
        fitted = LogisticRegression(C=math.inf, tol=1e-8, max_iter=1000).fit(
            np.tile(margins, 2)[:, None].astype(np.float64),
            np.repeat([1, 0], len(labels)),
            sample_weight=np.concatenate([likely, 1 - likely]),
        )
        slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        return cls(_significant(slope), _significant(intercept), positives / len(labels))

    def probabilities(self, margins: np.ndarray) -> np.ndarray:
        """Of being anomalous, (N,)."""
        with np.errstate(over="ignore"):  # of what is surely normal
            return 1 / (1 + np.exp(-(self.slope * margins.astype(np.float64) + self.intercept)))


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities (N,), which may be 0 or 1 for rounding."""
    within = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(within / (1 - within))


def _significant(number: float) -> float:
    """To six digits: the last ones differ from processor to processor."""
    return float(f"{number:.6g}")


def at_prevalence(probabilities: np.ndarray, fitted: float | None, there: float) -> np.ndarray:
    """What `probabilities` (N,) become where the share of anomalous images is not `fitted` but `there`.

    By Bayes' rule: what the classes look like stays, how frequent they are does not (Saerens, Latinne &
    Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities", Eq. 2.4).

    Raises:
        InputError: `fitted` is None: there are no probabilities.
    """
    if fitted is None:
        raise InputError(
            f"prevalence {there:g}: the detector knows normal images alone, and its scores are no probabilities"
        )
    probabilities = probabilities.astype(np.float64)  # in which a small share of a small one is more than 0
    anomalous = probabilities * there / fitted
    normal = (1 - probabilities) * (1 - there) / (1 - fitted)
    return anomalous / (anomalous + normal)
