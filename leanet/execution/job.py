"""A training as a plain function of arrays and settings: the same wherever it runs."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from leanet import device as devices
from leanet import faults
from leanet.data.arrayfile import ArrayFile
from leanet.errors import InputError
from leanet.execution import code
from leanet.execution.checkpoint import Checkpoint


@dataclass(frozen=True)
class Outcome:
    """What a job came to: arrays by name, and facts that JSON can say."""

    arrays: dict[str, np.ndarray]
    facts: dict


@dataclass(frozen=True)
class Place:
    """What a job is given where it runs; its outcome is not to depend on it, beyond rounding.

    checkpoint: to keep each epoch in and go on from; None keeps nothing. on_epoch: told the loss after each epoch.
    """

    device: torch.device
    checkpoint: Checkpoint | None
    on_epoch: Callable[[float], None]


def _nobody(loss: float) -> None:
    pass


@dataclass(frozen=True)
class Job:
    """`function(arrays, settings, place)`, with nothing else that its outcome depends on.

    name: which of its kind it is, {"fold": 2, "point": 4}. arrays: by name; a file is read where it is asked for.
    settings: JSON. epochs: how many it will take at most.
    """

    name: dict[str, object]
    function: Callable[[dict, dict, Place], Outcome]
    arrays: dict[str, ArrayFile | np.ndarray]
    settings: dict
    epochs: int

    def run(self, device: str, checkpoint: Checkpoint, on_epoch: Callable[[float], None] = _nobody) -> Outcome:
        """Do it in this process, on `device` as params.yaml names it.

        Raises:
            InputError: it diverged or ran out of something; the text says which job it was.
        """
        try:
            place = Place(devices.select(device), checkpoint, on_epoch)
            outcome = self.function(self.arrays, self.settings, place)
            checkpoint.wait()  # for its last write: nobody else knows of it
            return outcome
        except InputError as error:
            raise InputError(f"{self}: {error}") from None
        except (OSError, MemoryError, RuntimeError) as error:
            if line := faults.explain(error):
                raise InputError(f"{self}: {line}") from None
            raise

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.name.items())


def digests(jobs: list[Job]) -> dict[int, str]:
    """Hashes of the jobs' arrays by their `id`; one that several jobs share is read once."""
    every = {id(array): array for job in jobs for array in job.arrays.values()}
    return {place: _digest(array) for place, array in every.items()}


def key(job: Job, digests: dict[int, str]) -> str:
    """What the outcome of `job` is kept under: a hash of all that it depends on."""
    arrays = {name: digests[id(array)] for name, array in job.arrays.items()}
    said = {"code": code.digest(job.function), "arrays": arrays, "settings": job.settings}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _digest(array: ArrayFile | np.ndarray) -> str:
    sum_ = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    for start in range(0, len(array), 256):  # of a file, no more at once
        sum_.update(np.ascontiguousarray(array[start : start + 256]))
    return sum_.hexdigest()
