"""The slowest convolutions of a training step, one thread, each beside the fastest kernel of this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.line import Line
from benchmarks.training import BATCH, POINT, best_kernel, machine
from leanet.attention.leanet import build
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.training.products import with_products

SLOWEST = 10
NETWORKS = {  # each with the channels of what it is given
    "ResNet18 + CAAN": (lambda side: build("resnet18-resnet", side=side, point=POINT), (3, 1)),
    "U-Net": (lambda side: UNet(side=side, width=32, dropout=0), (1,)),
}
SIDES = (64, 128)
KERNEL = 2e10  # operations that the fastest kernel is timed for


@dataclass(frozen=True)
class Layer:
    """A convolution in a network, and how long its part of a training step takes."""

    name: str
    seconds: float
    flops: float


def layers(network: nn.Module, given: list[Tensor], dtype: torch.dtype) -> list[Layer]:
    """Each convolution of `network`, forward and both gradients, alone."""
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    convolutions = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }
    for name, module in convolutions.items():
        module.register_forward_hook(
            lambda _module, inputs, out, name=name: shapes.update({name: (inputs[0].shape, out.shape)})
        )
    network(*given)
    network.to(memory_format=torch.channels_last)
    with_products(network)
    return [timed(name, convolutions[name], *shapes[name], dtype) for name in shapes]


def timed(name: str, layer: nn.Module, into: torch.Size, out: torch.Size, dtype: torch.dtype) -> Layer:
    """The layer on numbers of its own, as training computes it: the best of several steps."""
    first = into[1] < 4  # images and maps: nobody asks for their gradient
    x = torch.rand(into).to(dtype, memory_format=torch.channels_last).requires_grad_(not first)
    gradient = torch.rand(out).to(dtype, memory_format=torch.channels_last)
    asked = [*layer.parameters()] if first else [x, *layer.parameters()]

    def step() -> None:
        with devices.autocast(x.device, dtype):
            given = layer(x)
        torch.autograd.grad(given, asked, gradient)

    places = into if isinstance(layer, nn.ConvTranspose2d) else out  # where a kernel is laid
    products = layer.weight.numel() * places[0] * places[2] * places[3]
    square = "×".join(map(str, layer.kernel_size))
    said = f"{name}, {square}, {into[1]} → {out[1]}, {into[2]} → {out[2]} pixels"
    return Layer(said, best(step), 2 * products * (2 if first else 3))


def best(step: Callable[[], object], count: int = 6) -> float:
    """Seconds of the quickest of several steps, after one that does not count."""
    seconds = []
    for _ in range(count + 1):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def lines() -> list[Line]:
    """GFLOP/s of the slowest, and their share of the fastest kernel's."""
    torch.set_num_threads(1)
    _, dtype = machine()
    kernel = best_kernel(KERNEL)
    fastest = KERNEL / best(kernel) / 1e9
    table = []
    for side in SIDES:
        for network, (make, channels) in NETWORKS.items():
            given = [torch.rand(BATCH, c, side, side) for c in channels]
            every = layers(make(side), given, dtype)
            total = sum(layer.seconds for layer in every)
            for layer in sorted(every, key=lambda layer: -layer.seconds)[:SLOWEST]:
                speed = layer.flops / layer.seconds / 1e9
                name = f"{network}, {side}×{side}: {layer.name}; {layer.seconds / total:.0%} of all"
                table.append(
                    Line(name, speed, "GFLOP/s", "fastest kernel", fastest, "share of it", speed / fastest, "")
                )
    return table
