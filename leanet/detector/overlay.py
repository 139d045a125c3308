"""What a detector finds, laid over the image it was found in."""

from pathlib import Path

import numpy as np
from PIL import Image

from leanet.images.decoding import picture
from leanet.report.heat import MAP_TOP, heat

LONGEST = 1024  # pixels of an overlay's longer side
STRENGTH = 0.75  # of the heat where it is hottest; the image stays visible


def heats(size: tuple[int, int], map_: np.ndarray, attention: np.ndarray | None) -> dict[str, Image.Image]:
    """What is found in an image as heat to lay over it, mode RGBA, in its size: map, and attention if any.

    map_: (side, side), ΔE₀₀, hottest at MAP_TOP. attention: (side, side), hottest at 1.
    """
    found = {"map": _heat(size, map_ / MAP_TOP)}
    if attention is not None:
        found["attention"] = _heat(size, attention)
    return found


def save(folder: Path, name: Path, source: Path, map_: np.ndarray, attention: np.ndarray | None) -> None:
    """Lay the heat over the image in `source`: `<name>-map.png` and `<name>-attention.png` in `folder`."""
    image = picture(source, LONGEST).convert("RGBA")
    for kind, layer in heats(image.size, map_, attention).items():
        file = folder / name.with_name(f"{name.name}-{kind}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.alpha_composite(image, layer).convert("RGB").save(file)


def _heat(size: tuple[int, int], values: np.ndarray) -> Image.Image:
    """`values` (side, side) from 0, clear, to 1, strongest."""
    strength = Image.fromarray(np.clip(values, 0, 1).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(strength), 0, 1)
    opaque = (strength * STRENGTH * 255).round().astype(np.uint8)
    return Image.fromarray(np.dstack([heat(strength, 1.0), opaque]))
