"""`leanet predict` as people run it: a process, a folder of JPEGs, a light detector and an ensemble of one row.

`python -m benchmarks predicting` takes networks that were never trained, and made-up images. `python -m
benchmarks.predicting DETECTOR IMAGES` takes those that it is given.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.line import Line
from leanet.detector.calibration import Calibration
from leanet.detector.choosing import choose
from leanet.detector.criterion import Criterion
from leanet.detector.ensemble import Ensemble, Member
from leanet.packaging.package import save

ROW, SIDE, MEMBERS = "resnet18-resnet", 128, 5
COUNTS = {"light": 1000, "ensemble": 50}  # images; the ensemble takes long
MIB = 2**20


@dataclass(frozen=True)
class Run:
    """Of one `leanet predict`: seconds in all and to its first line, and the most memory that it held, in MiB."""

    seconds: float
    first: float
    peak: float


def predict(detector: Path, images: Path) -> Run:
    """`leanet predict` of all images in a folder, on the CPU."""
    command = [sys.executable, "-m", "leanet", "predict", "--device", "cpu", "--format", "jsonl"]
    first, peak = 0.0, 0
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--detector", str(detector), str(images)], stdout=said, stderr=subprocess.DEVNULL
        )
        while process.poll() is None:
            time.sleep(0.01)
            if not first and os.fstat(said.fileno()).st_size:
                first = time.perf_counter() - began
            # Not what wait() tells: that is at least the memory of this process, which it was forked from.
            held = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            peak = max(peak, int(held[1]) if held else 0)
        seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"leanet predict --detector {detector} {images} failed")
    return Run(seconds, first, peak / 1024)


def size(folder: Path) -> float:
    """MiB of the files in a folder."""
    return sum(file.stat().st_size for file in folder.iterdir()) / MIB


def make_detector(folder: Path, kind: str) -> None:
    """One of untrained networks, as stage package writes it."""
    torch.manual_seed(0)
    settings = {"unet_width": 32, "recipe": "fast", "map_scale": 30, "pretrained": False}
    calibration = Calibration(1.0, 0.0, 0.5)
    facts = settings | {
        "kind": kind,
        "row": ROW,
        "point": 4,
        "side": SIDE,
        "attends": True,
        "preparation": {"border": 0.05, "white_balance": False, "background": "keep"},
        "border": None,
        "criterion": "best-f1",
        "calibration": vars(calibration),
        "images": [],
        "provenance": {},
    }
    members = [
        Member(ROW, side=SIDE, filled=False, point=4, one_look=kind == "light", **settings)
        for _ in range(1 if kind == "light" else MEMBERS)
    ]
    draw = np.random.default_rng(0)
    known = {
        "margins": np.array([-1, -1, 1, 1], np.float32),
        "labels": np.array([0, 0, 1, 1]),
        "folds": np.array([0, 1, 0, 1]),
        "groups": np.arange(4),
        "sample": np.arange(4),
        "statistics": draw.random((4, 4)),
    }
    of_images = (known[name] for name in ("labels", "folds", "groups"))
    scores = calibration.probabilities(known["margins"])
    at = choose(Criterion.parse("best-f1"), scores, *of_images, one_network=kind == "light")
    images = draw.integers(0, 256, (64, SIDE, SIDE, 3), np.uint8)
    folder.mkdir()
    save(folder, facts | {"threshold": at.facts}, known, Ensemble(members, calibration).eval(), images)


def make_images(folder: Path, count: int) -> None:
    draw = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).resize((256, 256)).save(folder / f"{number:04}.jpg")


def lines() -> list[Line]:
    """Images a second, seconds to the first line, MiB."""
    with tempfile.TemporaryDirectory() as folder:
        root, runs, sizes = Path(folder), {}, {}
        for kind, count in COUNTS.items():
            make_detector(root / kind, kind)
            make_images(root / f"images-{kind}", count)
            runs[kind] = predict(root / kind, root / f"images-{kind}")
            sizes[kind] = size(root / kind)
    light, other, beside = runs["light"], runs["ensemble"], "ensemble"
    speeds = [COUNTS[kind] / run.seconds for kind, run in runs.items()]
    return [
        Line(
            "leanet predict, 1,000 JPEGs", speeds[0], "images/s", beside, speeds[1], "images/s", speeds[0], "≥ 60"
        ),
        Line("its first line", light.first, "s", beside, other.first, "seconds", light.first, "≤ 1.0"),
        Line("its peak", light.peak, "MiB", beside, other.peak, "MiB", light.peak, "≤ 400"),
        Line("the detector", sizes["light"], "MiB", beside, sizes["ensemble"], "MiB", sizes["light"], "≤ 40"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predicting", description=__doc__.splitlines()[0])
    parser.add_argument("detector", type=Path, help="a folder")
    parser.add_argument("images", type=Path, help="a folder; all images below it")
    arguments = parser.parse_args()
    count = sum(1 for file in arguments.images.rglob("*") if file.is_file())
    run = predict(arguments.detector, arguments.images)
    print(
        f"{count} files in {run.seconds:.1f} s, {count / run.seconds:.1f} a second; "
        f"first line after {run.first:.2f} s; peak {run.peak:.0f} MiB; detector {size(arguments.detector):.1f} MiB"
    )


if __name__ == "__main__":
    main()
