"""Pictures of the report: what networks see in a few test images (Figs. 3, 5, 6)."""

from pathlib import Path

import numpy as np

from leanet import paths
from leanet.pictures import MAP_TOP, save_grid, value_range
from leanet.report.tables import title


def draw_examples(row_folder: Path, to: Path) -> None:
    """What each attention point's network sees in a few test images, a picture a point (Fig. 5)."""
    for file in sorted(row_folder.glob("examples-*.npz")):
        names = ["images", "recolored", "maps", "attention", "before", "after"]
        with np.load(file, allow_pickle=False) as arrays:
            columns = [arrays[name] for name in names]
        dataset, row = row_folder.parts[-2:]
        point = file.stem.removeprefix("examples-point")
        features = value_range(columns[4:])
        save_grid(
            to / f"{dataset}-{row}-point{point}.png",
            [list(line) for line in zip(*columns, strict=True)],
            ["original", "recoloured", "anomaly map", f"attention, point {point}", "features before", "after"],
            ranges={2: (0, MAP_TOP), 4: features, 5: features},
        )


def pictures(dataset: str) -> dict[str, Path]:
    """The pictures of a data set by what they show."""
    found = {
        "Original, recoloured, anomaly map: test images of fold 1 (Figs. 3, 6)": paths.preview(dataset, "maps"),
        "The set: samples, sizes, lightness and chroma, duplicates": paths.preview(dataset, "overview"),
        "Fancy PCA: training normals as the U-Net sees them": paths.preview(dataset, "augment"),
    }
    for file in sorted(paths.PICTURES.glob(f"{dataset}-*.png")):
        row, _, point = file.stem.removeprefix(f"{dataset}-").rpartition("-point")
        found[f"Before and after attention at point {point}: {title(row)} (Fig. 5)"] = file
    return found
