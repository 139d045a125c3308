"""Stage split on 20,000 and on 200,000 files: neither its memory nor its time an image is to grow with them."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.line import Line
from benchmarks.memory import peak
from benchmarks.startup import ROOT

SIDE, FEW, MANY = 32, 20_000, 200_000


def make_project(root: Path, count: int) -> None:
    """A project with so many JPEGs of noise, a tenth of them positive."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"] = {"noise": {"source": ".", "positives": None, "negatives": None}}
    params["split"].update(image_size=SIDE)
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(ROOT / "dvc.yaml", root)
    rng = np.random.default_rng(0)
    for label, images in (("Negative", count - count // 10), ("Positive", count // 10)):
        folder = root / "data/raw/noise" / label
        folder.mkdir(parents=True)
        for i in range(images):
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{i:06}.jpg")


def split(count: int) -> tuple[float, float]:
    """Images a second of the stage's own work, and its largest resident memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        make_project(Path(folder), count)
        memory = peak(Path(folder), "stages.split", "noise")
        (log,) = Path(folder, "logs").glob("*.json")
        return count / json.loads(log.read_text())["seconds"], memory


def lines() -> list[Line]:
    """Images a second, and MiB."""
    (few_speed, few_memory), (speed, memory) = split(FEW), split(MANY)
    name, beside, slower = f"split, {MANY:,} images", f"{FEW:,} images", few_speed / speed
    return [
        Line(name, speed, "images/s", beside, few_speed, "times the time an image", slower, "≤ 1.3"),
        Line(name, memory, "MiB", beside, few_memory, "times as much", memory / few_memory, "≤ 1.3"),
    ]
