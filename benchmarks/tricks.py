"""What each trick of the training loop brings: the loop as it is beside the loop without that one."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.contender import duel
from benchmarks.line import Line
from leanet.attention.detect import Samples, train_cell
from leanet.attention.settings import TrainLEANet
from leanet.color import fancy_pca
from leanet.color import lab as color
from leanet.color.colorize import fit_unet
from leanet.color.settings import TrainUNet
from leanet.core import device as devices
from leanet.training.job import Place
from leanet.training.ondevice import OnDevice
from leanet.training.settings import Recipe

SIDE, COUNT, BATCH = 128, 64, 16
SMALL_FIRST = "small images first"
PRODUCTS = "products for few pixels"
RECORDED = "recorded steps"  # on a GPU alone
TRICKS = (
    "bf16", "channels-last", "fused Adam", "memory kept", "memory left unfilled", SMALL_FIRST, PRODUCTS, RECORDED
)  # fmt: skip


@contextmanager
def without(*tricks: str) -> Iterator[tuple[torch.device, torch.dtype]]:
    """Device and number format of a run, with these of the TRICKS turned off in all that follows."""
    with ExitStack() as changes:
        if "memory kept" in tricks:
            changes.enter_context(patch("leanet.core.device._keep_memory", lambda: None))
        if "channels-last" in tricks:
            changes.enter_context(patch.object(torch, "channels_last", torch.contiguous_format))
            for module in ("attention.detect", "color.colorize"):
                rows_first = patch(f"leanet.{module}.from_bytes", _contiguous)
                changes.enter_context(rows_first)
        if "fused Adam" in tricks:
            adam = torch.optim.Adam
            unfused = patch.object(torch.optim, "Adam", lambda *a, fused, **settings: adam(*a, **settings))
            changes.enter_context(unfused)
        if SMALL_FIRST in tricks:
            changes.enter_context(patch("leanet.training.recipe.SMALL_FIRST", 0))
        if PRODUCTS in tricks:
            changes.enter_context(patch("leanet.training.loop.with_products", lambda network: None))
        if RECORDED in tricks:
            changes.enter_context(patch("leanet.training.steps.AS_IT_IS", math.inf))
        device = devices.prepare("auto")
        torch.utils.deterministic.fill_uninitialized_memory = "memory left unfilled" in tricks
        yield device, devices.number_format("float32" if "bf16" in tricks else "auto", device)


def _contiguous(images: torch.Tensor) -> torch.Tensor:
    return color.from_bytes(images).contiguous()


def training(
    network: str, *off: str, side: int = SIDE, count: int = COUNT, epochs: int = 2, recipe: Recipe = "fast"
) -> Callable[[], object]:
    """A network's training on so many images, a call, without the tricks `off`; network: a row, or "U-Net"."""
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    maps, chosen = images[..., 0].astype(np.float16) / 8, np.arange(count)

    def run() -> None:
        with without(*off) as (device, dtype):
            place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
            how = {"recipe": recipe, "dtype": dtype}
            if network == "U-Net":
                settings = TrainUNet(
                    epochs, epochs, BATCH, 1e-3, [0.9, 0.999], dropout=0.5, width=64, out_of_sample=False, seed=0
                )
                normals, basis = OnDevice(images, chosen, device), fancy_pca.fit(images[:8])
                fit_unet(normals, basis, 0.1, settings, place, number=0, **how)
            else:
                settings = TrainLEANet([3], epochs, BATCH, 1e-3, 1e-3, pretrained=False, map_scale=30, seed=0)
                data = Samples.on(device, images, maps, chosen % 2, 30, chosen)
                train_cell(network, 3, data, settings, place, fold=0, **how)

    return run


def lines() -> list[Line]:
    """Images a second at 128×128, batch 16, with all tricks and with all but one."""
    table = []
    for network in ("U-Net", "resnet18-resnet"):
        for off in (*((trick,) for trick in TRICKS), TRICKS):
            result = duel(partial(training, network), partial(training, network, *off))
            name = f"{network}: " + (off[0] if len(off) == 1 else "all of them")
            speeds = (2 * COUNT / result.ours, "images/s", "without", 2 * COUNT / result.other)
            table.append(Line(name, *speeds, "times faster", result.ratio, ""))
    return table
