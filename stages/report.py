"""Stage report: tables, plots, pictures and the page, from what the other stages left (4-3 to 4-5)."""

import json

from leanet.attention.settings import Sweep, TrainLEANet
from leanet.color.settings import Augment
from leanet.core import files, paths
from leanet.images import imageset
from leanet.images.settings import Dataset, Split
from leanet.report import plots
from leanet.report.figures import draw
from leanet.report.page import page, section
from leanet.report.results import load
from leanet.report.tables import markdown, metrics, tables
from leanet.report.words import remarks, summary
from leanet.run import leftovers, stage
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
    leftovers.drop(list(datasets), rows, sweep.rows)
    every = [load(dataset, rows, sweep.rows, recipe=recipe) for dataset in datasets]
    made = [(results, tables(results), [summary(results), *remarks(results)]) for results in every]
    facts = {
        "recipe": recipe,
        "images": f"{split.image_size}×{split.image_size}",
        "cross-validation": f"{split.repeats} × {split.folds} folds, seed {split.seed}",
    }
    if any(results.trained for results in every):
        facts |= {"epochs": str(train_leanet.epochs), "attention points": ", ".join(map(str, train_leanet.points))}
    with files.whole(paths.METRICS) as folder:
        for results in every:
            for row, figures in metrics(results).items():
                files.write(folder / results.dataset / f"{row}.json", json.dumps(figures, indent=1) + "\n")
    run = "; ".join(f"{name} {value}" for name, value in facts.items()) + "\n"
    text = "\n".join([run, *(markdown(*each) for each in made)])
    files.write(paths.TABLE, text)
    with files.whole(paths.TABLES) as folder:
        for results, tables_, _ in made:
            for table in tables_:
                table.frame.to_csv(folder / f"{results.dataset}-{table.name}.csv", index=False)
    sections = []
    with files.whole(paths.PICTURES) as folder:
        for each in made:
            data = imageset.load(paths.split(each[0].dataset))
            pictures = draw(each[0], data, augment.std, folder)
            plots.draw(each[0], folder)
            sections.append(section(*each, pictures, data, paths.maps(each[0].dataset)))
    files.write(paths.PAGE, page(sections, facts))
    print(text)
    print(f"the same with all images, to look at: {paths.PAGE.resolve()}")


if __name__ == "__main__":
    stage.run("report", main)
