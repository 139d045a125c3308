"""The settings of stages `train_leanet` and `sweep`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from leanet.core.settings import Count, Rule, Seed
from leanet.training.settings import Rate

Point = Annotated[int, Rule("an attention point from 1 to 5", lambda p: 1 <= p <= 5)]
Share = Annotated[float, Rule("a number above 0 and below 1", lambda x: 0 < x < 1)]


@dataclass(frozen=True)
class TrainLEANet:
    """ADN and CAAN, trained together (sections 3-2 to 3-5, 4-2)."""

    points: list[Point]
    epochs: Count
    batch_size: Count
    learning_rate: Rate
    learning_rate_vgg: Rate
    pretrained: bool  # ADNs begin with torchvision's weights from ImageNet
    map_scale: Annotated[
        float | Literal["own-maximum"],
        Rule("a colour difference above 0, or own-maximum", lambda s: isinstance(s, str) or s > 0),
    ]
    seed: Seed

    def learning_rate_of(self, row: str) -> float:
        """The learning rate of a row's family."""
        return self.learning_rate_vgg if row.startswith("vgg") else self.learning_rate


@dataclass(frozen=True)
class Sweep:
    """Fewer training positives, test folds as they are (section 4-4)."""

    rows: list[str]
    shares: list[Share]  # of the training positives that are kept
    point: Point
