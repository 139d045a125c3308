"""Pictures for people: grids of images and heat maps."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def save_grid(
    file: Path, rows: list[list[np.ndarray]], titles: list[str], *, tops: dict[int, float] | None = None
) -> None:
    """Save a grid of images as PNG, a title above each column.

    rows: images as (H, W, 3), uint8 or float in [0, 1], or heat maps as (H, W).
    tops: for columns of heat maps, the value shown brightest, with 0 the darkest; a column without one
        spans the range of its own maps.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    tops = tops or {}
    ranges = [
        (0, tops[i]) if i in tops else (min(map(np.min, column)), max(map(np.max, column)))
        for i, column in enumerate(zip(*rows, strict=True))
    ]
    figure = Figure(figsize=(1.5 * len(titles), 1.5 * len(rows) + 0.25), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for axes_row, row in zip(axes, rows, strict=True):
        for column, (axis, image) in enumerate(zip(axes_row, row, strict=True)):
            axis.axis("off")
            low, top = ranges[column]
            axis.imshow(image, cmap="inferno", vmin=low, vmax=top, interpolation="nearest")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8)
    figure.savefig(file)
