"""Color anomaly maps (section 3-1): where an image differs from its own grey version, recoloured."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from leanet.color.lab import ciede2000, from_bytes, lab_to_rgb, rgb_to_lab
from leanet.color.unet import UNet, from_unit
from leanet.core.arrays import ArrayFile
from leanet.core.device import autocast, one_core_a_thread
from leanet.core.parallel import in_order
from leanet.images.preparation import FILL


def recolor(unet: UNet, lab: Tensor) -> Tensor:
    """L* of `lab` with the a*b* that `unet` gives back to it; both (N, 3, side, side)."""
    lightness = lab[:, :1]
    return torch.cat((lightness, from_unit(unet(lightness / 100))), dim=1)


def anomaly_map(unet: UNet, rgb: Tensor, *, filled: bool) -> tuple[Tensor, Tensor]:
    """The map of `rgb` (N, 3, side, side) in [0, 1], and the recoloured image it comes from.

    filled: whether backgrounds are filled (leanet.images.preparation); the map is then 0 there.

    Returns ΔE₀₀ at every pixel, (N, side, side), ≥ 0, mostly below 50, and the recoloured image in
    L*a*b*, (N, 3, side, side). The two are compared in L*a*b*, before any clipping to sRGB.
    """
    lab = rgb_to_lab(rgb)
    recolored = recolor(unet, lab)
    difference = ciede2000(recolored, lab)
    if filled:
        difference = difference * not_filled(rgb)
    return difference, recolored


def not_filled(rgb: Tensor) -> Tensor:
    """Where images (N, 3, side, side) in [0, 1] show something other than a filled background: (N, side, side)."""
    return (255 * rgb - FILL).abs().amax(dim=1).ge(0.5)


def make_maps(
    network: UNet,
    images: ArrayFile | np.ndarray,
    chosen: np.ndarray,
    *,
    filled: bool,
    device: torch.device,
    dtype: torch.dtype,
    batch_size: int = 8,  # few: every core has one in memory
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Anomaly maps of the images `chosen` among `images`, uint8 (N, side, side, 3), a batch at a time.

    Yields the batch's indices among all images, its maps, float32 (B, side, side) in ΔE₀₀, and its
    recoloured images, uint8 (B, side, side, 3). filled: as in `anomaly_map`.
    """
    network.eval()

    @torch.inference_mode()
    def made(batch: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rgb = from_bytes(torch.from_numpy(pixels).to(device))
        with autocast(device, dtype):
            maps, recolored = anomaly_map(network, rgb, filled=filled)
        colors = (lab_to_rgb(recolored).permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
        return batch, maps.cpu().numpy(), colors.cpu().numpy()

    batches = (chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size))
    with one_core_a_thread(device) as threads:
        yield from in_order(made, ((batch, images[batch]) for batch in batches), threads)
