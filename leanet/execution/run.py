"""Running jobs where params.yaml says: those that ended before are looked up, those cut off go on."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import pandas as pd
import torch

from leanet.errors import InputError
from leanet.execution import job as of_jobs
from leanet.execution import kept
from leanet.execution.job import Job, Outcome
from leanet.params import Execution
from leanet.progress import Progress

Ended = Iterator[tuple[str, Outcome]]  # jobs' keys, and what they came to


class Outcomes(Sequence[Outcome]):
    """What jobs came to, read where it is asked for: the colourisers of many folds need not fit into memory."""

    def __init__(self, keys: list[str]):
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, place: int) -> Outcome:
        return kept.outcome(self._keys[place])


def run(jobs: list[Job], settings: Execution, *, device: str, address: str) -> Outcomes:
    """What the jobs of the stage at `address` come to, in their order; each is kept as it ends.

    device: as in params.yaml.

    Raises:
        InputError: a training diverged, or lost its process or memory; what ended before is kept.
    """
    digests = of_jobs.digests(jobs)
    keys = [of_jobs.key(job, digests) for job in jobs]
    kept.need(address, keys)
    waiting = {key: job for key, job in zip(keys, jobs, strict=True) if not kept.outcome(key)}
    if there := len(jobs) - len(waiting):
        print(f"{address}: {there} of {len(jobs)} trainings are there from before", file=sys.stderr)
    if not waiting:
        return Outcomes(keys)
    with Progress(sum(job.epochs for job in waiting.values()), address) as progress:
        for key, outcome in _engine(settings)(waiting, settings, device, progress):
            kept.keep(key, outcome)
            kept.checkpoint(key).drop()
    return Outcomes(keys)


def figures(outcomes: Sequence[Outcome]) -> dict:
    """What a stage notes of its trainings: devices, number formats, and images trained on in all."""
    facts = [outcome.facts for outcome in outcomes]
    named = {name: sorted({each[name] for each in facts}) for name in ("device", "precision")}
    images = sum(each["images_trained"] for each in facts)
    return {name: ", ".join(values) for name, values in named.items()} | {"images_trained": images}


def save_history(jobs: list[Job], outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write the loss of every epoch as `history.csv`."""
    by_job = (
        pd.DataFrame({**job.name, "epoch": range(1, len(losses) + 1), "loss": losses})
        for job, losses in zip(jobs, (outcome.arrays["losses"] for outcome in outcomes), strict=True)
    )
    pd.concat(by_job).to_csv(folder / "history.csv", index=False, float_format="%.6g")


def _engine(settings: Execution):
    if settings.engine == "ray":
        from leanet.execution import cluster  # where nobody asks for it, Ray need not be installed

        return cluster.run
    return _here if settings.workers == 1 else _side_by_side


def _here(jobs: dict[str, Job], settings: Execution, device: str, progress: Progress) -> Ended:
    """One after another, in this process."""
    if settings.cpus:
        torch.set_num_threads(settings.cpus)
    for key, job in jobs.items():
        done = progress.done
        said = partial(_say, progress, job)
        yield key, job.run(device, kept.checkpoint(key), said)
        if rest := job.epochs - (progress.done - done):  # what was there, and what early stopping saved
            progress.step(rest, **job.name)


def _say(progress: Progress, job: Job, loss: float) -> None:
    progress.step(**job.name, loss=f"{loss:.5f}")


def _side_by_side(jobs: dict[str, Job], settings: Execution, device: str, progress: Progress) -> Ended:
    """Several at a time, each in a process of its own that takes one after another; GPUs are dealt out in turn."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit a GPU that it cannot use
    numbers = context.Queue()
    for number in range(settings.workers):
        numbers.put(number)
    threads = settings.cpus or max(1, (os.cpu_count() or 1) // settings.workers)
    pool = ProcessPoolExecutor(settings.workers, context, initializer=_prepare, initargs=(numbers, threads))
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


def _train(job: Job, device: str, key: str) -> Outcome:
    return job.run(device, kept.checkpoint(key))
