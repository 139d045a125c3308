"""Pictures for people: grids of images and heat maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


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
    figure = Figure(figsize=(1.5 * len(titles), 1.5 * len(rows) + 0.25), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for axes_row, row in zip(axes, rows, strict=True):
        for column, (axis, image) in enumerate(zip(axes_row, row, strict=True)):
            axis.axis("off")
            low, top = spans[column]
            axis.imshow(image, cmap="inferno", vmin=low, vmax=top, interpolation="nearest")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8)
    figure.savefig(file)


def value_range(arrays: Iterable[np.ndarray]) -> tuple[float, float]:
    """The lowest and the highest value in any of `arrays`."""
    lows, highs = zip(*((array.min(), array.max()) for array in arrays), strict=True)
    return min(lows), max(highs)
