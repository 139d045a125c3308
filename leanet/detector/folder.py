"""What lies in a detector's folder, read as if a stranger had put it there."""

import os
import reprlib
import stat
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from leanet.core import files, paths
from leanet.core.errors import InputError
from leanet.detector.facts import MENDED, UNSAID, check

KNOWN = "known.safetensors"
GRAPH = "detector.onnx"  # of a light detector
LONGEST = 2**26  # bytes of what a detector says of itself: a million images have room
KINDS = {"float": "efd", "integer": "bhilqBHILQ", "uint8": "B"}  # by numpy's letters
ARRAYS = {  # by name: numbers of what kind, and the shape; the same word is the same number everywhere
    "margins": ("float", "images"),
    "labels": ("integer", "images"),
    "folds": ("integer", "images"),
    "groups": ("integer", "images"),
    "sample": ("integer", "sample"),
    "statistics": ("float", "sample 4"),
    "gallery": ("integer", "gallery"),
    "thumbnails": ("uint8", "gallery side side 3"),
    "embeddings": ("float", "gallery features"),
}


def folder_of(address: str | Path) -> Path:
    """The folder of a detector: itself, or what MLflow gives for the address of a model."""
    if ":/" not in str(address) or Path(address).is_dir():
        return Path(address)
    import mlflow

    from leanet.tracking import store

    store.check()
    mlflow.set_tracking_uri(store.address())
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=address))
    except Exception as error:
        raise InputError(
            f"{address}: MLflow at {store.address()} does not give it ({store.reason(error)})"
        ) from None
    return folder / "artifacts" / "detector"


def read_facts(folder: Path) -> dict:
    """What the detector in a folder says of itself.

    Raises:
        InputError: there is none, or its file is damaged or says what cannot be.
    """
    file = folder / paths.FACTS
    absent = f"{folder}: no detector there; --detector names its folder, and `dvc repro package` makes one"
    try:
        facts = UNSAID | files.from_json(_regular(file, absent, LONGEST).read_bytes())
    except (ValueError, TypeError):
        raise InputError(f"{file} is damaged; {MENDED}") from None
    check(facts, file)
    needed = [name for pair in facts["members"] for name in pair] if facts["kind"] == "ensemble" else [GRAPH]
    if lacking := {*needed, KNOWN} - facts["files"].keys():
        raise InputError(f"{file}: files has no {reprlib.repr(min(lacking))}; {MENDED}")
    return facts


def check_files(folder: Path, facts: dict) -> None:
    """Make sure that all files of the detector that `facts` describe are there as they were written.

    Raises:
        InputError: one is not.
    """
    for name, digest in facts["files"].items():
        damaged = f"{folder / name} is missing or damaged; {MENDED}"
        if files.sha256(_regular(folder / name, damaged)) != digest:
            raise InputError(damaged)


def read_known(folder: Path, facts: dict) -> dict[str, np.ndarray]:
    """What is known of the images that a detector was made from, as leanet.detector.detector.Detector has it.

    Raises:
        InputError: an array is missing, or not as it must be.
    """
    file = folder / KNOWN
    whole = _regular(file, f"{file} is missing; {MENDED}")
    try:
        known = load_file(whole)
    except Exception as error:  # given damaged bytes, safetensors raises whatever it stumbles on
        raise InputError(f"{file} cannot be read ({' '.join(str(error).split())[:200]}); {MENDED}") from None
    sizes = {"images": len(facts["images"]), "3": 3, "4": 4}
    for name, (kind, shape) in ARRAYS.items():
        array, dims = known.get(name, np.empty(())), shape.split()
        fits = array.dtype.char in KINDS[kind] and array.ndim == len(dims)
        if not fits or not all(
            n and sizes.setdefault(dim, n) == n for dim, n in zip(dims, array.shape, strict=True)
        ):
            found = f"{array.dtype} {array.shape}" if name in known else "missing"
            expected = ", ".join(str(sizes.get(dim, dim)) for dim in dims)
            raise InputError(f"{file}: {name} is {found}, expected {kind} ({expected}); {MENDED}")
    labels, sample = known["labels"], known["sample"]
    anomalous = facts["threshold"]["positives"] if "threshold" in facts else labels.sum()
    for name, expected, holds in (
        *((name, "numbers", np.isfinite(known[name]).all()) for name in ("margins", "statistics", "embeddings")),
        *((name, "places of images", _are_places(known[name], len(labels))) for name in ("sample", "gallery")),
        ("labels", "0 and 1", np.isin(labels, (0, 1)).all()),
        ("sample", "images of each class that there is", set(labels[sample % len(labels)]) == set(labels)),
        ("labels", "normal images among them", (labels == 0).any()),
        ("labels", "as many anomalous ones as at the threshold", labels.sum() == anomalous),
    ):
        if not holds:
            raise InputError(f"{file}: {name} is not as it must be, expected {expected}; {MENDED}")
    return known


def _are_places(array: np.ndarray, count: int) -> bool:
    return array.min() >= 0 and array.max() < count


def _regular(file: Path, absent: str, longest: int | None = None) -> Path:
    """The file itself, if it is there to be read, and has an end. absent: what to say where it is not there.

    Raises:
        InputError: it is not.
    """
    try:
        about = file.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise InputError(absent) from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(about.st_mode) or not os.access(file, os.R_OK):
        raise InputError(f"{file}: is no file that can be read")
    if longest and about.st_size > longest:
        raise InputError(f"{file}: has {about.st_size} bytes, expected at most {longest}")
    return file
