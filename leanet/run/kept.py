"""What trainings came to, kept outside what DVC removes before a stage runs: no training is ever done twice.

`data/kept` holds by the key of each job `<key>.safetensors`, its outcome, and `<key>.weights.safetensors` where
its weights are kept, too; two files a training under way; and `<stage>@<names>.json`, the keys that the stage's
last run needed. Files of weights are plain safetensors. They share the disk with results (leanet.run.disk).
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save

from leanet.core import files, paths
from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.run import code
from leanet.training import sealed
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Job, Outcome

SUM = "weights_sha256"  # among the facts of an outcome whose weights are kept


def keys(jobs: list[Job]) -> list[str]:
    """What the outcome of each job is kept under: a hash of all that it depends on.

    That is its arrays, its settings, and the code that computes it (leanet.run.code), torch included.
    """
    # An array that several jobs share is read once.
    digests = {id(array): array for job in jobs for array in job.arrays.values()}
    digests = {place: _digest(array) for place, array in digests.items()}
    return [_key(job, {name: digests[id(array)] for name, array in job.arrays.items()}) for job in jobs]


def _key(job: Job, arrays: dict[str, str]) -> str:
    said = {
        "code": [code.digest(job.function), torch.__version__, metadata.version("torchvision")],
        "arrays": arrays,
        "settings": {name: asdict(one) if is_dataclass(one) else one for name, one in job.settings.items()},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _digest(array: ArrayFile | np.ndarray) -> str:
    sum_ = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    for start in range(0, len(array), 256):  # of a file, no more at once
        sum_.update(np.ascontiguousarray(array[start : start + 256]))
    return sum_.hexdigest()


def outcome(key: str) -> Outcome | None:
    """What the job came to, without its weights; None if it has not ended, or its file is damaged."""
    found = sealed.read(outcome_file(key))
    return Outcome(*found) if found else None


def weights_file(key: str) -> Path | None:
    """The file of the job's weights; None if they were not kept, or are damaged."""
    file, found = paths.KEPT / f"{key}.weights.safetensors", outcome(key)
    if not found or SUM not in found.facts or not file.is_file():
        return None
    if files.sha256(file) != found.facts[SUM]:
        print(f"warning: {file} is damaged; it is left out", file=sys.stderr)
        return None
    return file


def weights(key: str) -> dict[str, np.ndarray]:
    """The job's weights by name; none where they were not kept."""
    file = weights_file(key)
    return load_file(file) if file else {}


def keep(key: str, outcome: Outcome) -> None:
    """Keep what a job came to."""
    facts = outcome.facts
    if outcome.weights:
        file = paths.KEPT / f"{key}.weights.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.whole_file(file) as part:
            part.write_bytes(save(outcome.weights))
        facts = facts | {SUM: files.sha256(file)}
    sealed.write(outcome_file(key), outcome.arrays, facts)


def drop_weights(keys: Iterable[str]) -> None:
    """Remove the weights of these jobs: no result needs them any more."""
    for key in keys:
        (paths.KEPT / f"{key}.weights.safetensors").unlink(missing_ok=True)


def checkpoint(key: str) -> Checkpoint:
    """Where the job stands."""
    return Checkpoint(paths.KEPT / key)


def need(address: str, keys: list[str]) -> None:
    """Note what the result of the stage at `address` needs."""
    files.write(_list(address), json.dumps(keys, indent=1))


def addresses(stage: str) -> list[str]:
    """The addresses of `stage`, one for each data set and row, that ever ran here."""
    return [file.stem for file in sorted(paths.KEPT.glob(f"{stage}@*.json"))]


def needed(addresses: Iterable[str]) -> set[str]:
    """The keys that the last results of the stages at `addresses` needed.

    Raises:
        InputError: a list of them is none.
    """
    return {key for file in map(_list, addresses) if file.exists() for key in _listed(file)}


def prune(addresses: Iterable[str]) -> tuple[int, int]:
    """Remove all that the last results of the stages at `addresses` do not need; how many files and bytes."""
    addresses = list(addresses)
    lists, keys = set(map(_list, addresses)), needed(addresses)
    there = [file for file in paths.KEPT.glob("*") if file.is_file() and file not in lists]
    rest = [file for file in there if file.name.split(".")[0] not in keys]
    size = sum(file.stat().st_size for file in rest)
    for file in rest:
        file.unlink()
    return len(rest), size


def outcome_file(key: str) -> Path:
    """Where the outcome of a job is kept, but for its weights."""
    return paths.KEPT / f"{key}.safetensors"


def _listed(file: Path) -> list[str]:
    with suppress(ValueError):
        keys = files.from_json(file.read_bytes())
        if isinstance(keys, list) and all(isinstance(key, str) and key.isalnum() for key in keys):
            return keys
    raise InputError(f"{file}: expected a list of keys; remove it, and run its stage again")


def _list(address: str) -> Path:
    return paths.needed(address)
