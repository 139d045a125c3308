"""Where to draw the line between normal and anomalous, and how often it errs there.

All estimates are from out-of-fold scores: each image judged by a network that never saw it.
"""

import math
from dataclasses import asdict, dataclass

WIDE = 0.3  # an interval of a rate wider than this says little


@dataclass(frozen=True)
class Rate:
    """A share of images and its 95 % interval.

    networks: deviation of one more network's log-odds from these, as far as the interval knows of it.
    """

    estimate: float
    low: float
    high: float
    networks: float = 0.0

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
    the other folds; that of `f1` knows the images it is measured on, and is the better for it. promised: what
    holds of new images (leanet.detector.conformal); None by another criterion. Without anomalous images, all but
    the false alarms is None.
    """

    criterion: str
    value: float
    recall: Rate | None
    false_alarms: Rate
    precision: Rate | None
    f1: Rate | None
    f1_held_out: float | None
    positives: int
    negatives: int
    promised: str | None = None

    @classmethod
    def from_facts(cls, facts: dict) -> "Threshold":
        """From `facts` as they were written."""
        return cls(**{name: Rate(**value) if isinstance(value, dict) else value for name, value in facts.items()})

    @property
    def facts(self) -> dict:
        """All of it, of JSON's types."""
        return asdict(self)

    @property
    def summary(self) -> str:
        """In one line, for the terminal."""
        at = f"threshold {self.value:.4f} ({self.criterion})"
        if self.recall is None:
            return f"{at}: false alarms {self.false_alarms}, recall unknown"
        return f"{at}: recall {self.recall}, false alarms {self.false_alarms}, F1 {self.f1}"

    @property
    def doubts(self) -> list[str]:
        """What these images are too few to tell, a sentence each."""
        told = [self.promised] if self.promised else []
        if self.recall is None:
            told.append("how many anomalies it finds cannot be known: there was no anomalous image to try it on")
        for what, rate, count, kind in (
            ("recall", self.recall, self.positives, "anomalous"),
            ("false alarms", self.false_alarms, self.negatives, "normal"),
        ):
            if rate is None or not rate.is_wide:
                continue
            from leanet.evaluation.rates import clopper_pearson  # loads scipy, for a sentence that few need

            between = f"it may be anything from {rate.low:.2f} to {rate.high:.2f}"
            if Rate(rate.estimate, *clopper_pearson(round(rate.estimate * count), count)).is_wide:
                beside = " if all networks were alike" if rate.networks else ""
                enough = f"{_enough(rate, count)} would tell it to ± 0.05{beside}"
                told.append(f"{count} {kind} images are too few to tell the {what}: {between}; {enough}")
            else:
                told.append(f"one network differs too much from the next to tell the {what}: {between}")
        return told


def _enough(rate: Rate, count: int, half_width: float = 0.05) -> int:
    """How many images would tell a rate, of which `count` gave an idea, to ± `half_width`; in hundreds."""
    share = (rate.estimate * count + 1) / (count + 2)  # a few of a few are no proof of all of all
    return 100 * math.ceil((1.96 / half_width) ** 2 * share * (1 - share) / 100)
