"""What a detector's threshold is to do."""

import math
from dataclasses import dataclass

from leanet.core.errors import InputError


@dataclass(frozen=True)
class Criterion:
    """What a threshold is to do: `best-f1`, `recall R` (find at least R), `false-alarms A` (raise at most A)."""

    name: str
    rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Criterion":
        """From "best-f1", "recall 0.95" or "false-alarms 0.02".

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
        if not ((name == "recall" and 0 < level <= 1) or (name == "false-alarms" and 0 <= level < 1)):
            raise InputError(
                f"{text!r}, expected best-f1, recall R or false-alarms A, with R above 0 and at most 1, A at "
                "least 0 and below 1: recall 0.95"
            )
        return cls(name, level)

    def __str__(self) -> str:
        return self.name if self.rate is None else f"{self.name} {self.rate:g}"
