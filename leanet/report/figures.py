"""Pictures of the report: the images, what is made of them, and what networks see in them (Figs. 3, 5, 6)."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from leanet.color.fancy_pca import Basis
from leanet.core import paths
from leanet.core.arrays import ArrayFile
from leanet.images import counterfactuals, imageset
from leanet.images.imageset import ImageSet
from leanet.report import overview
from leanet.report.heat import MAP_TOP
from leanet.report.pictures import save_grid, value_range
from leanet.report.results import Results
from leanet.report.tables import title

DRAWS = 6  # of Fancy PCA


def draw(results: Results, data: ImageSet, std: float, to: Path) -> dict[str, Path]:
    """Draw all pictures of a data set into the folder `to`; std: of Fancy PCA's draws.

    Returns the files by what they show.
    """
    name = results.dataset
    files = {
        "Original, recoloured, anomaly map: test images of fold 1 (Figs. 3, 6)": to / f"{name}-maps.png",
        "The set: samples, sizes, lightness and chroma, duplicates": to / f"{name}-overview.png",
        "Fancy PCA: training normals as the U-Net sees them": to / f"{name}-augment.png",
    }
    maps, set_, drawn = files.values()
    if data.has_both:
        altered = to / f"{name}-altered.png"
        files["Images that ask where a network looks: the object blurred away; other surroundings"] = altered
        _draw_altered(name, data, altered)
    _draw_maps(name, data, maps)
    overview.draw(data, results.findings, set_)
    _draw_augmented(name, data, std, drawn)
    for row in results.history:
        for point, file in _draw_examples(name, row, to):
            files[f"Before and after attention at point {point}: {title(row)} (Fig. 5)"] = file
    return files


def _draw_maps(dataset: str, data: ImageSet, file: Path) -> None:
    shown = data.examples(fold=0, positives=4, negatives=4)
    recolored = ArrayFile(paths.maps(dataset) / "recolored.npy")
    maps = imageset.load_maps(paths.maps(dataset), 0, data)
    grid = [[data.images[i], recolored[i], maps[i]] for i in shown]
    save_grid(file, grid, ["original", "recoloured", "anomaly map"], ranges={2: (0, MAP_TOP)})


def _draw_altered(dataset: str, data: ImageSet, file: Path) -> None:
    altered = counterfactuals.load(paths.split(dataset))
    place = {image: at for at, image in enumerate(altered.asked)}
    shown = [(i, place[i]) for i in data.examples(fold=0, positives=4, negatives=4)]
    grid = [[data.images[i], *(images[at] for images in altered.images.values())] for i, at in shown]
    save_grid(file, grid, ["original", *altered.images])


def _draw_augmented(dataset: str, data: ImageSet, std: float, file: Path) -> None:
    basis = Basis.from_lists(json.loads(paths.basis(dataset).read_text())[0])
    shown = data.images[data.normals(0)[:4]] / 255
    shifts = basis.shifts(np.random.default_rng(0).normal(0, std, (DRAWS, 3)))
    columns = [shown] + [(shown + shift).clip(0, 1) for shift in shifts]
    save_grid(file, [list(row) for row in zip(*columns, strict=True)], ["original"] + ["draw"] * DRAWS)


def _draw_examples(dataset: str, row: str, to: Path) -> Iterator[tuple[str, Path]]:
    """What each attention point's network sees in a few test images: the point, and its picture (Fig. 5)."""
    for examples in sorted(paths.cv(dataset, row).glob("examples-*.npz")):
        names = ["images", "recolored", "maps", "attention", "before", "after"]
        with np.load(examples, allow_pickle=False) as arrays:
            columns = [arrays[name] for name in names]
        point = examples.stem.removeprefix("examples-point")
        features = value_range(columns[4:])
        file = to / f"{dataset}-{row}-point{point}.png"
        save_grid(
            file,
            [list(line) for line in zip(*columns, strict=True)],
            ["original", "recoloured", "anomaly map", f"attention, point {point}", "features before", "after"],
            ranges={2: (0, MAP_TOP), 4: features, 5: features},
        )
        yield point, file
