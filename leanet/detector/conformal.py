"""A line above which few normal images lie, from normal images alone, with a promise of how few.

Where new images are like these, the share of them above the j-th largest of n scores is no more than
Beta(j, n + 1 - j) distributed, whatever the scores' distribution (Vovk 2012, "Conditional validity of inductive
conformal predictors", Proposition 2a; Wilks 1941). So the line can be drawn such that the share is kept not on
average, but in 95 of 100 such detectors. It needs no anomalous image, and nothing of it is chosen by one.
"""

import math
from dataclasses import dataclass

import numpy as np

SURE = 0.95  # of so many detectors the promise holds


@dataclass(frozen=True)
class Promise:
    """At most `share` of normal images lie above `line`, in SURE of all draws of `images` normal images.

    asked: the share that was asked for; below `share` where the images are too few for it. needed: how many it
    takes.
    """

    line: float
    asked: float
    share: float
    images: int
    needed: int

    @property
    def is_kept(self) -> bool:
        return self.share <= self.asked

    def __str__(self) -> str:
        of_images = f"on images like these, {SURE:.0%} sure, from {self.images} normal images"
        said = f"false alarms at most {self.share:.1%} {of_images}"
        return said if self.is_kept else f"{said}; for {self.asked:.1%} it takes {self.needed}"


def promise(scores: np.ndarray, groups: np.ndarray, share: float) -> Promise:
    """The lowest line that keeps false alarms to `share`, or the highest there is where the images are too few.

    scores: (N,) of normal images, each by networks that never saw it. groups: (N,): images of one number show one
    thing, and count once, by the highest of their scores. share: above 0 and below 1.
    """
    from scipy.stats import binom

    things, thing_of = np.unique(groups, return_inverse=True)
    highest = np.full(len(things), -np.inf)
    np.maximum.at(highest, thing_of, scores)
    highest, count = np.sort(highest)[::-1], len(things)
    # That at most `share` lies above the j-th largest is as likely as j or more of `count` above that share.
    places = np.arange(1, count + 1)
    kept = places[binom.sf(places - 1, count, share) >= SURE]
    needed = math.ceil(math.log(1 - SURE) / math.log(1 - share) - 1e-9)
    if len(kept):
        return Promise(float(highest[kept[-1] - 1]), share, share, count, needed)
    return Promise(float(highest[0]), share, 1 - (1 - SURE) ** (1 / count), count, needed)
