"""Training and forward passes: against the practitioner's loop, and against what the machine can do.

On a CPU ours is as many trainings at once as there are cores, as stages do it; the practitioner's loop takes all
cores for one.
"""

import itertools
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import practitioner
from benchmarks.contender import duel
from benchmarks.line import Line
from benchmarks.tricks import SMALL_FIRST, without
from leanet.attention.detect import Samples, train_cell
from leanet.attention.leanet import build
from leanet.attention.settings import TrainLEANet
from leanet.color import fancy_pca
from leanet.color.colorize import fit_unet
from leanet.color.settings import TrainUNet
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.core.parallel import cores
from leanet.training.job import Place
from leanet.training.ondevice import OnDevice

BATCH, POINT = 16, 3
COUNTS = {64: 192, 128: 96, 256: 48}  # images of an epoch, by their side
ROWS = {"resnet18": "ResNet18", "resnet18-resnet": "ResNet18 + CAAN"}
FORWARD = 32  # images of a forward pass
TURNS = 3  # of tens of seconds


def machine() -> tuple[torch.device, torch.dtype]:
    """Device and number format that a run takes by itself."""
    device = devices.prepare("auto")
    return device, devices.number_format("auto", device)


def images(count: int, side: int) -> np.ndarray:
    """Noise, uint8 (count, side, side, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def copies() -> int:
    """Trainings at a time: one a core, on a GPU one."""
    return cores() if devices.select("auto").type == "cpu" else 1


def our_train_leanet(row: str, side: int, *, threads: int = 1) -> Callable[[], object]:
    """One epoch of a row at the whole side, a call, as stage train_leanet does it."""
    torch.set_num_threads(threads)
    count = COUNTS[side]
    maps = np.random.default_rng(1).uniform(0, 30, (count, side, side)).astype(np.float16)
    pixels, chosen = images(count, side), np.arange(count)
    settings = TrainLEANet([POINT], 1, BATCH, 1e-3, 1e-3, pretrained=False, map_scale=30, seed=0)

    def epoch() -> None:
        with without(SMALL_FIRST) as (device, dtype):
            data = Samples.on(device, pixels, maps, chosen % 2, 30, chosen)
            place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
            train_cell(row, POINT, data, settings, place, recipe="fast", fold=0, dtype=dtype)

    return epoch


def our_train_unet(side: int) -> Callable[[], object]:
    """One epoch of the U-Net of Table 9, a call, as stage train_unet does it."""
    torch.set_num_threads(1)
    pixels, basis = images(COUNTS[side], side), fancy_pca.fit(images(8, side))
    settings = TrainUNet(1, 1, BATCH, 1e-3, [0.9, 0.999], dropout=0.5, width=64, out_of_sample=False, seed=0)

    def epoch() -> None:
        with without() as (device, dtype):
            normals = OnDevice(pixels, np.arange(len(pixels)), device)
            place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
            fit_unet(normals, basis, 0.1, settings, place, recipe="fast", number=0, dtype=dtype)

    return epoch


def our_unet_forward(side: int) -> Callable[[], object]:
    """Colour for FORWARD grey images, a call."""
    device, dtype = machine()
    network = UNet(side=side, width=64, dropout=0).to(device, memory_format=torch.channels_last).eval()
    lightness = torch.rand(FORWARD, 1, side, side, device=device)

    def forward() -> None:
        with torch.inference_mode(), devices.autocast(device, dtype):
            network(lightness).sum().item()

    return forward


def best_kernel(flops: float) -> Callable[[], object]:
    """So many operations by the fastest 3×3 convolution or matrix product that this machine has."""
    device, dtype = machine()
    kernels = []  # function and its operations
    for channels, side in itertools.product((64, 128, 256, 512), (16, 32, 64)):
        x = torch.rand(BATCH, channels, side, side, device=device, dtype=dtype)
        x = x.to(memory_format=torch.channels_last)
        w = torch.rand(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        kernels.append((partial(F.conv2d, x, w, padding=1), 2 * BATCH * side**2 * 9 * channels**2))
    for size in (1024, 2048, 4096):
        a = torch.rand(size, size, device=device, dtype=dtype)
        kernels.append((partial(torch.mm, a, a), 2 * size**3))

    def seconds(kernel, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            out = kernel()
        out.flatten()[0].item()  # a GPU is done when its result is here
        return time.perf_counter() - started

    def speed(kernel, own: float) -> float:
        repeats = int(1e11 / own) + 1
        return own * repeats / min(seconds(kernel, repeats) for _ in range(4))

    with torch.inference_mode():
        best, own = max(kernels, key=lambda pair: speed(*pair))

    def run() -> None:
        with torch.inference_mode():
            seconds(best, round(flops / own))

    return run


def step_flops(row: str, side: int) -> float:
    """Floating-point operations of one training step, forward and backward, convolutions and products."""
    network = build(row, side=side, point=POINT)
    with FlopCounterMode(display=False) as counter:
        logits, external, _ = network(torch.rand(BATCH, 3, side, side), torch.rand(BATCH, 1, side, side))
        (logits.sum() + (0 if external is None else external.sum())).backward()
    return counter.get_total_flops()


def lines() -> list[Line]:
    """Images a second, and operations a second beside the fastest kernel's."""
    table = []
    for side, count in COUNTS.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            practitioner.draw_folder(root, count, side)
            trained = [
                (
                    f"train {name}",
                    partial(our_train_leanet, row, side),
                    partial(practitioner.train_leanet, root, side, row),
                )
                for row, name in ROWS.items()
            ]
            trained.append(
                ("train U-Net", partial(our_train_unet, side), partial(practitioner.train_unet, root, side))
            )
            for name, ours, other in trained:
                result = duel(ours, other, TURNS, copies())
                ratio = result.ratio * copies()  # so many epochs of ours in that time
                speeds = (copies() * count / result.ours, "images/s", "practitioner's loop", count / result.other)
                table.append(Line(f"{name}, {side}×{side}", *speeds, "times faster", ratio, "≥ 3"))
        flops = step_flops("resnet18-resnet", side) * count / BATCH
        result = duel(
            partial(our_train_leanet, "resnet18-resnet", side, threads=cores()), partial(best_kernel, flops), TURNS
        )
        figures = (flops / result.ours / 1e9, "GFLOP/s", "best convolution or product", flops / result.other / 1e9)
        table.append(
            Line(f"train ResNet18 + CAAN, {side}×{side}, all cores", *figures, "share of it", result.ratio, "")
        )
    result = duel(partial(our_unet_forward, 256), partial(practitioner.unet_forward, 256))
    speeds = (FORWARD / result.ours, "images/s", "practitioner's loop", FORWARD / result.other)
    table.append(Line("U-Net forward, 256×256", *speeds, "times faster", result.ratio, "≥ 2"))
    return table
