"""Jobs on a Ray cluster, of this machine or of many: nodes need neither the data nor the project's code."""

import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.core.settings import Device
from leanet.run import nodes
from leanet.run.local import Heard, perform
from leanet.run.settings import Execution
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Epoch, Job, Outcome

RETRIES = 10  # of a training whose worker or node was lost: nodes that others may take back come and go


def run(
    jobs: dict[str, Job], execution: Execution, device: Device, progress: Progress, heard: Heard
) -> Iterator[tuple[str, Outcome]]:
    """As many at a time as the cluster has room for; each array travels to it once.

    heard: is told of each epoch, and steps `progress`, which steps here by what it was not told of.

    Raises:
        InputError: Ray is not installed, no cluster answers, or it lost a training too often.
    """
    try:
        ray = nodes.join(execution.address, "execution.address")
    except ModuleNotFoundError:
        raise InputError(
            "execution.engine is ray, but Ray is not installed: pip install 'ray[client]>=2.49'"
        ) from None
    try:
        gpus = execution.gpus if device != "cpu" and ray.cluster_resources().get("GPU") else 0
        # max_calls: by itself Ray would end a process after each training that uses a GPU.
        train = ray.remote(num_cpus=execution.cpus, num_gpus=gpus, max_retries=RETRIES, max_calls=0)(_train)
        arrays = {id(array): array for job in jobs.values() for array in job.arrays.values()}
        sent = {place: ray.put(array[:]) for place, array in arrays.items()}  # of a file, what is in it
        told = ray.remote(num_cpus=0, max_restarts=-1)(_Told).remote()
        waiting, epochs, news = {}, Counter(), []
        for key, job in jobs.items():
            sent_of = {name: sent[id(array)] for name, array in job.arrays.items()}
            bare = replace(job, arrays={})
            waiting[train.remote(bare, device, key, execution.cpus, told, **sent_of)] = key
        while waiting:
            ended, _ = ray.wait(list(waiting), timeout=1)
            # Where its node is lost or slow, no training waits for it.
            with suppress(ray.exceptions.RayError, TimeoutError):
                news = ray.get(told.but.remote(news), timeout=5)
                for key, epoch in news:
                    epochs[key] += 1
                    heard(key, epoch)
            for each in ended:
                key = waiting.pop(each)
                yield key, _outcome(ray, each, jobs[key])
                if rest := jobs[key].epochs - epochs[key]:  # what was there, and what was not heard of
                    progress.step(rest, **jobs[key].name)
    finally:
        ray.shutdown()


class _Told:
    """What trainings on nodes say of their epochs, until the driver has it."""

    def __init__(self):
        self._epochs: list[tuple[str, Epoch]] = []

    def say(self, key: str, epoch: Epoch) -> None:
        self._epochs.append((key, epoch))

    def but(self, known: list[tuple[str, Epoch]]) -> list[tuple[str, Epoch]]:
        """All but what is `known`. An answer that got lost is given again: the driver does not know it."""
        self._epochs = [each for each in self._epochs if each not in known]
        return self._epochs


def _train(job: Job, device: Device, key: str, threads: int, told, **arrays: np.ndarray) -> Outcome:
    """On a node, in a process that does one training after another."""
    torch.set_num_threads(threads)
    checkpoint = Checkpoint(_under_way() / key)
    said = []

    def on_epoch(epoch: Epoch) -> None:
        said[:] = [told.say.remote(key, epoch)]

    outcome = perform(replace(job, arrays=arrays), device, checkpoint, on_epoch)
    if said:  # the last one, which is to be there before the outcome
        import ray

        ray.wait(said, timeout=5)
    checkpoint.drop()
    return outcome


def _under_way() -> Path:
    """Where trainings keep their state on a node, for when the process is lost, and the node is not.

    Raises:
        InputError: others may have put something there.
    """
    folder = Path(tempfile.gettempdir()) / f"leanet-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise InputError(
            f"{folder}: expected a folder of this user's alone; remove it, on each node of the cluster"
        )
    return folder


def _outcome(ray, ended, job: Job) -> Outcome:
    try:
        return ray.get(ended)
    except InputError as error:  # Ray's own error is one as well, and tells of the worker
        raise InputError(str(error.cause)) from None
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{job}: the cluster lost it {RETRIES + 1} times ({reason}); `dvc repro` goes on"
        ) from None
