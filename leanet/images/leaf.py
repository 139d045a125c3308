"""Made-up leaves: a data set without a download, in which only chroma tells anomalies from normals.

Every leaf, normal or not, carries specks darker than the blade. On a normal leaf all of them keep the
leaf's hue, or nearly; on an anomalous one some are lesions, brown to red, of the same luminance L*. So
luminance says nothing about the class, and a network that knows which colour belongs to which luminance and
place says all. The background says nothing either.

Three difficulties: from `easy` to `hard` lesions become smaller and paler, and normal leaves and their specks
differ more in hue, so that the colours of a whole image say less and less.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from skimage.color import lab2rgb


@dataclass(frozen=True)
class Leaf:
    """One drawn leaf.

    image: uint8 (side, side, 3), sRGB.
    lesions: bool (side, side), where the chroma is abnormal; all False on a normal leaf.
    """

    image: np.ndarray
    lesions: np.ndarray


@dataclass(frozen=True)
class _Looks:
    """What a difficulty means. Hues in degrees, radii in half sides.

    radius: of specks, the range. pale: how much of a lesion's own colour it has, the rest being the leaf's.
    hue, speck_hue: deviation of a leaf's hue over leaves, and of a speck's from its leaf's. chroma: deviation of
    a leaf's chroma.
    """

    radius: tuple[float, float]
    pale: float
    hue: float
    chroma: float
    speck_hue: float


Difficulty = Literal["easy", "medium", "hard"]
_LOOKS = {
    "easy": _Looks(radius=(0.10, 0.20), pale=1, hue=5, chroma=3, speck_hue=0),
    "medium": _Looks(radius=(0.06, 0.12), pale=0.6, hue=10, chroma=5, speck_hue=6),
    "hard": _Looks(radius=(0.05, 0.09), pale=0.45, hue=14, chroma=6, speck_hue=9),
}


def draw(rng: np.random.Generator, side: int, *, anomalous: bool, difficulty: Difficulty = "easy") -> Leaf:
    """Draw one leaf of `side` × `side` pixels.

    The luminance of a leaf depends on the generator's state alone, not on `anomalous`.
    """
    looks = _LOOKS[difficulty]
    v, u = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    pixel = 2 / side
    x, y = _pose(rng, u, v)
    blade, rib = _blade(rng, x, y, pixel)
    specks = _specks(rng, u, v, blade, pixel, looks.radius)
    lesion_hue = rng.uniform(45, 80)
    lesion_chroma = rng.uniform(28, 42)
    n_lesions = rng.integers(1, 4)

    light = 1 + rng.uniform(0, 0.16) * (u * np.cos(t := rng.uniform(0, 2 * np.pi)) + v * np.sin(t))
    ground = rng.uniform(70, 84) + 3 * _noise(rng, side, cells=12)
    green = rng.uniform(42, 56) + 3 * _noise(rng, side, cells=8) + 7 * rib
    spotted = sum(specks[1:], specks[0]).clip(0, 1)
    lightness = (green * blade + ground * (1 - blade)) * light - 14 * spotted
    lightness = lightness.clip(12, 88)

    leaf_hue = np.deg2rad(rng.normal(122, looks.hue))
    leaf_chroma = rng.normal(32, looks.chroma) - 8 * rib
    ground_hue, ground_chroma = rng.uniform(0, 2 * np.pi), rng.uniform(0, 5)
    a = leaf_chroma * np.cos(leaf_hue) * blade + ground_chroma * np.cos(ground_hue) * (1 - blade)
    b = leaf_chroma * np.sin(leaf_hue) * blade + ground_chroma * np.sin(ground_hue) * (1 - blade)
    if looks.speck_hue:
        for speck in specks:
            turn = speck * np.deg2rad(rng.normal(0, looks.speck_hue))
            a, b = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
    lesions = np.zeros((side, side))
    if anomalous:
        for lesion in specks[:n_lesions]:
            lesions = np.maximum(lesions, lesion)
        a = a + looks.pale * lesions * (lesion_chroma * np.cos(np.deg2rad(lesion_hue)) - a)
        b = b + looks.pale * lesions * (lesion_chroma * np.sin(np.deg2rad(lesion_hue)) - b)

    rgb = lab2rgb(np.stack((lightness, a, b), axis=-1))
    grain = rng.normal(0, 0.008, (side, side, 1))  # the same in R, G and B: luminance only
    image = ((rgb + grain).clip(0, 1) * 255).round().astype(np.uint8)
    return Leaf(image, lesions > 0.5)


def _pose(rng, u, v):
    """Leaf coordinates of each pixel: x along the midrib, y across it."""
    angle = rng.uniform(0, 2 * np.pi)
    size = rng.uniform(0.72, 0.95)
    x = ((u - rng.uniform(-0.1, 0.1)) * np.cos(angle) + (v - rng.uniform(-0.1, 0.1)) * np.sin(angle)) / size
    y = (-u * np.sin(angle) + v * np.cos(angle)) / size
    return x, y + rng.uniform(-0.15, 0.15) * x**2  # a bent midrib


def _edge(distance, pixel):
    """1 inside (distance > 0), 0 outside, soft over about two pixels."""
    return 1 / (1 + np.exp(-np.clip(distance / pixel, -30, 30)))


def _blade(rng, x, y, pixel):
    """The blade's coverage, and how much of a pixel is midrib or vein; both (side, side) in [0, 1]."""
    width, tip = rng.uniform(0.38, 0.62), rng.uniform(0.5, 1.1)
    half = width * np.clip(1 - x**2, 0, 1) ** tip * (1 - 0.25 * x)
    blade = _edge(half - np.abs(y), pixel) * _edge(1 - np.abs(x), pixel)
    spacing, slant = rng.uniform(0.16, 0.26), rng.uniform(0.5, 1.0)
    phase = (x - slant * np.abs(y)) / spacing % 1
    veins = np.exp(-(((phase - 0.5) * spacing / 0.018) ** 2)) * 0.6
    midrib = np.exp(-((y / 0.02) ** 2))
    return blade, np.maximum(midrib, veins) * blade


def _specks(rng, u, v, blade, pixel, radii):
    """Coverage of 4 to 9 blobs on the blade, a list of (side, side) in [0, 1]."""
    inside = np.argwhere(blade > 0.95)
    specks = []
    for _ in range(rng.integers(4, 10)):
        row, column = inside[int(rng.uniform() * len(inside))]
        du, dv = u - u[row, column], v - v[row, column]
        angle, radius = rng.uniform(0, np.pi), rng.uniform(*radii)
        long = (du * np.cos(angle) + dv * np.sin(angle)) / rng.uniform(1.0, 1.7)
        across = -du * np.sin(angle) + dv * np.cos(angle)
        specks.append(_edge(radius - np.hypot(long, across), pixel) * blade)
    return specks


def _noise(rng, side, cells):
    """Smooth noise of about `cells` bumps across, standard normal in its grid points."""
    grid = rng.standard_normal((cells + 1, cells + 1))
    at = np.linspace(0, cells, side)
    rows = np.stack([np.interp(at, np.arange(cells + 1), column) for column in grid.T], axis=1)
    return np.stack([np.interp(at, np.arange(cells + 1), row) for row in rows])
