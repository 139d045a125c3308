"""`python -m benchmarks.mislabelled FOLDER`: how often a suspected label is wrong, on labels that were made wrong.

Samples a set, turns the labels of a share of its images, runs the pipeline's stages with the settings `quick`, and
counts the planted mistakes among the first suspects. FOLDER: as in leanet.images.layout, or a source such as
data/sources/leaf.yaml.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.time_to_f1 import run, write_params
from leanet.evaluation import predictions
from leanet.evaluation.suspects import suspects
from leanet.images import layout, sources
from leanet.images.sampling import sample

FIRST = 10
ROWS = ["resnet18", "resnet18-resnet"]


def plant(source: Path, positives: int | None, share: float, seed: int, to: Path) -> set[str]:
    """Bring a sample of `source` to the folder `to` with the labels of a share of it turned; those images."""
    to.mkdir()
    sources.fetch(source, to)
    items = sample(layout.read(to), (None, positives), seed)
    wrong = set(np.random.default_rng(seed).permutation(len(items))[: round(share * len(items))])
    rows = [{"path": item.path, "label": item.label ^ (i in wrong)} for i, item in enumerate(items)]
    pd.DataFrame(rows).to_csv(to / layout.TABLE, index=False)
    return {items[i].path for i in wrong}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mislabelled", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--positives", type=int, help="anomalous images to sample (default: all)")
    parser.add_argument("--share", type=float, default=0.05, help="of labels to turn (default: 0.05)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="of sampling and mistakes (default: 1)")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            wrong = plant(arguments.folder, arguments.positives, arguments.share, seed, root / "planted")
            write_params(root, root / "planted", None, ROWS, seed, "quick")
            for stage in ("download", "split", "augment", "train_unet", "anomaly_maps", "baselines"):
                run(root, stage, "set")
            for row in ROWS:
                run(root, "train_leanet", "set", row)
            found = suspects(predictions.read(root / "data/cv/set" / row) for row in (*ROWS, "lab-histogram"))
        first = found["path"][:FIRST]
        right = found["path"].isin(wrong).sum()
        print(
            f"seed {seed}: {len(wrong)} labels turned; {len(found)} suspects, {right} of them turned; "
            f"of the first {len(first)}: {first.isin(wrong).sum()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
