"""How sure a cross-validated figure is, where folds share most of their training images.

A plain t-test takes folds for independent and finds differences that are none. Nadeau & Bengio 2003
("Inference for the generalization error", Machine Learning 52, section 5) widen the variance of the mean of
n fold values from s²/n to s² (1/n + n_test/n_train); Bouckaert & Frank 2004 take it to repeated k-fold
cross-validation. n_test/n_train is 1/(k - 1), and more where training images are dropped.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Comparison:
    """A score less another's on the same folds: the mean difference, its 95 % interval, and a two-sided p.

    p is None where no two folds differ in their difference: there is no scatter to judge by.
    """

    effect: float
    low: float
    high: float
    p: float | None

    @property
    def numbers(self) -> dict[str, float | None]:
        """All of it by name, rounded."""
        return {name: None if value is None else round(value, 4) for name, value in vars(self).items()}

    def __str__(self) -> str:
        p = "" if self.p is None else f", p = {self.p:.2f}" if self.p >= 0.01 else ", p < 0.01"
        return f"{self.effect:+.3f} [{self.low:+.3f}, {self.high:+.3f}]{p}"


def compare(ours: Sequence[float], theirs: Sequence[float], folds_per_repeat: int, kept: float = 1) -> Comparison:
    """Compare two scores fold by fold, by the corrected resampled t-test; kept: as in `mean_interval`."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    effect, error = statistics.fmean(differences), _corrected_error(differences, folds_per_repeat, kept)
    low, high = _interval(effect, error, len(differences))
    p = None if error == 0 else 2 * stats.t.sf(abs(effect / error), len(differences) - 1)
    return Comparison(effect, low, high, p)


def compare_apart(ours: Sequence[float], theirs: Sequence[float], folds_per_repeat: tuple[int, int]) -> Comparison:
    """Compare the means of two scores over folds that have nothing to do with each other, by Welch's t-test.

    folds_per_repeat: of each. Both variances are corrected as above. What both have in common, such as images,
    makes the true error smaller, never larger: the interval is wider than need be.
    """
    both = zip((ours, theirs), folds_per_repeat, strict=True)
    errors = [_corrected_error(values, folds, kept=1) for values, folds in both]
    effect, error = statistics.fmean(ours) - statistics.fmean(theirs), math.hypot(*errors)
    if error == 0:
        return Comparison(effect, effect, effect, None)
    parts = [each**4 / (len(values) - 1) for each, values in zip(errors, (ours, theirs), strict=True)]
    freedom = error**4 / sum(parts)
    reach = stats.t.ppf(0.975, freedom) * error
    return Comparison(effect, effect - reach, effect + reach, 2 * stats.t.sf(abs(effect / error), freedom))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p values corrected for so many tests (Holm 1979), in their order; None stays, and counts as a test."""
    corrected: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, i in enumerate(sorted((i for i, p in enumerate(ps) if p is not None), key=lambda i: ps[i])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = least
    return corrected


def mean_interval(values: Sequence[float], folds_per_repeat: int, kept: float = 1) -> tuple[float, float]:
    """The 95 % interval of the mean of a score's fold values, by the same variance.

    kept: the share of the training images that were trained on.
    """
    return _interval(statistics.fmean(values), _corrected_error(values, folds_per_repeat, kept), len(values))


def _corrected_error(values: Sequence[float], folds_per_repeat: int, kept: float) -> float:
    """The corrected standard error of the mean."""
    return math.sqrt(statistics.variance(values) * (1 / len(values) + 1 / (kept * (folds_per_repeat - 1))))


def _interval(mean: float, error: float, count: int) -> tuple[float, float]:
    reach = stats.t.ppf(0.975, count - 1) * error
    return mean - reach, mean + reach
