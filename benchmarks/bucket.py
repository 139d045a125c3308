"""`python -m benchmarks.bucket DETECTOR`: `leanet predict s3://… --out …` beside the plain command on a folder.

Made-up leaves as JPEGs on a local S3 server, a process of its own, and two workers. Once undisturbed, once on the
folder, since the server takes its share of the cores. Once more from the server, and a worker is killed, then the
driver, and the command is run again: each image has to be there once.
"""

import argparse
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import numpy as np
import psutil
import pyarrow.dataset
from PIL import Image

from leanet.images import leaf

SIDE, DISTINCT, FEW = 64, 500, 10  # pixels; leaves that are drawn, each is there many times; a tenth for memory
WORKER = "MapWorker"  # in the title of a worker's process
PARTS = 8  # of a data set: those of the command would be too few to kill it between two of them
COMMAND = """
import sys
from leanet import cli
from leanet.detector import table
table.ROWS = int(sys.argv.pop(1))
cli.main()
"""


@dataclass
class Run:
    """One call of the command: seconds, exit status and memory in MiB, resident.

    peaks: the most that the driver and each worker held, by their ids. beside: the most that all other processes
    of Ray's held together.
    """

    seconds: float = 0.0
    status: int = 0
    peaks: dict[int, float] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)
    beside: float = 0.0

    def look(self, driver: psutil.Process) -> None:
        """Note what the processes hold at this moment, and held before."""
        beside = 0.0
        with suppress(psutil.Error):
            for process in (driver, *driver.children(recursive=True)):
                with suppress(psutil.Error, OSError):
                    if WORKER in " ".join(process.cmdline()):
                        self.workers.add(process.pid)
                    if process == driver or process.pid in self.workers:
                        held = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
                        if held:  # it has not ended
                            self.peaks[process.pid] = int(held[1]) / 1024
                    else:
                        beside += process.memory_info().rss / 2**20
        self.beside = max(self.beside, beside)

    def __str__(self) -> str:
        of_driver = max((mib for pid, mib in self.peaks.items() if pid not in self.workers), default=0)
        of_workers = ", ".join(f"{self.peaks[pid]:.0f}" for pid in sorted(self.workers))
        return f"driver {of_driver:.0f}, workers {of_workers or 'none'}, Ray beside them {self.beside:.0f} MiB"


def watched(command: list[str], disturb: Callable[[psutil.Process], None] = lambda _: None) -> Run:
    """Run a command to its end; `disturb` is called with its process five times a second."""
    run, began = Run(), time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        run.look(process)
        disturb(process)
        time.sleep(0.2)
    run.seconds, run.status = time.perf_counter() - began, process.returncode
    return run


@contextmanager
def s3(folder: Path) -> Iterator[None]:
    """A server with an empty bucket `leaves`, which this process and those that it starts know."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    os.environ |= {"AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "up", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.2)
        fsspec.filesystem("s3").mkdir("leaves")
        yield
    finally:
        server.kill()


def make_images(folder: Path, count: int) -> None:
    """So many leaves in folders of a thousand; one in a thousand is broken."""
    draw, contents = np.random.default_rng(0), []
    for number in range(min(DISTINCT, count)):
        content = io.BytesIO()
        Image.fromarray(leaf.draw(draw, SIDE, anomalous=number % 10 == 0).image).save(content, "JPEG", quality=92)
        contents.append(content.getvalue())
    for number in range(count):
        file = folder / f"{number // 1000:03}/{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"broken" if number % 1000 == 500 else contents[number % len(contents)])


def rows(place: str) -> pyarrow.Table | None:
    """What is in a table so far."""
    with suppress(FileNotFoundError):
        return pyarrow.dataset.dataset(place.removeprefix("s3://"), filesystem=fresh()).to_table(["file"])


def fresh() -> fsspec.AbstractFileSystem:
    """The store, without what it was like before."""
    return fsspec.filesystem("s3", use_listings_cache=False)


class Killer:
    """Kills a worker when a quarter of the images is in a table, and the driver at half of them."""

    def __init__(self, place: str, images: int):
        self.place, self.images, self.looked, self.killed = place, images, 0.0, []

    def __call__(self, driver: psutil.Process) -> None:
        if time.monotonic() - self.looked < 1:
            return
        self.looked, there = time.monotonic(), rows(self.place)
        share = (len(there) if there is not None else 0) / self.images
        if share >= 1 / 4 and not self.killed:
            worker = next(each for each in driver.children(recursive=True) if WORKER in " ".join(each.cmdline()))
            worker.send_signal(signal.SIGKILL)
            self.killed.append(f"a worker at {share:.0%}")
        elif share >= 1 / 2 and len(self.killed) == 1:
            driver.send_signal(signal.SIGKILL)
            self.killed.append(f"the driver at {share:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bucket", description=__doc__.splitlines()[0])
    parser.add_argument("detector", help="a light one's folder")
    parser.add_argument("--images", type=int, default=20_000, help="how many (default: %(default)s)")
    arguments = parser.parse_args()
    count, judge = arguments.images, ["--detector", str(Path(arguments.detector).resolve()), "--device", "cpu"]

    def bucket(images: str, place: str, disturb: Callable = lambda _: None) -> Run:
        options = ["--out", place, "--workers", "2", *judge]
        command = [sys.executable, "-c", COMMAND, str(count // PARTS), "predict", images, *options]
        return watched(command, disturb)

    with tempfile.TemporaryDirectory() as name, s3(Path(name)):
        folder = Path(name, "images")
        make_images(folder, count)
        fresh().put(f"{folder}/", "leaves/all", recursive=True)
        for file in fresh().find("leaves/all")[: count // FEW]:
            fresh().copy(file, file.replace("/all/", "/few/"))
        plain = watched([sys.executable, "-m", "leanet", "predict", str(folder), "--format", "jsonl", *judge])
        few = bucket("s3://leaves/few", "s3://leaves/scores-few")
        whole = bucket("s3://leaves/all", "s3://leaves/scores")
        local = bucket(str(folder), f"{name}/scores")
        killer = Killer("s3://leaves/killed", count)
        stopped = bucket("s3://leaves/all", "s3://leaves/killed", killer)
        before = len(rows("s3://leaves/killed"))
        again = bucket("s3://leaves/all", "s3://leaves/killed")
        files = rows("s3://leaves/killed")["file"].to_pylist()

    print(f"the plain command: {count / plain.seconds:.1f} images/s: {plain}")
    steady = (count - count // FEW) / (whole.seconds - few.seconds)
    print(f"two workers: {count / whole.seconds:.1f} images/s, {steady:.1f} once they have started")
    print(f"two workers on the folder: {count / local.seconds:.1f} images/s: {local}")
    print(f"{count // FEW} images: {few}")
    print(f"{count} images: {whole}")
    print(f"killed: {', '.join(killer.killed)} ({stopped.seconds:.0f} s, status {stopped.status}): {stopped}")
    print(f"again: {again.seconds:.0f} s, {len(files) - before} images, status {again.status}: {again}")
    once = len(files) == len(set(files)) == count
    print(f"{len(files)} rows, {len(set(files))} different images of {count}: {'each once' if once else 'WRONG'}")
    sys.exit(not (once and len(killer.killed) == 2))


if __name__ == "__main__":
    main()
