"""Choosing a threshold on out-of-fold scores: each image judged by a network that never saw it."""

import math

import numpy as np

from leanet.core.errors import InputError
from leanet.detector.conformal import promise
from leanet.detector.criterion import Criterion
from leanet.detector.threshold import Rate, Threshold
from leanet.evaluation.rates import LEVEL, best_threshold, between_networks, clopper_pearson, effective, widened

NETWORKS = 0.5  # deviation of a rate's log-odds from network to network, at least (benchmarks/packagings.py)


def line(criterion: Criterion, scores: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> float:
    """The score that meets `criterion`, mostly halfway between two; those above it are called anomalous.

    It errs no more than it has to: with recall R, of the thresholds with the fewest false alarms it is that of the
    highest recall; with false alarms A, of those with the highest recall that of the fewest false alarms.
    """
    if criterion.name == "conformal":
        groups = np.arange(len(scores)) if groups is None else groups
        return promise(scores[labels == 0], groups[labels == 0], criterion.rate).line
    if criterion.name == "best-f1":
        return best_threshold(labels, scores)[1]
    found, raised = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    if criterion.name == "recall":
        lowest = found[_most(len(found), 1 - criterion.rate)]  # missed are as many as may be
        below = raised[raised < lowest].max(initial=0)
        return float((below + scores[scores > below].min(initial=1)) / 2)
    highest = raised[::-1][_most(len(raised), criterion.rate)]
    above = found[found > highest].min(initial=1)
    return float((above + scores[scores < above].max(initial=0)) / 2)


def _most(count: int, share: float) -> int:
    """How many of so many images are no more than a share below 1 of them, whatever its last digits."""
    return min(count - 1, math.floor(count * share + 1e-9))


def choose(
    criterion: Criterion,
    scores: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    *,
    one_network: bool,
) -> Threshold:
    """The threshold that meets `criterion` on out-of-fold scores (N,), with labels (N,) of 0 and 1 and folds (N,).

    groups: (N,), images of one number show one thing, and count as less than so many. one_network: whether the
    threshold is for a network that is none of the folds': then intervals also know by how much one network differs
    from the next, as the folds show it, and by NETWORKS at least, since five show little.

    Rates are counted on all images, with intervals after Clopper & Pearson (1934). They were made for a threshold
    that is there before the images; simulations show those of a recall or false-alarm criterion to hold here, too,
    in 95 %, and those of the best F1 when each is one of 97.5 % (tests/detector/test_threshold.py). F1 and
    precision rise with recall and fall with false alarms: their intervals are between the corners of both rates'.

    Raises:
        InputError: the criterion is told by anomalous images, and there are none.
    """
    positives, negatives = int(labels.sum()), int((labels == 0).sum())
    if criterion.needs_anomalous and not positives:
        raise InputError(f"criterion {criterion}: there is no anomalous image to tell it by; expected conformal A")
    value = line(criterion, scores, labels, groups)
    called = scores > value
    found, raised = (int(called[labels == label].sum()) for label in (1, 0))
    halved = 1 - (1 - LEVEL) / 2
    level = halved if criterion.name == "best-f1" else LEVEL
    # Of normal and of anomalous images.
    networks = [
        _deviation(called[own], folds[own]) if one_network and own.any() else 0.0
        for own in (labels == 0, labels == 1)
    ]

    def interval(label: int, level: float) -> tuple[float, float]:
        own = labels == label
        hits, total = int(called[own].sum()), int(own.sum())
        of_images = clopper_pearson(hits, total, level, independent=effective(groups[own]))
        return widened(of_images, hits, total, networks[label], level)

    corners = interval(1, halved), interval(0, halved)
    held_out = [0, 0]
    for fold in np.unique(folds):
        own = folds == fold
        if labels[~own].all() or (criterion.needs_anomalous and not labels[~own].any()):
            continue
        limit = line(criterion, scores[~own], labels[~own], groups[~own])
        for label in (0, 1):
            held_out[label] += int((scores[own & (labels == label)] > limit).sum())

    def joint(figure) -> Rate | None:
        """Of a figure of true and false positives, at the counts and at the corners of their rates."""
        if not positives:
            return None
        (low, high), (few, many) = corners
        return Rate(
            figure(found, raised),
            figure(low * positives, many * negatives),
            figure(high * positives, few * negatives),
        )

    def precision(found: float, raised: float) -> float:
        return found / (found + raised) if found + raised else 0.0

    def f1(found: float, raised: float) -> float:
        return 2 * found / (found + raised + positives)

    return Threshold(
        criterion=str(criterion),
        value=value,
        recall=Rate(found / positives, *interval(1, level), networks[1]) if positives else None,
        false_alarms=Rate(raised / negatives, *interval(0, level), networks[0]),
        precision=joint(precision),
        f1=joint(f1),
        f1_held_out=f1(held_out[1], held_out[0]) if positives else None,
        positives=positives,
        negatives=negatives,
        promised=_promised(criterion, scores, labels, groups),
    )


def _promised(criterion: Criterion, scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> str | None:
    """What a conformal threshold promises, in words."""
    if criterion.name != "conformal":
        return None
    return str(promise(scores[labels == 0], groups[labels == 0], criterion.rate))


def _deviation(called: np.ndarray, folds: np.ndarray) -> float:
    """Of the log-odds of one more network's rate from those of the folds' together.

    called: (N,) bool, of images of one class.
    """
    hits, totals = np.array([(called[folds == fold].sum(), (folds == fold).sum()) for fold in np.unique(folds)]).T
    return max(NETWORKS, between_networks(hits, totals)) * math.sqrt(1 + 1 / len(totals))
