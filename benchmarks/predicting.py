"""The detector on files, beside the bare forward passes of its networks on tensors."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.contender import duel, peak
from benchmarks.line import Line
from leanet.detector.detector import BATCH, Detector
from leanet.detector.ensemble import Member
from leanet.training import recipe as recipes

ROW, SIDE, MEMBERS, COUNT = "resnet18-resnet", 128, 5, 200
FACTS = {
    "row": ROW,
    "side": SIDE,
    "attends": True,
    "criterion": "best-f1",
    "calibration": {"slope": 1.0, "intercept": 0.0, "prevalence": 0.5},
    "members": [f"member{number}.safetensors" for number in range(MEMBERS)],
}


def make_detector() -> Detector:
    """One of untrained networks."""
    torch.manual_seed(0)
    members = [
        Member(ROW, side=SIDE, unet_width=32, filled=False, point=4, recipe="fast", map_scale=30)
        for _ in range(MEMBERS)
    ]
    known = {
        "margins": np.array([-1.0, -1, 1, 1]),
        "labels": np.array([0, 0, 1, 1]),
        "folds": np.array([0, 1, 0, 1]),
    }
    return Detector(FACTS, known, members).to("auto")


def on_files(folder: Path) -> Callable[[], None]:
    """What `python -m leanet predict` does with each image: read, decode, resize, judge."""
    detector, files = make_detector(), sorted(folder.iterdir())

    def judge() -> None:
        for _ in detector.stream(files):
            pass

    return judge


def networks_alone(folder: Path) -> Callable[[], None]:
    """Each network's forward passes, of the classifiers one a view, on tensors that are there."""
    detector = make_detector()
    images = torch.rand(BATCH, 3, SIDE, SIDE, device=detector.device).to(memory_format=torch.channels_last)
    lightness, maps = images[:, :1].contiguous(), images[:, 1:2].contiguous()

    @torch.inference_mode()
    def forward() -> None:
        for start in range(0, COUNT, BATCH):
            some = slice(0, min(BATCH, COUNT - start))
            for member in detector.ensemble.members:
                member.unet(lightness[some])
                for view in recipes.views(images[some], maps[some]):
                    member.network(*view)

    return forward


def lines() -> list[Line]:
    """Images a second, and MiB."""
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for number in range(COUNT):
            pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).resize((256, 256)).save(Path(folder) / f"{number:03}.jpg")
        ours, other = partial(on_files, Path(folder)), partial(networks_alone, Path(folder))
        timed = duel(ours, other, turns=3)
        peaks = [peak(make) for make in (ours, other)]
    speeds = [COUNT / seconds for seconds in (timed.ours, timed.other)]
    beside = "its networks' forward passes alone"
    name = f"detector, {COUNT} files"
    return [
        Line(name, speeds[0], "images/s", beside, speeds[1], "times the time", 1 / timed.ratio, "≤ 1.2"),
        Line(name, peaks[0], "MiB", beside, peaks[1], "times as much", peaks[0] / peaks[1], "≤ 1.2"),
    ]
