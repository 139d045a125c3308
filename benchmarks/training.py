"""Training and forward passes: against the practitioner's loop, and against what the machine can do."""

import itertools
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import practitioner
from benchmarks.contender import duel
from benchmarks.line import Line
from leanet.attention.detect import Samples, train_cell
from leanet.attention.leanet import build
from leanet.attention.settings import TrainLEANet
from leanet.color import fancy_pca
from leanet.color.colorize import fit_unet
from leanet.color.settings import TrainUNet
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.training.job import Place
from leanet.training.ondevice import OnDevice

SIDE, COUNT, BATCH = 256, 96, 16
FORWARD = 32  # images of a forward pass


def machine() -> tuple[torch.device, torch.dtype]:
    """Device and number format that a run takes by itself."""
    device = devices.prepare("auto")
    return device, devices.number_format("auto", device)


def images(count: int) -> np.ndarray:
    """Noise, uint8 (count, SIDE, SIDE, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def our_train_leanet():
    """One epoch of ResNet18 with ResNet-based CAAN, a call, as stage train_leanet does it."""
    device, dtype = machine()
    maps = np.random.default_rng(1).uniform(0, 30, (COUNT, SIDE, SIDE)).astype(np.float16)
    data = Samples.on(device, images(COUNT), maps, np.arange(COUNT) % 2, 30, np.arange(COUNT))
    settings = TrainLEANet([4], 1, BATCH, 1e-3, 1e-3, pretrained=False, map_scale=30, seed=0)
    place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
    return lambda: train_cell("resnet18-resnet", 4, data, settings, place, recipe="fast", number=0, dtype=dtype)


def our_train_unet():
    """One epoch of the U-Net, a call, as stage train_unet does it."""
    device, dtype = machine()
    normals, basis = OnDevice(images(COUNT), np.arange(COUNT), device), fancy_pca.fit(images(8))
    settings = TrainUNet(
        1,
        1,
        batch_size=BATCH,
        learning_rate=1e-3,
        betas=[0.9, 0.999],
        dropout=0.5,
        width=64,
        out_of_sample=False,
        seed=0,
    )
    place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
    return lambda: fit_unet(normals, basis, 0.1, settings, place, recipe="fast", number=0, dtype=dtype)


def our_unet_forward():
    """Colour for FORWARD grey images, a call."""
    device, dtype = machine()
    network = UNet(side=SIDE, width=64, dropout=0).to(device, memory_format=torch.channels_last).eval()
    lightness = torch.rand(FORWARD, 1, SIDE, SIDE, device=device)

    def forward():
        with torch.inference_mode(), devices.autocast(device, dtype):
            network(lightness).sum().item()

    return forward


def best_kernel(flops: float):
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

    def run():
        with torch.inference_mode():
            seconds(best, round(flops / own))

    return run


def step_flops() -> float:
    """Floating-point operations of one training step, forward and backward, convolutions and products."""
    network = build("resnet18-resnet", side=SIDE, point=4)
    with FlopCounterMode(display=False) as counter:
        logits, external, _ = network(torch.rand(BATCH, 3, SIDE, SIDE), torch.rand(BATCH, 1, SIDE, SIDE))
        (logits.sum() + external.sum()).backward()
    return counter.get_total_flops()


def lines() -> list[Line]:
    """Images a second at 256×256, batch 16."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        practitioner.draw_folder(Path(folder), COUNT, SIDE)
        for name, ours, other, count, wanted in (
            (
                "train ResNet18 + CAAN",
                our_train_leanet,
                partial(practitioner.train_leanet, Path(folder), SIDE),
                COUNT,
                2.5,
            ),
            ("train U-Net", our_train_unet, partial(practitioner.train_unet, Path(folder), SIDE), COUNT, 2),
            ("U-Net forward", our_unet_forward, partial(practitioner.unet_forward, SIDE), FORWARD, 2),
        ):
            result = duel(ours, other)
            figures = (count / result.ours, "images/s", "practitioner's loop", count / result.other)
            table.append(Line(name, *figures, "times faster", result.ratio, f"≥ {wanted}"))
    flops = step_flops() * COUNT / BATCH
    result = duel(our_train_leanet, partial(best_kernel, flops))
    figures = (flops / result.ours / 1e9, "GFLOP/s", "best convolution or product", flops / result.other / 1e9)
    table.append(Line("train ResNet18 + CAAN", *figures, "share of it", result.ratio, "≥ 0.8"))
    return table
