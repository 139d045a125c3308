"""`make fuzz`: change inputs until one breaks what reads it, or the time is over."""

import argparse
import hashlib
import io
import multiprocessing
import os
import resource
import sys
import time
from contextlib import redirect_stderr, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.mutation import FOUND, mutant
from fuzz.targets import TARGETS

from leanet.core.errors import InputError

MOST_SECONDS, MOST_MEMORY = 60, 512 * 2**10  # of one input; KiB beyond what the one before took


def series(name: str, first: int, seconds: float, note: Path, said: Path) -> None:
    """Try inputs from number `first` on; `note` has the number of the one under way, `said` what it prints."""
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
    ends = time.monotonic() + seconds
    note.write_text(str(first))
    for whole in TARGETS[name].seeds():
        TARGETS[name].read(whole)  # loads what it needs: that is not the first input's
    while time.monotonic() < ends:
        note.write_text(str(first))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with suppress(InputError), redirect_stderr(io.StringIO()):
            TARGETS[name].read(mutant(name, first))
        os.truncate(said, 0)
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert taken < MOST_MEMORY, f"took {taken >> 10} MiB"
        first += 1


def watched(name: str, first: int, seconds: float) -> tuple[int, bool]:
    """The number of the last input, and whether it broke something: raised, crashed, hung or filled memory."""
    with TemporaryDirectory() as folder:
        note, said = Path(folder, "number"), Path(folder, "said")
        process = multiprocessing.Process(target=series, args=(name, first, seconds, note, said))
        process.start()
        ends = time.monotonic() + seconds + MOST_SECONDS
        process.join(ends - time.monotonic())
        if hangs := process.is_alive():
            process.kill()
            process.join()
        breaks = hangs or process.exitcode != 0
        if breaks:
            sys.stderr.buffer.write(said.read_bytes()[-2000:])
        return int(note.read_text()), breaks


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=[*TARGETS], help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=5, help="of all targets together")
    parser.add_argument("--first", type=int, default=time.time_ns() // 1000, help="number of the first input")
    arguments = parser.parse_args()
    broken = 0
    for name in arguments.targets:
        ends, number = time.monotonic() + 60 * arguments.minutes / len(arguments.targets), arguments.first
        while (left := ends - time.monotonic()) > 0:
            number, breaks = watched(name, number, left)
            if breaks:
                content = mutant(name, number)
                file = FOUND / name / hashlib.sha256(content).hexdigest()[:12]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                print(f"{name}: input {number} breaks it, kept as {file}", flush=True)
                broken += 1
            number += 1
        print(f"{name}: {number - arguments.first} inputs", flush=True)
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
