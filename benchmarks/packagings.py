"""`python -m benchmarks.packagings OUT`: do a light detector's intervals hold for images that it never saw?

Made-up leaves of three difficulties, a data set for each seed: the pipeline's own stages from drawing to package,
then 500 new leaves of each class. Small, so that a packaging takes a minute of one core: 32×32 pixels, 40
anomalous and 120 normal leaves, a U-Net of width 8 in 8 epochs, the row cnn-direct in 12. The projects stay in
OUT: what is packaged there is not packaged again. Intervals are set anew, by the code as it is now.
"""

import argparse
import contextlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sklearn.metrics import roc_auc_score

from benchmarks.startup import ROOT
from leanet.core import paths
from leanet.detector.criterion import Criterion
from leanet.detector.detector import Detector
from leanet.detector.threshold import Rate
from leanet.evaluation.baselines import BASELINES
from leanet.evaluation.rates import clopper_pearson
from leanet.images import leaf
from leanet.run import stage
from stages import anomaly_maps, augment, download, package, split, train_leanet, train_unet

DIFFICULTIES = ("easy", "medium", "hard")
SIDE, ROW, NEW = 32, "cnn-direct", 500
SETTINGS = {
    "rows": [ROW],
    "device": "cpu",
    "split": {"image_size": SIDE},
    "train_unet": {"epochs": 8, "width": 8},
    "train_leanet": {"epochs": 12},
    "execution": {"workers": 1},
}
BEFORE = (download, split, augment, train_unet, anomaly_maps)


def make(root: Path, difficulty: str, seed: int) -> None:
    """Package a detector in the project `root`, which is the working directory."""
    maps(root, {"positives": 40, "negatives": 120, "difficulty": difficulty}, seed)
    call(train_leanet, "leaf", ROW)
    for name in BASELINES:  # they would take as long again, and decide nothing where there is one row
        shutil.copytree(paths.cv("leaf", ROW), paths.cv("leaf", name), dirs_exist_ok=True)
    call(package)


def maps(root: Path, source: dict, seed: int, positives: int | None = None) -> None:
    """All stages up to the anomaly maps of made-up leaves, of which so many anomalous ones take part."""
    source |= {"draw": "leaf", "side": SIDE, "seed": seed}
    (root / "source.yaml").write_text(yaml.safe_dump(source))
    settle(root, SETTINGS, {"leaf": {"source": "source.yaml", "positives": positives, "negatives": None}}, seed)
    for script in BEFORE:
        call(script, "leaf")


def settle(root: Path, settings: dict, datasets: dict, seed: int) -> None:
    """A project of these data sets, whose settings are those of params.yaml but for these."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in settings.items():
        tree[key] = tree[key] | value if isinstance(value, dict) else value
    tree["datasets"] = datasets
    for section in ("split", "train_unet", "train_leanet"):
        tree[section]["seed"] = seed
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())


def call(script, *names: str) -> None:
    """A stage in this process, without a word."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        script.main(**stage.handed(script.__name__.removeprefix("stages."), script.main, names))


def new_leaves(difficulty: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, none of them among those of the project."""
    draw = np.random.default_rng([seed, 1])
    labels = np.repeat([1, 0], NEW)
    drawn = [leaf.draw(draw, SIDE, anomalous=bool(label), difficulty=difficulty).image for label in labels]
    return np.stack(drawn), labels


def judged(difficulty: str, seed: int) -> dict[str, object]:
    """The packaged detector's rates as it states them, and on new leaves."""
    detector = Detector.load(paths.DETECTOR, "cpu")
    images, labels = new_leaves(difficulty, seed)
    scores = detector.predict(images).scores
    at = detector.threshold_for(Criterion.parse(detector.facts["criterion"]))
    found, raised = (float((scores[labels == label] > at.value).mean()) for label in (1, 0))
    line = {"difficulty": difficulty, "seed": seed, "auroc": roc_auc_score(labels, scores)}
    for name, new in (("recall", found), ("false_alarms", raised)):
        said: Rate = getattr(at, name)
        line |= {name: said.estimate, f"{name}_low": said.low, f"{name}_high": said.high, f"{name}_new": new}
        line[f"{name}_within"] = said.low <= new <= said.high
    return line


def table(every: pd.DataFrame) -> str:
    """How often the new images' rates are within the stated intervals, in Markdown."""
    lines = [
        "| leaves | packagings | AUROC, new | recall within | false alarms within | both |",
        "|---|" + "---|" * 5,
    ]
    groups = [*every.groupby("difficulty", sort=False), ("all", every)]
    for name, group in groups:
        both = group["recall_within"] & group["false_alarms_within"]
        shares = [group["recall_within"], group["false_alarms_within"], both]
        cells = [f"{each.mean():.3f} [{', '.join(f'{x:.3f}' for x in _interval(each))}]" for each in shares]
        lines.append(f"| {name} | {len(group)} | {group['auroc'].mean():.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _interval(held: pd.Series) -> tuple[float, float]:
    return clopper_pearson(int(held.sum()), len(held))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packagings", description=__doc__)
    parser.add_argument("out", type=Path, help="where the projects stay")
    parser.add_argument(
        "--seeds", type=int, nargs=2, default=[1, 34], metavar=("FIRST", "LAST"), help="default: 1 34"
    )
    arguments = parser.parse_args()
    out, lines = arguments.out.resolve(), []
    for seed in range(arguments.seeds[0], arguments.seeds[1] + 1):
        for difficulty in DIFFICULTIES:
            root = out / f"{difficulty}-{seed}"
            root.mkdir(parents=True, exist_ok=True)
            os.chdir(root)
            if not paths.DETECTOR.exists():
                make(root, difficulty, seed)
            lines.append(judged(difficulty, seed))
            print(
                {key: round(value, 3) if isinstance(value, float) else value for key, value in lines[-1].items()}
            )
    every = pd.DataFrame(lines)
    every.round(5).to_csv(out / "packagings.csv", index=False)
    print(table(every))


if __name__ == "__main__":
    main()
