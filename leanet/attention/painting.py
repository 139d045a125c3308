"""Anomalies painted on normal images, of our own: blobs of another a*b*, with L* as it was.

They teach where to look before the first real anomaly is seen, since what is painted is known pixel by pixel; the
idea is that of CutPaste (Li et al. 2021, arXiv 2104.04015), in colour. What they bring is in docs/attention.md.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from leanet.color.anomaly_map import not_filled
from leanet.color.lab import ciede2000, lab_to_rgb, rgb_to_lab

GRAIN = (4, 16)  # cells along the side of the noise that blobs are cut from: large or small ones
SHARE = (0.005, 0.2)  # of the object that is painted, drawn evenly in logarithms
SHIFT = (5, 40)  # distance in a*b*


def with_painted(images: Tensor, maps: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Normal images (N, 3, side, side) and the same painted behind them, their maps, and where they are painted.

    maps: (N, 1, side, side) in ΔE₀₀. Returns three tensors of length 2N; the last is 1 where painted, else 0, of
    the maps' shape. draws: as in `paint`.
    """
    painted, where = paint(images, draws)
    maps = torch.cat((maps, painted_maps(maps, images, painted, where)))
    return torch.cat((images, painted)), maps, torch.cat((torch.zeros_like(where), where)).float()


def paint(images: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Painted images, (N, 3, side, side) in [0, 1] as they come, and where, bool (N, 1, side, side).

    Nothing is painted on a filled background. draws: on the CPU, so that every device sees the same.
    """
    where = torch.stack([_blobs(image, draws) for image in not_filled(images)])[:, None]
    angle, length = torch.rand(2, len(images), 1, 1, generator=draws).to(images.device)
    angle, length = 2 * torch.pi * angle, SHIFT[0] + (SHIFT[1] - SHIFT[0]) * length
    shift = torch.stack((torch.zeros_like(angle), length * angle.cos(), length * angle.sin()), dim=1)
    return torch.where(where, lab_to_rgb(rgb_to_lab(images) + shift), images), where


def _blobs(object_: Tensor, draws: torch.Generator) -> Tensor:
    """Where to paint on an object, both bool (side, side): where smooth noise is highest."""
    if not object_.any():
        return object_
    grain = int(torch.randint(*GRAIN, (), generator=draws))
    cells = torch.randn(1, 1, grain, grain, generator=draws).to(object_.device)
    noise = F.interpolate(cells, object_.shape, mode="bicubic")[0, 0]
    low, high = (torch.tensor(share).log() for share in SHARE)
    share = (low + (high - low) * torch.rand((), generator=draws)).exp()
    return object_ & (noise > noise[object_].quantile(float(1 - share)))


def painted_maps(maps: Tensor, images: Tensor, painted: Tensor, where: Tensor) -> Tensor:
    """Anomaly maps of painted images: (N, 1, side, side) in ΔE₀₀, as `maps` of the images are.

    Where they are painted, ΔE₀₀ to the colours that were there. A colouriser would give about those back; maps by
    what it really gives back brought the same.
    """
    fresh = ciede2000(rgb_to_lab(images), rgb_to_lab(painted))[:, None]
    return torch.where(where, fresh, maps)
