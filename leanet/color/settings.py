"""The settings of stages `augment` and `train_unet`."""

from dataclasses import dataclass
from typing import Annotated

from leanet.core.settings import Count, Rule, Seed
from leanet.training.settings import Rate

AtLeast0 = Annotated[float, Rule("a number of at least 0", lambda x: x >= 0)]
Below1 = Annotated[float, Rule("a number from 0 to below 1", lambda x: 0 <= x < 1)]


@dataclass(frozen=True)
class Augment:
    """Fancy PCA (section 3-1)."""

    std: AtLeast0  # of the draws


@dataclass(frozen=True)
class TrainUNet:
    """The colouriser's training (sections 3-1, 4-2)."""

    epochs: Count
    patience: Count  # epochs without a lower training loss before it stops
    batch_size: Count
    learning_rate: Rate
    betas: Annotated[list[Below1], Rule("two numbers, Adam's beta 1 and beta 2", lambda betas: len(betas) == 2)]
    dropout: Below1
    width: Annotated[
        int, Rule("a whole number from 4 to 256", lambda n: 4 <= n <= 256)
    ]  # filters at the outermost
    out_of_sample: (
        bool  # whether training images get maps of a colouriser that has not seen them, as test images do
    )
    seed: Seed
