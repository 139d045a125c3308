"""The single steps of a run, each in a process of its own."""

import time
from functools import cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.attention.table import file_of
from benchmarks.attention.trials import FOLDS, Trial, leaves, photographs, write_maps
from benchmarks.attention.variants import VARIANTS, margins
from leanet.core import files

LEAVES = ("easy", "medium", "hard")
FILLED = "-filled"  # ends the name of a set of photographs whose backgrounds are filled
_photographs = Path()


def start(photographs: Path) -> None:
    """Make a process ready; photographs: the folder with a folder a set."""
    global _photographs
    _photographs = photographs
    torch.set_num_threads(1)


@cache
def trial_of(set_: str, seed: int) -> Trial:
    if set_ in LEAVES:
        return leaves(set_, seed)
    return photographs(_photographs / set_.removesuffix(FILLED), seed, fill=set_.endswith(FILLED))


def prepare(folder: Path, set_: str, seed: int) -> None:
    """Colourisers and maps of a trial."""
    if (place := folder / set_ / str(seed)).exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(place) as part:
        write_maps(trial_of(set_, seed), seed, part)


def run(folder: Path, set_: str, seed: int, fold: int, count: int, name: str) -> None:
    """One training: margins of the test images, their labels, and seconds."""
    file = file_of(folder, set_, seed, fold, count, name)
    if file.exists():
        return
    trial, variant = trial_of(set_, seed), VARIANTS[name]
    kind = {"own": "own", "turns": "turns"}.get(variant.maps, "pair")
    maps = np.load(folder / set_ / str(seed) / f"{kind}{fold}.npy")
    train, test = trial.trained(fold, count, seed), trial.tested(fold)
    started = time.time()
    found = margins(variant, trial.images, maps, trial.labels, train, test, seed * FOLDS + fold)
    with files.whole_file(file) as part, part.open("wb") as stream:
        np.savez(stream, labels=trial.labels[test], seconds=time.time() - started, **found)
