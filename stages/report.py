"""Stage report: tables, plots, pictures and the page, from what the other stages left (4-3 to 4-5)."""

import json
import shutil

from leanet.attention.settings import Sweep, TrainLEANet
from leanet.color.settings import Augment
from leanet.core import files, paths
from leanet.evaluation.baselines import BASELINES
from leanet.images import imageset
from leanet.images.settings import Dataset, Split
from leanet.report.figures import draw
from leanet.report.page import page, section
from leanet.report.plots import plots
from leanet.report.results import load
from leanet.report.tables import markdown, metrics, remarks, tables
from leanet.run import stage
from leanet.training.settings import Recipe


def main(
    datasets: dict[str, Dataset],
    rows: list[str],
    split: Split,
    augment: Augment,
    sweep: Sweep,
    train_leanet: TrainLEANet,
    recipe: Recipe,
) -> None:
    drop_leftovers(list(datasets), rows, sweep.rows)
    every = [load(dataset, rows, sweep.rows, recipe=recipe, folds=split.folds) for dataset in datasets]
    made = [(results, tables(results), remarks(results)) for results in every]
    facts = {
        "recipe": recipe,
        "images": f"{split.image_size}×{split.image_size}",
        "cross-validation": f"{split.repeats} × {split.folds} folds, seed {split.seed}",
        "epochs": str(train_leanet.epochs),
        "attention points": ", ".join(map(str, train_leanet.points)),
    }

    tree = {results.dataset: metrics(results) for results in every}
    files.write(paths.METRICS, json.dumps(tree, indent=1) + "\n")
    run = "; ".join(f"{name} {value}" for name, value in facts.items()) + "\n"
    text = "\n".join([run, *(markdown(*each) for each in made)])
    files.write(paths.TABLE, text)
    with files.whole(paths.TABLES) as folder:
        for results, tables_, _ in made:
            for table in tables_:
                table.frame.to_csv(folder / f"{results.dataset}-{table.name}.csv", index=False)
    with files.whole(paths.PLOTS) as folder:
        for name, points in plots(every).items():
            points.to_csv(folder / f"{name}.csv", index=False)
    sections = []
    with files.whole(paths.PICTURES) as folder:
        for each in made:
            data = imageset.load(paths.split(each[0].dataset))
            pictures = draw(each[0], data, augment.std, folder)
            sections.append(section(*each, pictures, data, paths.maps(each[0].dataset)))
    files.write(paths.PAGE, page(sections, facts))
    print(text)
    print(f"the same with all images, to look at: {paths.PAGE.resolve()}")


def drop_leftovers(datasets: list[str], rows: list[str], swept_rows: list[str]) -> None:
    """Remove what rows and data sets that params.yaml no longer names left in the folders that stages read.

    DVC depends on the folders as a whole: with leftovers in them, the same results would have another hash on
    a machine that never ran them. They stay in DVC's cache, and come back with the row.
    """
    by_row = {paths.CV: rows, paths.SWEEP: swept_rows}
    by_dataset = (paths.SPLIT, paths.AUGMENT, paths.UNET, paths.MAPS, paths.LOCALIZATION, *by_row)
    left = [entry for root in by_dataset for entry in root.glob("*") if entry.stem not in datasets]
    for root, named in by_row.items():
        left += [folder for folder in root.glob("*/*/") if folder.name not in (*named, *BASELINES)]
    for entry in left:
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.suffix == ".json":  # of stage augment; DVC keeps its .gitignore beside it
            entry.unlink()


if __name__ == "__main__":
    stage.run("report", main)
