"""A look at a data set before anything is trained: samples, and how bright and how colourful its images are."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from skimage.color import rgb2lab
from skimage.segmentation import mark_boundaries

from leanet.core.arrays import ArrayFile
from leanet.images.imageset import ImageSet

SHOWN = 8  # images of each class
CLASSES = (("normal", "tab:blue"), ("anomalous", "tab:red"))


def draw(data: ImageSet, findings: dict, file: Path) -> None:
    """Save a picture of the set as PNG; findings: leanet.images.findings."""
    images, manifest = data.images, data.manifest
    place = {path: i for i, path in enumerate(manifest["path"])}
    pairs = [[place[path] for path in pair] for pair in (findings["exact"] + findings["near"])[: SHOWN // 2]]
    rows = 2 + bool(pairs) + (data.objects is not None)
    figure = Figure(figsize=(1.3 * SHOWN, 1.45 * rows + 3.3), dpi=100, layout="constrained")
    samples, spreads = figure.subfigures(2, 1, height_ratios=(1.45 * rows, 3.3))
    grid = samples.subplots(rows, SHOWN)
    for axis in grid.flat:
        axis.axis("off")
    if pairs:
        grid[2][0].set_title("duplicates, pair by pair", fontsize=9, loc="left")
        for axis, i in zip(grid[2], np.ravel(pairs), strict=False):
            axis.imshow(images[i])
    if data.objects is not None:
        grid[-1][0].set_title("objects, outlined", fontsize=9, loc="left")
        of_class = (np.flatnonzero(manifest["label"] == label)[: SHOWN // 2] for label in (0, 1))
        for axis, i in zip(grid[-1], np.concatenate(list(of_class)), strict=False):
            axis.imshow(mark_boundaries(images[i], data.objects[i] == 1, color=(1, 0, 1), mode="inner"))
    lightness, chroma = _spread(images)
    scatter, *histograms = spreads.subplots(1, 3)
    for label, (name, color) in enumerate(CLASSES):
        members = np.flatnonzero(manifest["label"] == label)
        if not len(members):
            continue
        shown = members[np.linspace(0, len(members) - 1, min(SHOWN, len(members))).astype(int)]
        for axis, i in zip(grid[label], shown, strict=False):
            axis.imshow(images[i])
        grid[label][0].set_title(
            f"{len(members)} {name}, {_sizes(manifest.iloc[members])}", fontsize=9, loc="left"
        )
        scatter.scatter(lightness[members], chroma[members], s=8, alpha=0.5, color=color, label=name)
        for axis, values in zip(histograms, (lightness, chroma), strict=True):
            axis.hist(values[members], bins=20, density=True, histtype="step", color=color)
    scatter.set(xlabel="lightness L*", ylabel="chroma C*")
    for axis, name in zip(histograms, ("lightness L*", "chroma C*"), strict=True):
        axis.set(xlabel=name, ylabel="density")
    for axis in (scatter, *histograms):
        axis.tick_params(labelsize=7)
    spreads.suptitle("the mean of each image", fontsize=9)
    scatter.legend(fontsize=8)
    figure.savefig(file)


def _sizes(files: pd.DataFrame) -> str:
    """Width × height of the files, or of the smallest and the largest."""
    by_area = files.assign(area=files["width"] * files["height"]).sort_values("area", kind="stable")
    ends = [f"{end['width']}×{end['height']}" for _, end in by_area.iloc[[0, -1]].iterrows()]
    return " to ".join(dict.fromkeys(ends))


def _spread(images: ArrayFile | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean L* and mean chroma C* of each image, (N,) each; of every fourth pixel, which is near enough."""
    means = []
    for i in range(len(images)):
        lab = rgb2lab(images[i][::4, ::4])
        means.append((lab[..., 0].mean(), np.hypot(lab[..., 1], lab[..., 2]).mean()))
    return tuple(np.array(means).T)
