"""Photographs of 12 megapixels decoded for the networks, beside decoding them whole; and the memory it takes."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.contender import duel, peak
from benchmarks.line import Line
from leanet.images.reading import read

SIDE, BATCH, WIDTH, HEIGHT = 128, 16, 4000, 3000
DRAWN, FEW, MANY = 10, 100, 500  # photographs, and files
TURNS = 1  # of minutes


def make_files(folder: Path) -> None:
    """MANY files of DRAWN photographs: soft shapes and a sensor's noise. Those of one are names of one file."""
    rng = np.random.default_rng(0)
    for i in range(MANY):
        file = folder / f"{i:03}.jpg"
        if i >= DRAWN:
            os.link(folder / f"{i % DRAWN:03}.jpg", file)
            continue
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        pixels = np.array(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        noise = rng.integers(-6, 7, (HEIGHT, WIDTH, 1), np.int16)
        Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(file, quality=90)


def ours(folder: Path, count: int) -> Callable[[], None]:
    """What split, predict and serve do."""

    def decode() -> None:
        for _ in read(sorted(folder.iterdir())[:count], SIDE, BATCH):
            pass

    return decode


def one_by_one(folder: Path, decode: Callable[[Path], object]) -> Callable[[], None]:
    """A plain loop over the files."""

    def loop() -> None:
        for file in sorted(folder.iterdir()):
            decode(file)

    return loop


def by_pillow(file: Path) -> np.ndarray:
    """Decode all pixels, then resize."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def by_torchvision(file: Path) -> np.ndarray:
    """The same by torch's own threads."""
    from torchvision.io import decode_jpeg, read_file  # here: its memory is not ours
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    image = resize(decode_jpeg(read_file(str(file))), [SIDE, SIDE], InterpolationMode.BICUBIC, antialias=True)
    return image.permute(1, 2, 0).numpy()


def by_opencv(file: Path) -> np.ndarray:
    """Scaled by 8 while it is decoded."""
    import cv2  # no dependency of ours

    return cv2.resize(
        cv2.imread(str(file), cv2.IMREAD_REDUCED_COLOR_8), (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )


def lines() -> list[Line]:
    """Images a second, and MiB."""
    others = [
        ("Pillow, all pixels, one thread", by_pillow, "≥ 4"),
        ("torchvision, all pixels", by_torchvision, ""),
    ]
    if find_spec("cv2"):
        others.append(("OpenCV, scaled by 8, one thread", by_opencv, ""))
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        what = f"decode {WIDTH * HEIGHT / 1e6:.3g} megapixels to {SIDE}×{SIDE}"
        for beside, decode, wanted in others:
            timed = duel(partial(ours, folder, MANY), partial(one_by_one, folder, decode), turns=TURNS)
            speeds = [MANY / seconds for seconds in (timed.ours, timed.other)]
            table.append(Line(what, speeds[0], "images/s", beside, speeds[1], "times faster", timed.ratio, wanted))
        few, many = (peak(partial(ours, folder, count)) for count in (FEW, MANY))
    name = f"{what}, {MANY} images"
    return [*table, Line(name, many, "MiB", f"{FEW} images", few, "times as much", many / few, "≤ 1.3")]
