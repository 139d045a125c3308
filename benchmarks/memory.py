"""Peak memory of stages on 2,000 and on 20,000 images of 128×128: it is not to grow with them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from benchmarks.line import Line
from benchmarks.startup import ROOT
from leanet.color.unet import UNet

SIDE, FEW, MANY = 128, 2_000, 20_000


def make_project(root: Path, count: int) -> None:
    """A project with so many images of noise, a tenth of them positive, in two folds, and untrained U-Nets."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"] = {"noise": {"source": ".", "positives": None, "negatives": None}}
    params["rows"] = ["cnn-direct"]
    params["split"].update(image_size=SIDE, folds=2)
    params["train_leanet"].update(points=[4], epochs=1)
    params["execution"].update(workers=1)  # in the stage's own process
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(ROOT / "dvc.yaml", root)
    rng = np.random.default_rng(0)
    for label, images in (("Negative", count - count // 10), ("Positive", count // 10)):
        folder = root / "data/raw/noise" / label
        folder.mkdir(parents=True)
        for i in range(images):
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{i:05}.bmp")
    (root / "data/unet/noise").mkdir(parents=True)
    torch.manual_seed(0)
    for fold in range(2):
        unet = UNet(side=SIDE, width=params["train_unet"]["width"], dropout=0)
        save_file(unet.state_dict(), root / f"data/unet/noise/fold{fold}.safetensors")


# Asked of the process itself, at its end: what its parent knows of it counts the parent's own memory.
MEASURED = """
import re, runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak(root: Path, *stage: str) -> float:
    """Largest resident memory of a stage in MiB, on Linux; it runs in `root`, on this project's code."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *stage],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout) / 1024


def lines() -> list[Line]:
    """MiB."""
    stages = (
        ("stages.split", "noise"),
        ("stages.anomaly_maps", "noise"),
        ("stages.train_leanet", "noise", "cnn-direct"),
    )
    peaks = []
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            make_project(Path(folder), count)
            peaks.append([peak(Path(folder), *stage) for stage in stages])
    table = []
    for (stage, *_), few, many in zip(stages, *peaks, strict=True):
        name = f"peak of {stage.removeprefix('stages.')}, {MANY:,} images"
        figures = (name, many, "MiB", f"{FEW:,} images", few)
        table.append(Line(*figures, "times as much", many / few, "≤ 1.3"))
        table.append(Line(*figures, "MiB", many, "≤ 2048"))
    return table
