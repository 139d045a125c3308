"""What trainings say after each epoch, in a file a stage, for who logs it while they run (leanet.tracking.live).

A line is JSON. The first has the file's id, the trainings (their keys), the stage, its process, and how wide the
numbers of the trainings' names are. Then comes a line an epoch of a training, and one for its end; a last one for
the end of all. A stage that was killed and goes on, or that has more to train, adds to its file, from another
first line on.
"""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from leanet.core import paths

if TYPE_CHECKING:  # it brings torch along, which who reads spools does without
    from leanet.training.job import Epoch, Job

FOLDER = paths.LOGS / "live"
SHORT = 5  # seconds: what ends before is logged with the report


def file(address: str) -> Path:
    """Of the stage at `address`."""
    return FOLDER / f"{address}.jsonl"


class Spool:
    """The file of one stage: lines are written where there is a place for them, and no training waits for it."""

    def __init__(self, address: str, jobs: dict[str, "Job"]):
        self._file = file(address)
        self._write = self._open(address, jobs)

    def _open(self, address: str, jobs: dict[str, "Job"]) -> Callable[[str], None]:
        widths = Counter()
        for job in jobs.values():
            for axis, value in job.name.items():
                widths[axis] = max(widths[axis], len(f"{value:g}") if not isinstance(value, str) else 0)
        with suppress(OSError):
            FOLDER.mkdir(parents=True, exist_ok=True)
            known = header(self._file)
            gone_on = known is not None and (
                known["process"] == os.getpid() or jobs.keys() <= set(known["trainings"])
            )
            stream = self._file.open("a" if gone_on else "w", buffering=1, encoding="utf-8")
            id_ = known["id"] if gone_on else uuid.uuid4().hex
            who = {"stage": address, "process": os.getpid(), "widths": widths, "time": time.time()}
            said = json.dumps({"id": id_, "trainings": sorted(jobs), **who})
            stream.write(("\n" if gone_on else "") + said + "\n")
            return stream.write
        return lambda line: None

    def epoch(self, job: "Job", epoch: "Epoch") -> None:
        """Note an epoch of a training; those before its loss counts have no number."""
        if epoch.number:
            self._say({"name": job.name, **asdict(epoch)})

    def ended(self, job: "Job") -> None:
        """Note that a training has ended."""
        self._say({"name": job.name, "ended": True})

    def close(self) -> None:
        """Note that all have ended."""
        self._say({"ended": True})

    def _say(self, said: dict) -> None:
        with suppress(OSError):  # the disk is full, say: what is missing is logged with the report
            self._write(json.dumps(said | {"time": time.time()}) + "\n")


def header(file: Path) -> dict | None:
    """The first line of a spool, with the trainings, process and widths of all its first lines; None where there
    is none.
    """
    first = None
    with suppress(OSError, ValueError), file.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith('{"id"'):
                continue
            said = json.loads(line)
            if not {"id", "trainings", "stage", "process", "widths", "time"} <= said.keys():
                return None
            if first is None:
                first = said
            first["process"], first["widths"] = said["process"], first["widths"] | said["widths"]
            first["trainings"] += said["trainings"]
    return first


@contextmanager
def spool(address: str, jobs: dict[str, "Job"]) -> Iterator[Spool | None]:
    """The spool of the stage at `address`, with all its trainings by key; None where nobody wants to know.

    Somebody who logs it is started where the stage is no short one.
    """
    if "DVC_STAGE" not in os.environ or os.environ.get("LEANET_TRACKING") == "off":
        yield None
        return
    opened = Spool(address, jobs)
    starter = threading.Timer(SHORT, _start_logging)
    starter.daemon = True
    starter.start()
    try:
        yield opened
        opened.close()
    finally:
        starter.cancel()


def _start_logging() -> None:
    """In a process of its own, which ends by itself, and at once where there is one already."""
    nothing = subprocess.DEVNULL
    with suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-m", "leanet.tracking.live"],
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
        )
