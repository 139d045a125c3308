"""Two recipes of training: `paper`, that of section 4-2, and `fast`, one of our own.

The paper trains at one learning rate on the images as they are. `fast` lets the learning rate climb to its
peak and fall to nothing once over the run (Smith & Topin 2019, "Super-convergence"), shows the classifier
every image flipped, turned by quarters and brightened at random, its map along with it, at half the side in the
first half of the epochs (a quarter of the work: Howard's progressive resizing), lets the rarer class count as much
as the other, and scores an image by the mean over its eight flips and turns. There the external
network's own output counts as well: Eq. 1 trains it to tell anomalous maps from normal ones, and the paper leaves
it unused.
What each part brings is in benchmarks/README.md.
"""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from leanet.training.settings import Recipe

BRIGHTNESS = 0.2  # images are multiplied by 1 ± this
SMALL_FIRST = 0.5  # the share of epochs on images of half the side
SMALLEST = 64  # pixels, of such an image's side: at 32 small anomalies are lost (docs/attention.md)
EXTERNAL_SAY = 0.5  # of the external network's logits, where the ADN's count 1


def schedule(recipe: Recipe, optimizer: Optimizer, learning_rate: float, steps: int) -> LRScheduler:
    """The learning rate over a training of so many steps; `fast` has `learning_rate` as its peak."""
    if recipe == "paper":
        return ConstantLR(optimizer, factor=1)
    return OneCycleLR(optimizer, learning_rate, total_steps=steps, cycle_momentum=False)


def class_weights(recipe: Recipe, labels: Tensor) -> Tensor | None:
    """What a normal and an anomalous image count in the loss (2,), 1 on average; None where all count alike."""
    if recipe == "paper":
        return None
    return len(labels) / (2 * torch.bincount(labels, minlength=2))


def turned(images: Tensor, across: Tensor, down: Tensor, diagonally: Tensor) -> Tensor:
    """Each of `images` (N, C, side, side) mirrored where these say so; three mirrors make all eight turns.

    across, down, diagonally: bool, (N, 1, 1, 1) or (1, 1, 1, 1).
    """
    images = torch.where(across, images.flip(3), images)
    images = torch.where(down, images.flip(2), images)
    return torch.where(diagonally, images.transpose(2, 3), images)


def augment(images: Tensor, maps: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (N, 3, side, side) in [0, 1] and their maps (N, 1, side, side), drawn anew.

    Draws come from the CPU's `generator`, so that every device sees the same.
    """
    chances = torch.rand(4, len(images), 1, 1, 1, generator=generator).to(images.device)
    both = turned(torch.cat((images, maps), dim=1), *(chances[:3] < 0.5))
    brightness = 1 + BRIGHTNESS * (2 * chances[3] - 1)
    return (both[:, :3] * brightness).clamp(0, 1), both[:, 3:]


def is_small(recipe: Recipe, side: int, done: float) -> bool:
    """Whether images of `side` pixels are halved (`halved`) when the share `done` of the epochs is."""
    return recipe == "fast" and done < SMALL_FIRST and side // 2 >= SMALLEST


def halved(images: Tensor) -> Tensor:
    """Images or maps (N, C, side, side) at half the side: means of 2×2 pixels."""
    return F.avg_pool2d(images, 2)


def vote(recipe: Recipe, logits: Tensor, external_logits: Tensor | None) -> Tensor:
    """The logits that an image is scored by, from those of the ADN and of the external network, each (N, 2)."""
    if recipe == "paper" or external_logits is None:
        return logits.float()
    return logits.float() + EXTERNAL_SAY * external_logits.float()


def views(images: Tensor, maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The eight flips and turns of images and their maps, as they are first."""
    both = torch.cat((images, maps), dim=1)
    for mirrors in product((False, True), repeat=3):
        view = turned(both, *(torch.tensor(mirror, device=both.device) for mirror in mirrors))
        yield view[:, :3], view[:, 3:]
