"""A line of the table: our figure, what stands beside it, and what was wanted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """name: what was measured. ours, other: figures in `unit`, medians. beside: what the other one is.

    figure: what is judged, in words `judged`: it should be at least, or at most, `wanted`.
    """

    name: str
    ours: float
    unit: str
    beside: str
    other: float
    judged: str
    figure: float
    wanted: str  # "≥ 2.5", "≤ 1.5", or "" where nothing was

    @property
    def holds(self) -> bool | None:
        """Whether it is as wanted; None where nothing was."""
        if not self.wanted:
            return None
        sign, limit = self.wanted.split()
        return self.figure >= float(limit) if sign == "≥" else self.figure <= float(limit)
