"""`python -m benchmarks.time_to_f1 FOLDER`: from raw images to the five-fold F1 of a LEA-Net row, by the clock.

Runs the pipeline's own stages with the settings `photos` on a folder with Positive/ and Negative/, once for
each seed: sampling, folds, first weights and draws all follow it. The plain network stands beside.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.startup import ROOT
from leanet.evaluation.scores import score_row
from leanet.run.pipeline import address

SHARED = ("download", "split", "augment", "train_unet", "anomaly_maps")


def write_params(
    root: Path,
    source: Path,
    positives: int | None,
    rows: list[str],
    seed: int,
    settings: str = "photos",
    **changed: dict,
) -> None:
    """params.yaml: the project's own with settings over it, what is changed in sections, and one seed."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for overlay in (yaml.safe_load((ROOT / f"settings/{settings}.yaml").read_text()), changed):
        for key, value in overlay.items():
            tree[key] = tree[key] | value if isinstance(value, dict) else value
    tree["datasets"] = {"set": {"source": str(source.resolve()), "positives": positives, "negatives": None}}
    tree["rows"] = rows
    for section in ("split", "train_unet", "train_leanet"):
        tree[section]["seed"] = seed
    (root / "params.yaml").write_text(yaml.safe_dump(tree))


def run(root: Path, stage: str, *names: str) -> tuple[float, int]:
    """Wall seconds of a stage, from the start of its Python, and how many images it trained on."""
    shutil.copy(ROOT / "dvc.yaml", root)
    started = time.perf_counter()
    command = [sys.executable, "-m", f"stages.{stage}", *names]
    done = subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(ROOT)})
    if done.returncode:
        sys.exit(done.returncode)  # the stage has said why
    seconds = time.perf_counter() - started
    log = json.loads((root / f"logs/{address(stage, names)}.json").read_text())
    return seconds, log.get("images_trained", 0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_f1", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="it holds Positive/ (anomalous) and Negative/ (normal)")
    parser.add_argument("--positives", type=int, default=50, help="anomalous images to sample (default: 50)")
    rows = {"nargs": "+", "metavar": "ROW", "default": ["resnet18-resnet", "resnet18"]}
    parser.add_argument("--rows", **rows, help="of the table (default: resnet18-resnet resnet18)")
    text = "of sampling, folds, weights and draws alike (default: 1 2 3)"
    parser.add_argument("--seeds", nargs="+", metavar="SEED", type=int, default=[1, 2, 3], help=text)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    figures = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_params(root, arguments.folder, arguments.positives, arguments.rows, seed)
            shared = [run(root, stage, "set") for stage in SHARED]
            for row in arguments.rows:
                own = run(root, "train_leanet", "set", row)
                needed = [*shared, own] if "-" in row else [*shared[:2], own]  # a plain network needs no map
                predictions = pd.read_csv(root / "data/cv/set" / row / "predictions.csv")
                scores = score_row(predictions, predictions["fold"].nunique()).numbers
                figures.append(
                    {
                        "row": row,
                        "seed": seed,
                        "f1": scores["f1"]["mean"],
                        "deviation": scores["f1"]["deviation"],
                        "seconds": sum(seconds for seconds, _ in needed),
                        "images_trained": sum(images for _, images in needed),
                    }
                )
    table = pd.DataFrame(figures).sort_values(["row", "seed"])
    print("| row | seed | F1, five folds | minutes | images trained |\n|---|---|---|---|---|")
    for _, line in table.iterrows():
        print(
            f"| {line['row']} | {line['seed']} | {line['f1']:.3f} ± {line['deviation']:.3f} | "
            f"{line['seconds'] / 60:.1f} | {line['images_trained']:,} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
