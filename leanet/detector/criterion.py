"""What a detector's threshold is to do."""

import math
from dataclasses import dataclass

from leanet.core.errors import InputError


@dataclass(frozen=True)
class Criterion:
    """What a threshold is to do: `best-f1`, `recall R` (find at least R), `false-alarms A` (raise at most A).

    `conformal A`: promise at most A, by normal images alone (leanet.detector.conformal).
    """

    name: str
    rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Criterion":
        """From "best-f1", "recall 0.95", "false-alarms 0.02" or "conformal 0.02".

        Raises:
            InputError: it is none of them, or the rate is not one that can be asked for.
        """
        name, *rate = text.split() or [""]
        if (name, rate) == ("best-f1", []):
            return cls(name)
        try:
            (level,) = map(float, rate)
        except ValueError:
            level = math.nan
        known = {"recall": 0 < level <= 1, "false-alarms": 0 <= level < 1, "conformal": 0 < level < 1}
        if not known.get(name):
            raise InputError(
                f"{text!r}, expected best-f1, recall R, false-alarms A or conformal A, with R above 0 and at most "
                "1, A below 1, and at least 0 or, of conformal, above it: recall 0.95"
            )
        return cls(name, level)

    @property
    def needs_anomalous(self) -> bool:
        """Whether it is told by anomalous images."""
        return self.name != "conformal"

    def __str__(self) -> str:
        return self.name if self.rate is None else f"{self.name} {self.rate:g}"


def default(*, anomalous: bool) -> str:
    """Where none is asked for. anomalous: whether there are anomalous images to tell it by."""
    return "best-f1" if anomalous else "conformal 0.02"
