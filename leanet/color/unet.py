"""The colouriser: a U-Net that gives colour back to a grey image (Table 9)."""

import math

import torch
from torch import Tensor, nn

WIDEST = 8  # times the filters of the outermost level; they double at each halving up to that
DROPPED_LEVELS = 3  # dropout in the deepest decoder blocks, as in the published implementation


class UNet(nn.Module):
    """Luminance in, chrominance out, with as many halvings as the side allows (eight at 256).

    Forward: L* / 100 in [0, 1], (N, 1, side, side), to a*b* in units of `AB_SCALE`,
    (N, 2, side, side) in [0, 1].

    Table 9 row by row: 4×4 convolutions of stride 2 with LeakyReLU(0.2) down, 2×2 transposed
    convolutions of stride 2 with ReLU up, batch normalisation in all but the first and the last,
    skip connections by concatenation, a sigmoid at the end.

    Images of half the side pass by the innermost level, whose features are taken to be 0 (leanet.training.recipe
    trains on such images first).
    """

    def __init__(self, *, side: int, width: int, dropout: float):
        """side: pixels, a power of two of at least 4. width: filters of the outermost level, 64 in Table 9.
        dropout: share dropped in the deepest decoders.
        """
        super().__init__()
        depth = int(math.log2(side))
        widths = [width * min(2**level, WIDEST) for level in range(depth)]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(previous, width, kernel_size=4, stride=2, padding=1),
                nn.BatchNorm2d(width) if level else nn.Identity(),
                nn.LeakyReLU(0.2),
            )
            for level, (previous, width) in enumerate(zip([1, *widths], widths, strict=False))
        )
        self.up = nn.ModuleList()
        previous = widths[-1]
        for k, width in enumerate(reversed(widths[:-1])):
            self.up.append(
                nn.Sequential(
                    nn.ConvTranspose2d(previous, width, kernel_size=2, stride=2),
                    nn.BatchNorm2d(width),
                    nn.Dropout(dropout if k < DROPPED_LEVELS else 0),
                    nn.ReLU(),
                )
            )
            previous = 2 * width  # after the skip connection
        self.last = nn.ConvTranspose2d(previous, 2, kernel_size=2, stride=2)
        # torch's default for a transposed convolution is so wide here that the sigmoid starts saturated,
        # and pixels that start there never learn.
        nn.init.xavier_uniform_(self.last.weight)

    def forward(self, lightness: Tensor) -> Tensor:
        depth = int(math.log2(lightness.shape[-1]))
        features, skips = lightness, []
        for block in self.down[:depth]:
            features = block(features)
            skips.append(features)
        if depth == len(self.down):
            skips.pop()  # the deepest is the decoder's own input
        else:
            features = torch.cat((skips.pop(), torch.zeros_like(features)), dim=1)
        for block in self.up[len(self.down) - depth :]:
            features = torch.cat((skips.pop(), block(features)), dim=1)
        # In float32: a step of bf16 near 1 is a visible step of chroma.
        return self.last(features).float().sigmoid()


# a*b* lie within [-128, 127]; the sigmoid's [0, 1] spans that range.
AB_LOW, AB_SPAN = -128.0, 255.0


def to_unit(ab: Tensor) -> Tensor:
    """a*b* to the U-Net's [0, 1]."""
    return (ab - AB_LOW) / AB_SPAN


def from_unit(unit: Tensor) -> Tensor:
    """The U-Net's [0, 1] to a*b*."""
    return unit * AB_SPAN + AB_LOW
