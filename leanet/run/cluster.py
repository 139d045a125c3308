"""Jobs on a Ray cluster, of this machine or of many: nodes need neither the data nor the project's code."""

import os
import stat
import tempfile
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
from leanet.run.local import perform
from leanet.run.settings import Execution
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Job, Outcome

RETRIES = 10  # of a training whose worker or node was lost: nodes that others may take back come and go


def run(
    jobs: dict[str, Job], execution: Execution, device: Device, progress: Progress
) -> Iterator[tuple[str, Outcome]]:
    """As many at a time as the cluster has room for; each array travels to it once.

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
        waiting = {}
        for key, job in jobs.items():
            sent_of = {name: sent[id(array)] for name, array in job.arrays.items()}
            bare = replace(job, arrays={})
            waiting[train.remote(bare, device, key, execution.cpus, **sent_of)] = key
        while waiting:
            (ended,), _ = ray.wait(list(waiting))
            key = waiting.pop(ended)
            yield key, _outcome(ray, ended, jobs[key])
            progress.step(jobs[key].epochs, **jobs[key].name)
    finally:
        ray.shutdown()


def _train(job: Job, device: Device, key: str, threads: int, **arrays: np.ndarray) -> Outcome:
    """On a node, in a process that does one training after another."""
    torch.set_num_threads(threads)
    checkpoint = Checkpoint(_under_way() / key)
    outcome = perform(replace(job, arrays=arrays), device, checkpoint)
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
