"""Whether a detector is worse than another, by images that neither's networks had seen."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leanet.detector.folder import read_facts, read_known
from leanet.evaluation.comparison import compare
from leanet.evaluation.scores import Undefined, score_images

LEVEL = 0.05  # of calling one worse that is not
TOLERANCE = 0.02  # of the mean; five folds tell a large loss alone from chance, and a lucky one is no merit


@dataclass(frozen=True)
class Merit:
    """Average precision of the held-out images of each fold.

    images: a hash of the images, with their labels and folds: what differs in it can't be compared.
    average_precision: of each fold; None where it is undefined.
    """

    images: str
    average_precision: tuple[float | None, ...]

    @classmethod
    def of(cls, folder: Path) -> "Merit":
        """Of the detector in `folder`."""
        facts = read_facts(folder)
        known = read_known(folder, facts)
        table = pd.DataFrame({name: known[of] for name, of in (("label", "labels"), ("score", "margins"))})
        by_fold = [
            score_images(table[known["folds"] == fold])["average_precision"] for fold in np.unique(known["folds"])
        ]
        listed = sorted(zip(facts["images"], known["labels"].tolist(), known["folds"].tolist(), strict=True))
        return cls(
            hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
            tuple(None if isinstance(each, Undefined) else round(float(each), 6) for each in by_fold),
        )

    @classmethod
    def from_text(cls, text: str) -> "Merit":
        """From `text` as it was written."""
        read = json.loads(text)
        return cls(read["images"], tuple(read["average_precision"]))

    @property
    def text(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self))

    def against(self, other: "Merit", named: str) -> tuple[bool, str]:
        """Whether this one is no worse than the `other`, which is called `named`, and why, in words.

        Worse is what the paired test on the same folds (leanet.evaluation.comparison) calls so, or what loses more
        than TOLERANCE. What can't be compared is taken for worse.
        """
        if self.images != other.images:
            return False, f"{named} is of other images or folds, and can't be compared"
        if None in (*self.average_precision, *other.average_precision):
            return False, f"it can't be compared with {named}: a fold has no average precision"
        test = compare(self.average_precision, other.average_precision, len(self.average_precision))
        loses = test.effect < -TOLERANCE
        worse = loses or (test.effect < 0 and (test.p is None or test.p < LEVEL))
        how = "worse" if worse else "better" if test.effect > 0 else "no worse"
        return not worse, f"{how} than {named} in average precision on the same folds: {test}"
