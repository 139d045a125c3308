"""Where to draw the line between normal and anomalous, and how often it errs there.

All estimates are from out-of-fold scores: each image judged by a network that never saw it.
"""

import math
from dataclasses import dataclass

import numpy as np

from leanet.detector.criterion import Criterion
from leanet.evaluation.counts import LEVEL, clopper_pearson
from leanet.evaluation.scores import best_threshold

WIDE = 0.3  # an interval of a rate wider than this says little


@dataclass(frozen=True)
class Rate:
    """A share of images and its 95 % interval."""

    estimate: float
    low: float
    high: float

    @property
    def is_wide(self) -> bool:
        return self.high - self.low > WIDE

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Threshold:
    """A threshold, and what it did on the images that it was chosen on.

    recall: of the anomalous images, those called so. false_alarms: of the normal ones. f1, precision: where
    anomalies are as frequent as among these images. f1_held_out: F1 with the threshold of each fold chosen on
    the other folds; that of `f1` knows the images it is measured on, and is the better for it.
    """

    criterion: str
    value: float
    recall: Rate
    false_alarms: Rate
    precision: Rate
    f1: Rate
    f1_held_out: float
    positives: int
    negatives: int

    @property
    def summary(self) -> str:
        """In one line, for the terminal."""
        return (
            f"threshold {self.value:.4f} ({self.criterion}): recall {self.recall}, "
            f"false alarms {self.false_alarms}, F1 {self.f1}"
        )

    @property
    def doubts(self) -> list[str]:
        """What these images are too few to tell, a sentence each."""
        told = []
        for what, rate, count, kind in (
            ("recall", self.recall, self.positives, "anomalous"),
            ("false alarms", self.false_alarms, self.negatives, "normal"),
        ):
            if rate.is_wide:
                told.append(
                    f"{count} {kind} images are too few to tell the {what}: it may be anything from "
                    f"{rate.low:.2f} to {rate.high:.2f}; {_enough(rate, count)} would tell it to ± 0.05"
                )
        return told


def line(criterion: Criterion, scores: np.ndarray, labels: np.ndarray) -> float:
    """The score that meets `criterion`, halfway between two; those above it are called anomalous.

    It errs no more than it has to: with recall R, of the thresholds with the fewest false alarms it is that of the
    highest recall; with false alarms A, of those with the highest recall that of the fewest false alarms.
    """
    if criterion.name == "best-f1":
        return best_threshold(labels, scores)[1]
    found, raised = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    if criterion.name == "recall":
        lowest = found[math.floor(len(found) * (1 - criterion.rate) + 1e-9)]  # missed are as many as may be
        below = raised[raised < lowest].max(initial=0)
        return float((below + scores[scores > below].min(initial=1)) / 2)
    highest = raised[::-1][math.floor(len(raised) * criterion.rate + 1e-9)]
    above = found[found > highest].min(initial=1)
    return float((above + scores[scores < above].max(initial=0)) / 2)


def choose(criterion: Criterion, scores: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> Threshold:
    """The threshold that meets `criterion` on out-of-fold scores (N,), with labels (N,) of 0 and 1 and folds (N,).

    Rates are counted on all images, with intervals after Clopper & Pearson (1934). They were made for a threshold
    that is there before the images; simulations show those of a recall or false-alarm criterion to hold here, too,
    in 95 %, and those of the best F1 when each is one of 97.5 % (tests/detector/test_threshold.py). F1 and
    precision rise with recall and fall with false alarms: their intervals are between the corners of both rates'.
    """
    value = line(criterion, scores, labels)
    positives, negatives = int(labels.sum()), int((labels == 0).sum())
    found, raised = (int((scores[labels == label] > value).sum()) for label in (1, 0))
    halved = 1 - (1 - LEVEL) / 2
    level = halved if criterion.name == "best-f1" else LEVEL
    corners = clopper_pearson(found, positives, halved), clopper_pearson(raised, negatives, halved)
    held_out = [0, 0]
    for fold in np.unique(folds):
        own = folds == fold
        if not labels[~own].any() or labels[~own].all():
            continue
        limit = line(criterion, scores[~own], labels[~own])
        for label in (0, 1):
            held_out[label] += int((scores[own & (labels == label)] > limit).sum())

    def joint(figure) -> Rate:
        """Of a figure of true and false positives, at the counts and at the corners of their rates."""
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
        recall=Rate(found / positives, *clopper_pearson(found, positives, level)),
        false_alarms=Rate(raised / negatives, *clopper_pearson(raised, negatives, level)),
        precision=joint(precision),
        f1=joint(f1),
        f1_held_out=f1(held_out[1], held_out[0]),
        positives=positives,
        negatives=negatives,
    )


def _enough(rate: Rate, count: int, half_width: float = 0.05) -> int:
    """How many images would tell a rate, of which `count` gave an idea, to ± `half_width`; in hundreds."""
    share = (rate.estimate * count + 1) / (count + 2)  # a few of a few are no proof of all of all
    return 100 * math.ceil((1.96 / half_width) ** 2 * share * (1 - share) / 100)
