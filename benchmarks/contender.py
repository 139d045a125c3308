"""Two programs timed in turns, each in a process of its own, and the memory that one takes."""

import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path


@dataclass(frozen=True)
class Duel:
    """Seconds of ours and of the other, medians of several turns, and how much ours is faster."""

    ours: float
    other: float
    ratios: tuple[float, ...]  # other / ours, turn by turn: what both met in the same minute cancels out

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)


def duel(ours: Callable[[], Callable], other: Callable[[], Callable], turns: int = 5, copies: int = 1) -> Duel:
    """Time the functions that `ours` and `other` make, turn about, after one turn each that does not count.

    Each is made in a fresh process, where it stays warm: what one sets up (memory, threads, determinism)
    is not the other's. copies: so many of ours run at once; a turn is over when the last of them is.
    """
    sides = [[_Contender(ours) for _ in range(copies)], [_Contender(other)]]
    try:
        times = [[_run(contenders) for contenders in sides] for _ in range(turns + 1)][1:]
    finally:
        for contender in sides[0] + sides[1]:
            contender.stop()
    mine, theirs = zip(*times, strict=True)
    ratios = tuple(b / a for a, b in times)
    return Duel(statistics.median(mine), statistics.median(theirs), ratios)


def together(make: Callable[[], Callable], counts: Sequence[int]) -> dict[int, float]:
    """Seconds until so many processes are done that all do at once what `make` makes, by their number."""
    contenders = [_Contender(make) for _ in range(max(counts))]
    try:
        _run(contenders)  # does not count
        return {count: _run(contenders[:count]) for count in counts}
    finally:
        for contender in contenders:
            contender.stop()


def _run(contenders: list["_Contender"]) -> float:
    """Seconds until all of them are done."""
    for contender in contenders:
        contender.begin()
    return max(contender.end() for contender in contenders)


class _Contender:
    """A function in a process of its own, which sleeps between turns."""

    def __init__(self, make: Callable[[], Callable]):
        context = get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, child), daemon=True)
        self._process.start()

    def begin(self) -> None:
        with suppress(BrokenPipeError):  # it has ended, and why is what comes back
            self._pipe.send(True)

    def end(self) -> float:
        """Seconds of the run that began."""
        if isinstance(answer := self._pipe.recv(), float):
            return answer
        raise RuntimeError(answer)

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()


def _serve(make: Callable[[], Callable], pipe) -> None:
    try:
        function = make()
        while pipe.recv():
            started = time.perf_counter()
            function()
            pipe.send(time.perf_counter() - started)
    except Exception as error:
        pipe.send(f"{make}: {error!r}")


def peak(make: Callable[[], Callable[[], None]]) -> float:
    """Largest resident memory in MiB of a process that runs what `make` makes, on Linux."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(make, theirs))
    process.start()
    found = ours.recv()
    process.join()
    return found


def _measure(make: Callable[[], Callable[[], None]], pipe) -> None:
    make()()
    status = Path("/proc/self/status").read_text()
    pipe.send(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
