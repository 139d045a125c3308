"""`python -m benchmarks.study FOLDER OUT`: rows on real photographs, as they come and with filled backgrounds.

Runs the pipeline's own stages with the settings `quick` at attention point 3, with all positives and a quarter of
them, once for each seed: sampling, folds, first weights and draws follow it. The projects stay in OUT, with their
pages; a second run goes on where the first was cut off.
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.time_to_f1 import SHARED, run, write_params
from leanet.core import paths
from leanet.evaluation.baselines import BASELINES
from leanet.evaluation.predictions import read
from leanet.evaluation.scores import score_row

ROWS = ("resnet18", "resnet18-direct", "resnet18-mobilenet", "resnet18-resnet", "resnet18-contrast")
BACKGROUNDS = {"find": "as they come", "fill": "filled"}
QUARTER = 0.25
FIGURES = ("f1", "tuned_f1", "average_precision")


def study(root: Path, source: Path, positives: int, background: str, seed: int) -> None:
    """Run everything of one seed in the project `root`."""
    root.mkdir(parents=True, exist_ok=True)
    at = {"train_leanet": {"points": [3]}, "sweep": {"rows": list(ROWS), "shares": [QUARTER], "point": 3}}
    split = {"split": {"background": background}}
    write_params(root, source, positives, list(ROWS), seed, "quick", **at, **split)
    for stage in (*SHARED, "baselines"):
        run(root, stage, "set")
    for row in ROWS:
        run(root, "train_leanet", "set", row)
        run(root, "sweep", "set", row)
    run(root, "report")


def figures(root: Path) -> pd.DataFrame:
    """The scores of each row and share of positives in the project `root`, means over folds; NaN: undefined."""
    lines = []
    for row in (*ROWS, *BASELINES):
        for share, place in ((1, paths.cv("set", row)), (QUARTER, paths.sweep("set", row))):
            predictions = read(root / place)
            scores = score_row(predictions, predictions["fold"].nunique())
            means = {name: getattr(scores, name).mean for name in FIGURES}
            lines.append({"row": row, "share": share} | means)
    table = pd.DataFrame(lines)
    return table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in FIGURES})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("folder", type=Path, help="it holds Positive/ (anomalous) and Negative/ (normal)")
    parser.add_argument("out", type=Path, help="where the projects stay")
    parser.add_argument("--positives", type=int, default=50, help="anomalous images to sample (default: 50)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default: 1 2 3")
    arguments = parser.parse_args()
    found = []
    for seed in arguments.seeds:
        for background, name in BACKGROUNDS.items():
            root = arguments.out / f"{background}-{seed}"
            if not (done := root / "figures.csv").exists():
                study(root, arguments.folder, arguments.positives, background, seed)
                figures(root).to_csv(done, index=False)
            found.append(pd.read_csv(done).assign(seed=seed, background=name))
    every = pd.concat(found)
    print("| images | positives | row | F1 | F1, tuned threshold | average precision |\n|---|---|---|---|---|---|")
    for (background, share, row), of_row in every.groupby(["background", "share", "row"], sort=False):
        cells = [
            f"{of_row[name].mean():.3f} ({of_row[name].min():.3f} to {of_row[name].max():.3f})" for name in FIGURES
        ]
        print(f"| {background} | {'all' if share == 1 else 'a quarter'} | {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
