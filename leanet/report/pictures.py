"""Pictures for people: grids of images and heat maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

CELL, GAP, HEAD = 1.5, 0.04, 0.25  # inches: an image, what is free around it, the titles


def save_grid(
    file: Path,
    rows: list[list[np.ndarray]],
    titles: list[str],
    *,
    ranges: dict[int, tuple[float, float]] | None = None,
) -> None:
    """Save a grid of images as PNG, a title above each column.

    rows: images as (H, W, 3), uint8 or float in [0, 1], or heat maps as (H, W).
    ranges: for columns of heat maps, the values shown darkest and brightest; a column without them spans the
        range of its own maps.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    spans = [value_range(column) for column in zip(*rows, strict=True)]
    for column, span in (ranges or {}).items():
        spans[column] = span
    width, height = CELL * len(titles), HEAD + CELL * len(rows)
    figure = Figure(figsize=(width, height), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))  # one for all images: one for each takes a second for thirty
    for at, row in enumerate(rows):
        for column, image in enumerate(row):
            left, top = column * CELL, HEAD + at * CELL
            (low, high), place = spans[column], (left + GAP, left + CELL - GAP, top + CELL - GAP, top + GAP)
            axes.imshow(image, cmap="inferno", vmin=low, vmax=high, interpolation="nearest", extent=place)
    for column, title in enumerate(titles):
        axes.text((column + 0.5) * CELL, HEAD / 2, title, fontsize=8, ha="center", va="center")
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    axes.axis("off")
    figure.savefig(file)


def value_range(arrays: Iterable[np.ndarray]) -> tuple[float, float]:
    """The lowest and the highest value in any of `arrays`."""
    lows, highs = zip(*((array.min(), array.max()) for array in arrays), strict=True)
    return min(lows), max(highs)
