"""`python -m benchmarks.study FOLDER OUT`: rows on real photographs, as they come and with filled backgrounds.

Runs the pipeline's own stages with the settings `quick` at attention point 3, with all positives and a quarter of
them, once for each seed: sampling, folds, first weights and draws follow it. The projects stay in OUT, with their
pages. Figures are added to study.csv beside this file; what is there is not run again.
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.time_to_f1 import SHARED, run, write_params
from leanet.core import paths
from leanet.evaluation.baselines import BASELINES
from leanet.evaluation.predictions import read, read_altered
from leanet.evaluation.scores import changed, score_row

ROWS = ("resnet18", "resnet18-direct", "resnet18-mobilenet", "resnet18-resnet", "resnet18-contrast")
BACKGROUNDS = {"find": "as they come", "fill": "filled"}
QUARTER = 0.25
SCORES = {"f1": "F1", "tuned_f1": "F1, tuned threshold", "average_precision": "average precision"}
FIGURES = SCORES | {"blurred": "AUROC, object blurred away", "changed": "verdicts changed"}
RESULTS = Path(__file__).with_suffix(".csv")


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
    """The scores of each row and share of positives in the project `root`, means over folds; NaN: undefined.

    Of networks that were trained with all positives, also "blurred", the AUROC of images whose object is blurred
    away, and "changed", the share of verdicts that change on other surroundings.
    """
    lines = []
    for row in (*ROWS, *BASELINES):
        for share, place in ((1.0, paths.cv("set", row)), (QUARTER, paths.sweep("set", row))):
            predictions = read(root / place)
            scores = score_row(predictions, predictions["fold"].nunique())
            line = {"row": row, "share": share} | {name: getattr(scores, name).mean for name in SCORES}
            if row in ROWS and share == 1:
                altered = read_altered(root / place)
                blurred, exchanged = (altered[altered["kind"] == kind] for kind in ("blurred", "exchanged"))
                line["blurred"] = score_row(blurred, blurred["fold"].nunique()).auroc.mean
                differ = changed(predictions, exchanged)
                line["changed"] = differ.count / differ.total
            lines.append(line)
    table = pd.DataFrame(lines)
    return table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in FIGURES})


def show(every: pd.DataFrame) -> str:
    """Means over seeds as Markdown, with the lowest and the highest seed."""

    def cell(values: pd.Series) -> str:
        if values.isna().all():
            return ""
        return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"

    lines = ["| images | positives | row | seeds | " + " | ".join(FIGURES.values()) + " |", "|---" * 9 + "|"]
    for (background, share, row), of_row in every.groupby(["background", "share", "row"], sort=False):
        cells = [background, "all" if share == 1 else "a quarter", row, str(len(of_row))]
        lines.append("| " + " | ".join(cells + [cell(of_row[name]) for name in FIGURES]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("folder", type=Path, help="it holds Positive/ (anomalous) and Negative/ (normal)")
    parser.add_argument("out", type=Path, help="where the projects stay")
    parser.add_argument("--positives", type=int, default=50, help="anomalous images to sample (default: 50)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default: 1 2 3")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder}: no such folder")
    every = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["background", "seed"])
    done = set(every[["background", "seed"]].itertuples(index=False, name=None))
    for seed in arguments.seeds:
        for background, name in BACKGROUNDS.items():
            if (name, seed) in done:
                continue
            root = arguments.out / f"{background}-{seed}"
            study(root, arguments.folder, arguments.positives, background, seed)
            found = figures(root).assign(background=name, seed=seed)
            every = pd.concat([every, found]) if len(every) else found
            every.round(4).to_csv(RESULTS, index=False)
    print(show(every[every["seed"].isin(arguments.seeds)]))


if __name__ == "__main__":
    main()
