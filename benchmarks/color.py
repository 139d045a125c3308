"""Colour: CIEDE2000, L*a*b* and Fancy PCA against scikit-image and NumPy; the map stage against its U-Net."""

from functools import partial

import numpy as np
import torch
from skimage import color as skimage

from benchmarks.contender import duel
from benchmarks.line import Line
from benchmarks.training import FORWARD as COUNT
from benchmarks.training import images, machine, our_unet_forward
from leanet.color import fancy_pca
from leanet.color import lab as color
from leanet.color.anomaly_map import make_maps
from leanet.color.unet import UNet

SIDE = 256


def pairs(dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Two L*a*b* images (COUNT, SIDE, SIDE, 3), a few ΔE apart."""
    lab = skimage.rgb2lab(images(COUNT, SIDE)).astype(dtype)
    return lab, lab + np.random.default_rng(1).normal(0, 3, lab.shape).astype(dtype)


def our_ciede2000():
    device, _ = machine()
    first, second = (
        torch.from_numpy(lab).permute(0, 3, 1, 2).contiguous().to(device) for lab in pairs(np.float32)
    )
    return lambda: color.ciede2000(first, second)[0, 0, 0].item()


def their_ciede2000(dtype: type):
    first, second = pairs(dtype)
    return lambda: skimage.deltaE_ciede2000(first, second)


def our_lab():
    device, _ = machine()
    rgb = color.from_bytes(torch.from_numpy(images(COUNT, SIDE)).to(device))
    return lambda: color.rgb_to_lab(rgb)[0, 0, 0, 0].item()


def their_lab():
    rgb = images(COUNT, SIDE)
    return lambda: skimage.rgb2lab(rgb)


def our_fancy_pca():
    """Draw for a batch, as train_unet does it."""
    device, _ = machine()
    rgb, basis = color.from_bytes(torch.from_numpy(images(COUNT, SIDE)).to(device)), fancy_pca.fit(images(8, SIDE))
    alphas = np.random.default_rng(0).normal(0, 0.1, (COUNT, 3))
    return lambda: (
        (rgb + torch.from_numpy(basis.shifts(alphas)).to(rgb)[:, :, None, None]).clamp(0, 1)[0, 0, 0, 0].item()
    )


def their_fancy_pca():
    """The same draw, image by image in NumPy."""
    rgb, basis = images(COUNT, SIDE), fancy_pca.fit(images(8, SIDE))
    alphas = np.random.default_rng(0).normal(0, 0.1, (COUNT, 3))

    def draw():
        for image, alpha in zip(rgb, alphas, strict=True):
            shift = basis.eigenvectors @ (alpha * basis.eigenvalues)
            np.clip(image / 255 + shift, 0, 1)

    return draw


def map_stage():
    """Maps of images, from bytes to bytes."""
    device, dtype = machine()
    network = UNet(side=SIDE, width=64, dropout=0).to(device, memory_format=torch.channels_last)
    batch = images(COUNT, SIDE)
    return lambda: list(make_maps(network, batch, np.arange(len(batch)), filled=False, device=device, dtype=dtype))


def lines() -> list[Line]:
    """Millions of pixels a second."""
    table = []
    for name, ours, other, beside, wanted in (
        ("CIEDE2000", our_ciede2000, partial(their_ciede2000, np.float64), "scikit-image, float64", "≥ 8"),
        ("CIEDE2000", our_ciede2000, partial(their_ciede2000, np.float32), "scikit-image, float32", ""),
        ("RGB to L*a*b*", our_lab, their_lab, "scikit-image", ""),
        ("Fancy PCA", our_fancy_pca, their_fancy_pca, "NumPy, image by image", ""),
        ("map stage", map_stage, partial(our_unet_forward, SIDE), "its U-Net alone", ""),
    ):
        result = duel(ours, other)
        speeds = [COUNT * SIDE**2 / seconds / 1e6 for seconds in (result.ours, result.other)]
        table.append(Line(name, speeds[0], "Mpixel/s", beside, speeds[1], "times faster", result.ratio, wanted))
    return table
