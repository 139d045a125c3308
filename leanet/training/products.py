"""Convolutions over few pixels as products of matrices: the same sums, in a half to a fifth of the time.

A network's deepest layers have the most weights and the fewest pixels. There the CPU's convolutions in bfloat16 do
a fifth of what its products of matrices do (`python -m benchmarks layers`); the gradient of the weights is the
slowest part. In float32, over more pixels and on a GPU convolutions are the faster way, and stay.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_OUT = 4  # pixels along the side of what a convolution gives
MOST_INTO = 16  # of what a transposed convolution is given


def with_products(network: nn.Module) -> None:
    """Let those layers of `network`, in place, compute their sums as products. Their weights stay as they are."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1):
            module.__class__ = _Convolution
        elif type(module) is nn.ConvTranspose2d and module.groups == 1 and _covers(module):
            module.__class__ = _Transposed


def _covers(layer: nn.ConvTranspose2d) -> bool:
    """Whether each pixel of what it gives comes from one pixel of what it is given."""
    return layer.kernel_size == layer.stride and not any((*layer.padding, *layer.output_padding))


def _in_bf16(device: torch.device) -> bool:
    return device.type == "cpu" and torch.is_autocast_enabled("cpu")


class _Convolution(nn.Conv2d):
    """Convolution of (N, C, h, w)."""

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _in_bf16(images.device) or isinstance(self.padding, str) or self.padding_mode != "zeros":
            return super()._conv_forward(images, weight, bias)
        (kernel_down, kernel_across), (down, across) = self.kernel_size, self.stride
        height = (images.shape[2] + 2 * self.padding[0] - kernel_down) // down + 1
        width = (images.shape[3] + 2 * self.padding[1] - kernel_across) // across + 1
        if max(height, width) > MOST_OUT:
            return super()._conv_forward(images, weight, bias)
        pixels = images.to(torch.bfloat16).permute(0, 2, 3, 1)
        pixels = F.pad(pixels, (0, 0, self.padding[1], self.padding[1], self.padding[0], self.padding[0]))
        seen = [  # by each weight of the kernel
            pixels[:, i : i + down * height : down, j : j + across * width : across]
            for i in range(kernel_down)
            for j in range(kernel_across)
        ]
        sums = F.linear(torch.cat(seen, dim=3).flatten(0, 2), weight.permute(0, 2, 3, 1).flatten(1), bias)
        return sums.unflatten(0, (len(images), height, width)).permute(0, 3, 1, 2)


class _Transposed(nn.ConvTranspose2d):
    """Transposed convolution of (N, C, h, w), of a kernel as wide as its stride."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        count, _, height, width = images.shape
        if not _in_bf16(images.device) or output_size is not None or max(height, width) > MOST_INTO:
            return super().forward(images, output_size)
        pixels = images.to(torch.bfloat16).permute(0, 2, 3, 1).flatten(0, 2)
        values = pixels @ self.weight.permute(0, 2, 3, 1).flatten(1)
        down, across = self.stride
        values = values.view(count, height, width, down, across, -1).transpose(2, 3)
        out = values.reshape(count, height * down, width * across, -1).permute(0, 3, 1, 2)
        return out if self.bias is None else out + self.bias.to(out.dtype)[:, None, None]
