"""How well a detector finds what people call anomalous, from the part of their labels that chance chose.

Images that were shown because they are uncertain or unlike are no sample of what comes: among them a detector errs
more often. So what counts is the beginning of an order that nobody chose (leanet.review.order.shuffled), as far as
all of it is labelled, and only what was said of an image while the detector had not learnt from it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from leanet.detector.threshold import Rate
from leanet.evaluation.rates import clopper_pearson
from leanet.review.log import CLASSES, Said, agreed, standing
from leanet.review.order import place

MOST_POINTS = 60  # of a curve
MORE = 20  # labels that are looked ahead to


@dataclass(frozen=True)
class Point:
    """What is known after so many labels.

    labels: images that anybody said something of. detector: the one that was in use. positives, negatives: images
    of the random part. average_precision: None where a class is missing there.
    """

    labels: int
    detector: str
    positives: int
    negatives: int
    found: int
    alarms: int
    average_precision: float | None

    @property
    def recall(self) -> Rate | None:
        """Of the anomalous images of the random part, those called so; None where there is none."""
        return _rate(self.found, self.positives)

    @property
    def false_alarms(self) -> Rate | None:
        """Of its normal images, those called anomalous."""
        return _rate(self.alarms, self.negatives)

    @property
    def ahead(self) -> str:
        """What MORE labels at random would be likely to bring."""
        share = (self.positives + 1) / (self.positives + self.negatives + 2)
        brought = MORE * share
        told = [
            f"{name} would be known to ± {_half(hits, total, more):.2f}, now ± {_half(hits, total):.2f}"
            for name, hits, total, more in (
                ("recall", self.found, self.positives, brought),
                ("false alarms", self.alarms, self.negatives, MORE - brought),
            )
        ]
        return f"Another {MORE} images at random: about {brought:.0f} anomalous ones; {'; '.join(told)}."


def points(said: Sequence[Said], images: Collection[str]) -> list[Point]:
    """The estimate after each label, or after each few of many; images: SHA-256 of all that there are."""
    order = sorted({*images, *(each.image for each in said)}, key=place)
    ends = np.unique(np.linspace(1, len(said), min(MOST_POINTS, len(said))).astype(int)) if said else []
    return [_point(said[:end], order) for end in ends]


def _point(said: Sequence[Said], order: Sequence[str]) -> Point:
    stands, detector = standing(said), said[-1].detector
    part = random_part(stands, order, detector)
    labels = np.array([CLASSES.index(each.label) for each in part], int)
    called = np.array([each.called for each in part], bool)
    scores = np.array([each.score for each in part])
    return Point(
        labels=len(stands),
        detector=detector,
        positives=int(labels.sum()),
        negatives=int((labels == 0).sum()),
        found=int(called[labels == 1].sum()),
        alarms=int(called[labels == 0].sum()),
        average_precision=average_precision(labels, scores) if 0 < labels.sum() < len(labels) else None,
    )


def random_part(stands: dict[str, dict[str, Said]], order: Sequence[str], detector: str) -> list[Said]:
    """The words on the images at the beginning of `order`, up to the first that nobody said anything of.

    What is unsure, of another kind, or disputed says nothing of a detector; what was said of another detector's
    verdict says nothing of this one.
    """
    part = []
    for image in order:
        if image not in stands:
            break
        word = agreed(stands[image])
        if word and word.label in CLASSES and word.detector == detector:
            part.append(word)
    return part


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """As scikit-learn's, which who only judges images does without; both classes are there."""
    values, at = np.unique(-scores, return_inverse=True)
    hits = np.cumsum(np.bincount(at, labels, len(values)))
    called = np.cumsum(np.bincount(at, minlength=len(values)))
    return float((np.diff(hits, prepend=0) * hits / called).sum() / hits[-1])


def _rate(hits: int, total: int) -> Rate | None:
    return Rate(hits / total, *clopper_pearson(hits, total)) if total else None


def _half(hits: int, total: int, more: float = 0) -> float:
    """Half the width of a rate's interval, if `more` images came and were alike."""
    share = (hits + 0.5) / (total + 1)
    low, high = clopper_pearson(hits + more * share, total + more) if total + more else (0.0, 1.0)
    return (high - low) / 2
