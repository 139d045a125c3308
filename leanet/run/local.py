"""Trainings on this machine: one after another in this process, or several side by side."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait as wait_for_end
from multiprocessing.context import BaseContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from pickle import UnpicklingError

import torch

from leanet.core import device as devices
from leanet.core.errors import InputError
from leanet.core.parallel import cores, free_memory
from leanet.core.progress import Progress
from leanet.core.settings import Device
from leanet.run import faults, kept
from leanet.run.settings import Execution
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Epoch, Job, Outcome, Place

Ended = Iterator[tuple[str, Outcome]]  # jobs' keys, and what they came to
GIB = 2**30
os.environ.setdefault("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")  # ImageNet's come as a pickle, which may run code


Heard = Callable[[str, Epoch], None]  # is told of each epoch of the job with that key


def perform(job: Job, device: Device, checkpoint: Checkpoint, on_epoch: Callable[[Epoch], None]) -> Outcome:
    """Do a job in this process.

    Raises:
        InputError: it diverged or ran out of something; the text says which job it was.
    """
    try:
        place = Place(devices.prepare(device), checkpoint, on_epoch)
        outcome = _gone_on(job, place) if checkpoint.exists() else None
        if outcome is None:
            outcome = job.function(job.arrays, place, **job.settings)
        checkpoint.wait()  # for its last write: nobody else knows of it
    except InputError as error:
        raise InputError(f"{job}: {error}") from None
    except UnpicklingError:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise InputError(f"{job}: a file in {folder} holds more than weights; remove it") from None
    except (OSError, MemoryError, RuntimeError) as error:
        if line := faults.explain(error):
            raise InputError(f"{job}: {line}") from None
        raise
    return outcome if job.keep_weights else replace(outcome, weights={})


def _gone_on(job: Job, place: Place) -> Outcome | None:
    """What a job comes to that goes on from what is kept of it; None where this is not of that training."""
    reason = ""
    try:
        outcome = job.function(job.arrays, place, **job.settings)
        if job.comes_to(outcome):
            return outcome
    except (InputError, OSError, MemoryError, UnpicklingError):
        raise
    except Exception as error:  # whatever a state that somebody wrote leads to
        if faults.explain(error):
            raise
        reason = f" ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    print(f"warning: {job}: cannot go on from what is kept of it{reason}; it begins anew", file=sys.stderr)
    place.checkpoint.drop()
    return None


def run(jobs: dict[str, Job], execution: Execution, device: Device, progress: Progress, heard: Heard) -> Ended:
    """All jobs: several at a time, or one after another in this process.

    heard: is told of each epoch, and steps `progress`, which steps here by what it was not told of.
    """
    count = at_a_time(execution, list(jobs.values()), device, progress.what)
    if count == 1:
        yield from here(jobs, execution, device, progress, heard)
    else:
        yield from side_by_side(jobs, count, execution.cpus, device, progress, heard)


def at_a_time(execution: Execution, jobs: list[Job], device: Device, address: str) -> int:
    """How many trainings of the stage at `address` run side by side; it says so where several do, or could.

    That is `execution.workers` where it is set. If not, a GPU takes one, and on the CPU each has cores of its own:
    threads that share one wait for one another.
    """
    kind = devices.select(device).type
    count, why = min(execution.workers or _places(kind, execution.cpus), len(jobs)), ""
    each, free = max(job.memory for job in jobs), free_memory()
    if kind == "cpu" and not execution.workers and each and free is not None and count > max(1, free // each):
        count = max(1, free // each)
        why = f": memory has room for no more ({free / GIB:.1f} GiB free, {each / GIB:.1f} each)"
    if count > 1 or why:
        print(f"{address}: {count} training{'s' * (count > 1)} at a time{why}", file=sys.stderr)
    return count


def _places(kind: str, cpus: int) -> int:
    """For how many trainings a machine has processors."""
    if kind == "cpu":
        return max(1, cores() // cpus)
    return torch.cuda.device_count() if kind == "cuda" else 1


def here(jobs: dict[str, Job], execution: Execution, device: Device, progress: Progress, heard: Heard) -> Ended:
    """One after another, in this process."""
    torch.set_num_threads(execution.cpus)
    for key, job in jobs.items():
        done = progress.done
        yield key, perform(job, device, kept.checkpoint(key), partial(heard, key))
        if rest := job.epochs - (progress.done - done):  # what was there, and what early stopping saved
            progress.step(rest, **job.name)


def side_by_side(
    jobs: dict[str, Job], count: int, threads: int, device: Device, progress: Progress, heard: Heard
) -> Ended:
    """Several at a time, each in a process of its own that takes one after another; GPUs are dealt out in turn."""
    context = _processes({job.function.__module__ for job in jobs.values()})
    numbers, told = context.Queue(), context.SimpleQueue()
    for number in range(count):
        numbers.put(number)
    prepared = {"initializer": _prepare, "initargs": (numbers, threads, told)}
    pool = ProcessPoolExecutor(count, context, **prepared)
    epochs = Counter()
    try:
        futures = {pool.submit(_train, job, device, key): key for key, job in jobs.items()}
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            while not told.empty():  # all of what has ended is there
                key, epoch = told.get()
                epochs[key] += 1
                heard(key, epoch)
            for future in ended:
                key = futures[future]
                yield key, future.result()
                if rest := jobs[key].epochs - epochs[key]:  # what was there, and what early stopping saved
                    progress.step(rest, **jobs[key].name)
        pool.shutdown()
    except BrokenProcessPool:
        raise InputError(
            "a training's process was killed, most likely since memory ran out: lower execution.workers; "
            "`dvc repro` goes on from its last epoch"
        ) from None
    finally:
        for process in multiprocessing.active_children():  # interrupted: nobody waits for what is under way
            process.kill()


def _processes(modules: set[str]) -> BaseContext:
    """How workers' processes begin.

    Where they can, as forks of one that has loaded `modules`, and torch with them, once for all. That one computes
    nothing: a fork could use neither the GPU nor the threads of a process that did, as this one may have.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*sorted(modules), "torchvision.models"])
    return context


_told: SimpleQueue | None = None  # in a worker's process: where its parent hears of each epoch


def _prepare(numbers, threads: int, told: SimpleQueue) -> None:
    """Make a worker's process ready: its share of the processor, its GPU, and its end with its parent's."""
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent says what it means
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(numbers.get() % torch.cuda.device_count())
    parent = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (wait_for_end([parent]), os._exit(1)), daemon=True).start()


def _train(job: Job, device: Device, key: str) -> Outcome:
    return perform(job, device, kept.checkpoint(key), lambda epoch: _told.put((key, epoch)))
