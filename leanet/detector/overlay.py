"""What a detector finds, laid over the image it was found in."""

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

from leanet.images.decoding import picture
from leanet.report.heat import MAP_TOP, heat

LONGEST = 1024  # pixels of an overlay's longer side
LONGEST_NAME = 240  # bytes; file systems take 255, endings included
STRENGTH = 0.75  # of the heat where it is hottest; the image stays visible


def heats(size: tuple[int, int], map_: np.ndarray, attention: np.ndarray | None) -> dict[str, Image.Image]:
    """What is found in an image as heat to lay over it, mode RGBA, in its size: map, and attention if any.

    map_: (side, side), ΔE₀₀, hottest at MAP_TOP. attention: (side, side), hottest at 1.
    """
    found = {"map": _heat(size, map_ / MAP_TOP)}
    if attention is not None:
        found["attention"] = _heat(size, attention)
    return found


def save(beside: Path, source: Path, map_: np.ndarray, attention: np.ndarray | None) -> None:
    """Lay the heat over the image in `source`: `<beside>-map.png` and `<beside>-attention.png`."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    image = picture(source, LONGEST).convert("RGBA")
    for kind, layer in heats(image.size, map_, attention).items():
        file = beside.with_name(f"{_short(beside.name)}-{kind}.png")
        Image.alpha_composite(image, layer).convert("RGB").save(file)


def _short(name: str) -> str:
    """The name, or its beginning and its hash where no file system would take it with an ending."""
    content = os.fsencode(name)
    if len(content) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(content).hexdigest()[:16]
    return content[: LONGEST_NAME - 17].decode(errors="ignore") + "-" + digest


def _heat(size: tuple[int, int], values: np.ndarray) -> Image.Image:
    """`values` (side, side) from 0, clear, to 1, strongest."""
    strength = Image.fromarray(np.clip(values, 0, 1).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(strength), 0, 1)
    opaque = (strength * STRENGTH * 255).round().astype(np.uint8)
    return Image.fromarray(np.dstack([heat(strength, 1.0), opaque]))
