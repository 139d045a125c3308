"""Where each artefact lies, relative to the project's root; nobody else spells a path."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PARAMS = Path("params.yaml")
SOURCES = Path("data/sources")  # descriptions of data sets
FIRST_SEEN = SOURCES / "first-seen.json"  # hashes of archives whose publisher gives none
DOWNLOADS = Path("data/downloads")  # archives: outside DVC, since data sets share them; may be removed
ACCEPTED = DOWNLOADS / "accepted.txt"  # pages of the licences that this user has agreed to
KEPT = Path("data/kept")  # what trainings came to: outside DVC, which removes outputs before a stage runs
LOGS = Path("logs")  # timings: outside DVC, since they differ from run to run
METRICS = Path("metrics/report.json")
TABLE = Path("metrics/report.md")
TABLES = Path("metrics/tables")
PLOTS = Path("metrics/plots")
PICTURES = Path("report/pictures")
PAGE = Path("report/index.html")
DETECTOR = Path("models/detector")

SPLIT, MAPS, PREVIEWS, LOCALIZATION, CV, SWEEP = (
    Path("data") / name for name in ("split", "maps", "previews", "localization", "cv", "sweep")
)


def raw(dataset: str) -> Path:
    """Images as they came: `Positive/`, `Negative/`, and `Mask/` where the set has masks."""
    return Path("data/raw") / dataset


def split(dataset: str) -> Path:
    """`images.npy`, `manifest.csv` and, where the set has ground truth, `masks.npy`."""
    return SPLIT / dataset


def basis(dataset: str) -> Path:
    """The Fancy-PCA basis of each fold."""
    return Path("data/augment") / f"{dataset}.json"


def unet(dataset: str) -> Path:
    """`fold<k>.safetensors`, one colouriser a fold, and their history."""
    return Path("data/unet") / dataset


def maps(dataset: str) -> Path:
    """`fold<k>.npy`, the anomaly maps of all images by the colouriser of fold k, and `recolored.npy`."""
    return MAPS / dataset


def preview(dataset: str, stage: str) -> Path:
    """A picture for people; apart from what networks are trained on, so that its looks never retrain one."""
    return PREVIEWS / dataset / f"{stage}.png"


def findings(dataset: str) -> Path:
    """What stage split found in the images; beside the pictures, since its words retrain no network either."""
    return PREVIEWS / dataset / "findings.json"


def cv(dataset: str, row: str) -> Path:
    """`predictions.csv` of the cross-validated `row` or baseline, its history and a few examples for pictures."""
    return CV / dataset / row


def localization(dataset: str) -> Path:
    """How well the anomaly maps find the place, a row a fold."""
    return LOCALIZATION / dataset / "folds.json"


def sweep(dataset: str, row: str) -> Path:
    """`predictions.csv` of the `row` or baseline at shares of the training positives, and its history."""
    return SWEEP / dataset / row


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder that appears complete or not at all, whenever the process is killed or the power lost.

    Yields an empty folder beside `folder` to write to; it takes the place of `folder` when the block
    ends well, and is removed when it does not.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        for inside in (*part.rglob("*"), part):
            _sync(inside)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """The same for a file: yields a name beside `file` to write to."""
    part = file.with_name(f"{file.name}.part")
    try:
        yield part
        _sync(part)
        part.replace(file)
        _sync(file.parent)
    finally:
        part.unlink(missing_ok=True)


def write(file: Path, text: str) -> None:
    """Write `text` to `file` as a whole, in a folder that need not be there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def alone(file: Path, waiting: str) -> Iterator[None]:
    """No two processes work on `file` at once: the second prints the line `waiting`, and waits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f"{file.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(waiting, file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sync(path: Path) -> None:
    """Wait until what `path` holds would outlive a loss of power."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
