"""Anomalies painted on normal images: blobs of another a*b*, L* as it was (CutPaste, Li et al. 2021, in colour).

They teach where to look before the first real anomaly is seen: what is painted is known pixel by pixel.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from leanet.color.lab import ciede2000, lab_to_rgb, rgb_to_lab

GRAIN = (4, 16)  # cells along the side of the noise that blobs are cut from: large or small ones
SHARE = (0.005, 0.2)  # of an image that is painted, drawn evenly in logarithms
SHIFT = (5, 40)  # ΔE of a*b*


def blobs(images: Tensor, object_: Tensor, draws: torch.Generator) -> Tensor:
    """Where to paint, bool (N, 1, side, side), for images (N, 3, side, side); on the object alone, bool alike."""
    count, side = len(images), images.shape[-1]
    masks = []
    for one in range(count):
        grain = int(torch.randint(*GRAIN, (), generator=draws))
        noise = F.interpolate(torch.randn(1, 1, grain, grain, generator=draws), (side, side), mode="bicubic")[0]
        low, high = (torch.tensor(share).log() for share in SHARE)
        share = (low + (high - low) * torch.rand((), generator=draws)).exp()
        there = object_[one]
        masks.append(there & (noise > noise[there].quantile(1 - share)))
    return torch.stack(masks)


def paint(images: Tensor, object_: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Painted images, (N, 3, side, side) in [0, 1] as they come, and where, bool (N, 1, side, side)."""
    where = blobs(images, object_, draws)
    angle, length = torch.rand(2, len(images), 1, 1, generator=draws)
    angle, length = 2 * torch.pi * angle, SHIFT[0] + (SHIFT[1] - SHIFT[0]) * length
    shift = torch.stack((torch.zeros_like(angle), length * angle.cos(), length * angle.sin()), dim=1)
    return torch.where(where, lab_to_rgb(rgb_to_lab(images) + shift), images), where


def painted_maps(maps: Tensor, images: Tensor, painted: Tensor, where: Tensor) -> Tensor:
    """Maps (N, C, side, side), ΔE₀₀ first, of painted images.

    Where they are painted, ΔE₀₀ to the colours that were there. A colouriser would give about those back; what it
    really gives made no difference (AP within 0.01).
    """
    fresh = ciede2000(rgb_to_lab(images), rgb_to_lab(painted))[:, None]
    return torch.cat((torch.where(where, fresh, maps[:, :1]), maps[:, 1:]), dim=1)
