"""What a threshold does and how sure that is, without pandas and scikit-learn: a detector in use needs it, too."""

import numpy as np
from scipy.special import betaincinv, expit, logit, ndtri

LEVEL = 0.95


def clopper_pearson(
    hits: int, total: int, level: float = LEVEL, independent: float | None = None
) -> tuple[float, float]:
    """The interval of a share of which `hits` of `total` were seen (Clopper & Pearson 1934).

    independent: how many independent images the total is worth; None for all of them.
    """
    if not total:
        return 0.0, 1.0
    worth = total if independent is None else independent
    seen, rest, tail = hits * worth / total, (total - hits) * worth / total, (1 - level) / 2
    low = float(betaincinv(seen, rest + 1, tail)) if hits else 0.0
    high = float(betaincinv(seen + 1, rest, 1 - tail)) if hits < total else 1.0
    return low, high


def between_networks(hits: np.ndarray, totals: np.ndarray) -> float:
    """By how much the log-odds of a share differ from network to network: their deviation, 0 or more.

    hits, totals: (K,), of each network on images of its own. What counts of so few images scatter by is taken off
    (DerSimonian & Laird 1986, "Meta-analysis in clinical trials"). One network tells nothing of it: 0.
    """
    if len(hits) < 2:
        return 0.0
    shares = logit((hits + 0.5) / (totals + 1))
    pooled = (hits.sum() + 0.5) / (totals.sum() + 1)
    weights = totals * pooled * (1 - pooled)
    scatter = (weights * (shares - np.average(shares, weights=weights)) ** 2).sum()
    excess = (scatter - (len(shares) - 1)) / (weights.sum() - (weights**2).sum() / weights.sum())
    return float(np.sqrt(max(0.0, excess)))


def widened(
    interval: tuple[float, float], hits: int, total: int, deviation: float, level: float = LEVEL
) -> tuple[float, float]:
    """An interval of a share for one more network, whose log-odds deviate by this from those of the share."""
    middle, reach = logit((hits + 0.5) / (total + 1)), deviation * ndtri((1 + level) / 2)
    low, high = (np.hypot(middle - logit(end), reach) for end in interval)  # an end at 0 or 1 stays
    return float(expit(middle - low)), float(expit(middle + high))


def effective(groups: np.ndarray) -> float:
    """How many independent images so many are worth (Kish 1965), if images of a group always agree.

    groups: (N,), the group of each image.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The highest F1 that a threshold reaches, and that threshold: halfway to the next lower score.

    Of several it is the lowest.
    """
    order = np.argsort(scores)
    values, first = np.unique(scores[order], return_index=True)  # called is each from `first` on
    found = labels.sum() - np.concatenate([[0], np.cumsum(labels[order])])[first]
    f1 = 2 * found / (len(scores) - first + labels.sum())
    at = int(f1.argmax())
    return float(f1[at]), float((values[at - 1] + values[at]) / 2 if at else values[0] / 2)
