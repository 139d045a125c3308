"""Stage baselines: detectors that cost a second, and how well the anomaly maps find the place.

On the folds, and the shares of training positives, that the rows of networks are scored on.
"""

import json

import numpy as np
import pandas as pd

from leanet.attention.settings import Sweep
from leanet.core import files, paths
from leanet.core.progress import Progress
from leanet.evaluation.baselines import (
    BASELINES,
    BORDER_HISTOGRAM,
    LAB_HISTOGRAM,
    MAP_THRESHOLD,
    forest_scores,
    lab_histograms,
    lab_ranges,
    map_statistics,
    threshold_scores,
)
from leanet.evaluation.localization import localization
from leanet.images import imageset
from leanet.images.sampling import thin
from leanet.images.settings import Split
from leanet.run import stage


def main(dataset: str, split: Split, sweep: Sweep) -> None:
    data = imageset.load(paths.split(dataset))
    masks = imageset.load_masks(paths.split(dataset))
    predictions = {name: [] for name in BASELINES}
    places = []
    with Progress(len(data.folds), f"baselines {dataset}") as progress:
        for fold in data.folds:
            maps = imageset.load_maps(paths.maps(dataset), fold, data)
            statistics = map_statistics(maps)
            trained, test = data.trained(fold), data.tested(fold)
            places.append(localization(maps[test], None if masks is None else masks[test]))
            for share in (1, *sweep.shares):
                train = trained if share == 1 else thin(trained, data.labels, share, seed=split.seed, fold=fold)
                labels = data.labels[train]
                scores = {MAP_THRESHOLD: threshold_scores(statistics[train], labels, statistics[test])}
                for name, border in ((LAB_HISTOGRAM, False), (BORDER_HISTOGRAM, True)):
                    ranges = lab_ranges(data.images, train, border=border)
                    histograms = lab_histograms(data.images, ranges, border=border)
                    scores[name] = forest_scores(histograms[train], labels, histograms[test], split.seed)
                tested = data.manifest.loc[test, ["path", "label"]]
                for name, of_images in scores.items():
                    table = tested.assign(fold=fold, point=0, share=share, score=np.round(of_images, 6))
                    predictions[name].append(table)
            progress.step()
    for name, tables in predictions.items():
        table = pd.concat(tables)
        parts = {paths.cv(dataset, name): table["share"] == 1, paths.sweep(dataset, name): table["share"] < 1}
        for place, part in parts.items():
            with files.whole(place) as folder:
                table[part].to_csv(folder / "predictions.csv", index=False)
    # What is undefined goes as the reason, a text.
    text = json.dumps(places, indent=1, default=lambda undefined: undefined.reason) + "\n"
    files.write(paths.localization(dataset), text)


if __name__ == "__main__":
    stage.run("baselines", main)
