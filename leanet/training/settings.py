"""Settings that both trainings share."""

from typing import Annotated, Literal

from leanet.core.settings import Rule

Recipe = Literal["fast", "paper"]  # leanet.training.recipe
# Adam diverges far below the upper end.
Rate = Annotated[float, Rule("a number above 0 and at most 0.1", lambda x: 0 < x <= 0.1)]
