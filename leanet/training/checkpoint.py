"""Where a training stands after its last whole epoch, kept on disk for when it is cut off."""

import copy
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from leanet.training import sealed

CHANNELS_LAST = " channels last"  # behind the name of a tensor that lies so
SECONDS_BETWEEN_SYNCS = 10  # what a loss of power costs beyond what a killed process loses


class Checkpoint:
    """The state of one training, in two files that take turns: one is whole while the other is being written.

    They are written by a thread beside the training. `stem`: what the files' names begin with.
    """

    def __init__(self, stem: Path):
        self.files = [stem.with_name(f"{stem.name}.{turn}.safetensors") for turn in (0, 1)]
        self._turn = 0
        self._writer: threading.Thread | None = None
        self._failure: OSError | None = None
        self._synced = time.monotonic()

    def exists(self) -> bool:
        """Whether something is kept."""
        return any(file.exists() for file in self.files)

    def load(self) -> tuple[dict[str, Tensor], dict] | None:
        """The latest whole state with its facts; None where there is none."""
        found = [(turn, state) for turn, file in enumerate(self.files) if (state := sealed.read(file))]
        if not found:
            return None
        turn, (arrays, facts) = max(found, key=lambda one: one[1][1]["saved"])
        self._turn = 1 - turn
        return dict(_tensor(name, array) for name, array in arrays.items()), facts

    def save(self, tensors: dict[str, Tensor], facts: dict) -> None:
        """Begin to write a state; the one before is whole by the time this returns.

        Raises:
            OSError: the one before could not be written.
        """
        self.wait()
        arrays = dict(_copy(name, tensor) for name, tensor in tensors.items())
        facts = copy.deepcopy(facts) | {"saved": time.time_ns()}
        file = self.files[self._turn]
        self._turn = 1 - self._turn
        sync = time.monotonic() - self._synced >= SECONDS_BETWEEN_SYNCS
        if sync:
            self._synced = time.monotonic()
        self._writer = threading.Thread(target=self._write, args=(file, arrays, facts, sync))
        self._writer.start()

    def wait(self) -> None:
        """Until nothing is being written any more.

        Raises:
            OSError: it could not be written.
        """
        if self._writer is not None:
            self._writer.join()
        if self._failure is not None:
            raise self._failure

    def drop(self) -> None:
        """Remove it: the training has ended."""
        self.wait()
        for file in self.files:
            file.unlink(missing_ok=True)

    def _write(self, file: Path, arrays: dict[str, np.ndarray], facts: dict, sync: bool) -> None:
        try:
            sealed.overwrite(file, arrays, facts, sync)
        except OSError as error:
            self._failure = error


def _copy(name: str, tensor: Tensor) -> tuple[str, np.ndarray]:
    """A copy, as the training goes on to change the tensor; as it lies in memory, since turning it would cost more
    than all the rest."""
    tensor = tensor.detach()
    if tensor.dim() == 4 and not tensor.is_contiguous():
        name, tensor = name + CHANNELS_LAST, tensor.permute(0, 2, 3, 1)
    return name, tensor.cpu().numpy().copy()


def _tensor(name: str, array: np.ndarray) -> tuple[str, Tensor]:
    """What `_copy` was given."""
    tensor = torch.from_numpy(array)
    if name.endswith(CHANNELS_LAST):
        return name.removesuffix(CHANNELS_LAST), tensor.permute(0, 3, 1, 2)
    return name, tensor
