"""Stage report: tables, plots, pictures and the page, from what the other stages left (4-3 to 4-5)."""

import json
import shutil

from leanet import paths, stage
from leanet.data import imageset
from leanet.params import Params
from leanet.report.figures import draw_examples, pictures
from leanet.report.page import page, section
from leanet.report.plots import plots
from leanet.report.results import load
from leanet.report.tables import markdown, metrics, remarks, tables
from leanet.rows import BASELINES


def main(params: Params) -> None:
    drop_leftovers(params)
    every = {dataset: load(params, dataset) for dataset in params.datasets}
    made = {dataset: tables(results) for dataset, results in every.items()}
    said = {dataset: remarks(results) for dataset, results in every.items()}

    facts = {
        "recipe": params.recipe,
        "images": f"{params.split.image_size}×{params.split.image_size}",
        "cross-validation": f"{params.split.repeats} × {params.split.folds} folds, seed {params.split.seed}",
        "epochs": str(params.train_leanet.epochs),
        "attention points": ", ".join(map(str, params.train_leanet.points)),
    }

    tree = {dataset: metrics(results) for dataset, results in every.items()}
    paths.write(paths.METRICS, json.dumps(tree, indent=1) + "\n")
    run = "; ".join(f"{name} {value}" for name, value in facts.items()) + "\n"
    text = "\n".join([run, *(markdown(every[dataset], made[dataset], said[dataset]) for dataset in every)])
    paths.write(paths.TABLE, text)
    with paths.whole(paths.TABLES) as folder:
        for dataset, tables_ in made.items():
            for table in tables_:
                table.frame.to_csv(folder / f"{dataset}-{table.name}.csv", index=False)
    with paths.whole(paths.PLOTS) as folder:
        for name, points in plots(list(every.values())).items():
            points.to_csv(folder / f"{name}.csv", index=False)
    with paths.whole(paths.PICTURES) as folder:
        for dataset in every:
            for row in params.rows:
                draw_examples(paths.cv(dataset, row), folder)

    sections = []
    for dataset, results in every.items():
        data = imageset.load(paths.split(dataset), params.split.image_size)
        maps = [imageset.load_maps(paths.maps(dataset), fold, data) for fold in range(params.split.folds)]
        sections.append(
            section(
                results,
                made[dataset],
                said[dataset],
                pictures(dataset),
                data.images,
                lambda i, maps=maps, data=data: maps[data.first_tested_in[i]][i],
            )
        )
    paths.write(paths.PAGE, page(sections, facts))
    print(text)
    print(f"the same with all images, to look at: {paths.PAGE.resolve()}")


def drop_leftovers(params: Params) -> None:
    """Remove what rows and data sets that params.yaml no longer names left in the folders read here.

    DVC depends on the folders as a whole: with leftovers in them, the same results would have another hash on
    a machine that never ran them. They stay in DVC's cache, and come back with the row.
    """
    rows = {paths.CV: params.rows, paths.SWEEP: params.sweep.rows}
    roots = (paths.SPLIT, paths.MAPS, paths.PREVIEWS, paths.LOCALIZATION, *rows)
    left = [folder for root in roots for folder in root.glob("*/") if folder.name not in params.datasets]
    for root, named in rows.items():
        left += [folder for folder in root.glob("*/*/") if folder.name not in (*named, *BASELINES)]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)  # one may lie in another


if __name__ == "__main__":
    stage.run("report", main)
