"""Running trainings where params.yaml says: those that ended before are looked up, those cut off go on."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import torch

from leanet.core import device as devices
from leanet.core import files
from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.core.settings import Device
from leanet.run import faults, kept
from leanet.run.settings import Execution
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Job, Outcome, Place

Ended = Iterator[tuple[str, Outcome]]  # jobs' keys, and what they came to


class Outcomes(Sequence[Outcome]):
    """What jobs came to, read where it is asked for: the colourisers of many folds need not fit into memory."""

    def __init__(self, keys: list[str]):
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, place: int) -> Outcome:
        return kept.outcome(self.keys[place])

    def save_weights(self, place: int, file: Path) -> None:
        """Write the weights of one as safetensors; the disk holds them once, where it has links."""
        source = kept.weights_file(self.keys[place])
        file.write_bytes(source.read_bytes())
        files.share(file, source)


def run(jobs: list[Job], execution: Execution, *, device: Device, address: str, weights: bool = False) -> Outcomes:
    """What the jobs of the stage at `address` come to, in their order; each is kept as it ends.

    weights: whether outcomes must have them; a training whose weights are no longer there is then done once more.

    Raises:
        InputError: a training diverged, or lost its process or memory; what ended before is kept.
    """
    keys = kept.keys(jobs)
    kept.need(address, keys)
    is_there = kept.weights_file if weights else kept.outcome
    waiting = {key: job for key, job in zip(keys, jobs, strict=True) if not is_there(key)}
    if there := len(jobs) - len(waiting):
        print(f"{address}: {there} of {len(jobs)} trainings are there from before", file=sys.stderr)
    if not waiting:
        return Outcomes(keys)
    with Progress(sum(job.epochs for job in waiting.values()), address) as progress:
        for key, outcome in _engine(execution)(waiting, execution, device, progress):
            kept.keep(key, outcome)
            kept.checkpoint(key).drop()
    return Outcomes(keys)


def figures(outcomes: Sequence[Outcome]) -> dict:
    """What a stage notes of its trainings: devices, number formats, and images trained on in all."""
    facts = [outcome.facts for outcome in outcomes]
    named = {name: sorted({each[name] for each in facts}) for name in ("device", "precision")}
    images = sum(each["images_trained"] for each in facts)
    return {name: ", ".join(values) for name, values in named.items()} | {"images_trained": images}


def _nobody(loss: float) -> None:
    pass


def perform(
    job: Job, device: Device, checkpoint: Checkpoint, on_epoch: Callable[[float], None] = _nobody
) -> Outcome:
    """Do a job in this process.

    Raises:
        InputError: it diverged or ran out of something; the text says which job it was.
    """
    try:
        place = Place(devices.prepare(device), checkpoint, on_epoch)
        outcome = job.function(job.arrays, place, **job.settings)
        checkpoint.wait()  # for its last write: nobody else knows of it
    except InputError as error:
        raise InputError(f"{job}: {error}") from None
    except (OSError, MemoryError, RuntimeError) as error:
        if line := faults.explain(error):
            raise InputError(f"{job}: {line}") from None
        raise
    return outcome if job.keep_weights else replace(outcome, weights={})


def _engine(execution: Execution):
    if execution.engine == "ray":
        from leanet.run import cluster  # where nobody asks for it, Ray need not be installed

        return cluster.run
    return _here if execution.workers == 1 else _side_by_side


def _here(jobs: dict[str, Job], execution: Execution, device: Device, progress: Progress) -> Ended:
    """One after another, in this process."""
    if execution.cpus:
        torch.set_num_threads(execution.cpus)
    for key, job in jobs.items():
        done = progress.done
        said = partial(_say, progress, job)
        yield key, perform(job, device, kept.checkpoint(key), said)
        if rest := job.epochs - (progress.done - done):  # what was there, and what early stopping saved
            progress.step(rest, **job.name)


def _say(progress: Progress, job: Job, loss: float) -> None:
    progress.step(**job.name, loss=f"{loss:.5f}")


def _side_by_side(jobs: dict[str, Job], execution: Execution, device: Device, progress: Progress) -> Ended:
    """Several at a time, each in a process of its own that takes one after another; GPUs are dealt out in turn."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit a GPU that it cannot use
    numbers = context.Queue()
    for number in range(execution.workers):
        numbers.put(number)
    threads = execution.cpus or max(1, (os.cpu_count() or 1) // execution.workers)
    pool = ProcessPoolExecutor(execution.workers, context, initializer=_prepare, initargs=(numbers, threads))
    try:
        futures = {pool.submit(_train, job, device, key): key for key, job in jobs.items()}
        for future in as_completed(futures):
            key = futures[future]
            yield key, future.result()
            progress.step(jobs[key].epochs, **jobs[key].name)
        pool.shutdown()
    except BrokenProcessPool:
        raise InputError(
            "a training's process was killed, most likely since memory ran out: lower execution.workers; "
            "`dvc repro` goes on from its last epoch"
        ) from None
    finally:
        for process in multiprocessing.active_children():  # interrupted: nobody waits for what is under way
            process.kill()


def _prepare(numbers, threads: int) -> None:
    """Make a worker's process ready: its share of the processor, its GPU, and its end with its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent says what it means
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(numbers.get() % torch.cuda.device_count())
    parent = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (wait([parent]), os._exit(1)), daemon=True).start()


def _train(job: Job, device: Device, key: str) -> Outcome:
    return perform(job, device, kept.checkpoint(key))
