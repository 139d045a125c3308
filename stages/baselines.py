"""Stage baselines: detectors that cost a second, and how well the anomaly maps find the place.

On the folds, and the shares of training positives, that the rows of networks are scored on.
"""

import json
from functools import partial

import numpy as np
import pandas as pd

from leanet.attention.settings import Sweep
from leanet.color import one_class
from leanet.core import files, paths
from leanet.core.progress import Progress
from leanet.evaluation.baselines import (
    BASELINES,
    BORDER_HISTOGRAM,
    LAB_HISTOGRAM,
    MAP_ONE_CLASS,
    MAP_THRESHOLD,
    histogram_scores,
    map_statistics,
    threshold_scores,
)
from leanet.evaluation.localization import localization
from leanet.evaluation.predictions import write_none
from leanet.images import imageset
from leanet.images.sampling import thin
from leanet.images.settings import Split
from leanet.run import stage


def main(dataset: str, split: Split, sweep: Sweep) -> None:
    data = imageset.load(paths.split(dataset))
    masks = imageset.load_masks(paths.split(dataset))
    around = partial(data.around, border=split.border)
    predictions = {name: [] for name in BASELINES}
    places = []
    with Progress(len(data.folds), f"baselines {dataset}") as progress:
        for fold in data.folds:
            maps = imageset.load_maps(paths.maps(dataset), fold, data)
            test = data.tested(fold)
            alone = one_class.scores(maps, data.normals(fold), test)
            statistics = map_statistics(maps)
            places.append(localization(maps[test], None if masks is None else masks[test]))
            for share in (1, *(sweep.shares if data.has_both else ())):
                train = thin(data.trained(fold), data.labels, share, seed=split.seed, fold=fold)
                forest = partial(histogram_scores, data.images, data.labels, train, test, seed=split.seed)
                scores = {MAP_ONE_CLASS: alone}
                if data.has_both:
                    scores |= {
                        LAB_HISTOGRAM: forest(),
                        BORDER_HISTOGRAM: forest(looked=around),
                        MAP_THRESHOLD: threshold_scores(statistics[train], data.labels[train], statistics[test]),
                    }
                tested = data.manifest.loc[test, ["path", "label"]]
                for name, of_images in scores.items():
                    table = tested.assign(fold=fold, point=0, share=share, score=np.round(of_images, 6))
                    predictions[name].append(table)
            progress.step()
    for name, tables in predictions.items():
        if not tables:
            write_none(paths.cv(dataset, name))
            write_none(paths.sweep(dataset, name))
            continue
        table = pd.concat(tables)
        parts = {paths.cv(dataset, name): table["share"] == 1, paths.sweep(dataset, name): table["share"] < 1}
        for place, part in parts.items():
            with files.whole(place) as folder:
                table[part].to_csv(folder / "predictions.csv", index=False)
    # What is undefined goes as the reason, a text.
    text = json.dumps(places, indent=1, default=lambda undefined: undefined.reason) + "\n"
    place = paths.localization(dataset)
    with files.whole(place.parent) as folder:
        (folder / place.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage.run("baselines", main)
