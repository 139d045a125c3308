"""Stage report: the F1 table of every data set and row, from the predictions alone (section 4-3)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from leanet import paths, stage
from leanet.params import Params
from leanet.pictures import save_grid
from leanet.report.tables import markdown, metrics, title
from leanet.scores import score_maps, score_row

EXPLANATION = """\
# F1 of the anomalous class, mean ± deviation over folds

*Paper protocol*: the attention point (in parentheses) is the best on the folds that it is scored on.
*F1* and all that follows: each fold at the point that is best on the other folds.
*Anomaly map alone*: images ranked by the mean or the 99th percentile of their map; no threshold, so no F1.
"""


def main(params: Params) -> None:
    drop_leftovers(params)
    text, tree, f1, losses = [EXPLANATION], {}, [], []
    for dataset in params.datasets:
        map_scores = pd.read_csv(paths.cv(dataset, paths.MAP_ALONE) / "scores.csv")
        map_figures = score_maps(map_scores)
        predictions = {row: pd.read_csv(paths.cv(dataset, row) / "predictions.csv") for row in params.rows}
        scores = {row: score_row(table) for row, table in predictions.items()}
        labels = map_scores["label"]
        counts = f"{labels.sum()} anomalous, {(labels == 0).sum()} normal, {params.split.folds} folds"
        text.append(markdown(dataset, counts, map_figures, scores))
        tree[dataset] = metrics(map_figures, scores)
        f1 += [{"dataset": dataset, "row": title(row), "f1": round(s.f1.mean, 4)} for row, s in scores.items()]
        for row in params.rows:
            history = pd.read_csv(paths.cv(dataset, row) / "history.csv")
            mean = history.groupby("epoch")["loss"].mean().round(4).reset_index()
            losses.append(mean.assign(dataset=dataset, row=row))
    paths.METRICS.write_text(json.dumps(tree, indent=1) + "\n")
    paths.TABLE.write_text("\n".join(text))
    with paths.whole(paths.PLOTS) as folder:
        pd.DataFrame(f1).to_csv(folder / "f1.csv", index=False)
        pd.concat(losses).to_csv(folder / "loss.csv", index=False)
    with paths.whole(paths.PICTURES) as folder:
        for dataset in params.datasets:
            for row in params.rows:
                draw_examples(paths.cv(dataset, row), folder)
    print("\n".join(text[1:]))


def draw_examples(row_folder: Path, to: Path) -> None:
    """Original, recoloured image, anomaly map and attention of a few test images, a picture a point."""
    for file in sorted(row_folder.glob("examples-*.npz")):
        with np.load(file, allow_pickle=False) as arrays:
            columns = [arrays[name] for name in ("images", "recolored", "maps", "attention")]
        grid = [list(row) for row in zip(*columns, strict=True)]
        dataset, row = row_folder.parts[-2:]
        point = file.stem.removeprefix("examples-")
        titles = ["original", "recoloured", "anomaly map", f"attention, {point}"]
        save_grid(to / f"{dataset}-{row}-{point}.png", grid, titles, tops={2: 30})


def drop_leftovers(params: Params) -> None:
    """Remove what rows and data sets that params.yaml no longer names left in data/cv.

    DVC depends on the folder as a whole: with them in it, the same results would have another hash on a
    machine that never ran them. They stay in DVC's cache, and come back with the row.
    """
    for folder in paths.CV.glob("*/*"):
        dataset, row = folder.parts[-2:]
        if dataset not in params.datasets or row not in (*params.rows, paths.MAP_ALONE):
            shutil.rmtree(folder)
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()


if __name__ == "__main__":
    stage.run("report", main)
