"""What this machine has for work side by side, and results of threads in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import TypeVar

T = TypeVar("T")
GROUP = Path("/sys/fs/cgroup")  # of a container, on Linux


def cores() -> int:
    """How many cores this process may use: a container's share counts, where it has one."""
    from joblib import cpu_count  # here: a tenth of a second that few need to wait for

    return cpu_count()


def free_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = GROUP) -> int | None:
    """Bytes that may still be taken of the machine, or of its container if it is less; None if nothing says."""
    try:
        facts = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = 1024 * int(facts["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None
    try:
        most = int((group / "memory.max").read_text())  # "max" where nothing is set
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        taken = int((group / "memory.current").read_text()) - int(cached["inactive_file"])
        return min(free, most - taken)
    except (OSError, KeyError, ValueError):
        return free


class Room:
    """So much of something that is scarce: threads take of it what they need, and wait while it is not there."""

    def __init__(self, size: int):
        self.size, self._held, self._changed = size, 0, Condition()

    @contextmanager
    def hold(self, part: int) -> Iterator[None]:
        """Within the block, `part` of the room is taken; a larger part than there is waits for all of it."""
        part = min(part, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._held + part <= self.size)
            self._held += part
        try:
            yield
        finally:
            with self._changed:
                self._held -= part
                self._changed.notify_all()


def in_order(
    function: Callable[..., T], arguments: Iterable[tuple], threads: int | None = None, ahead: int = 0
) -> Iterator[T]:
    """`function` of each tuple of arguments, in their order, worked on by so many threads (None: by all cores).

    At most `ahead` results more than there are threads wait to be taken: memory does not grow with their number.
    """
    threads = threads or cores()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque = deque()
        try:
            for given in arguments:
                waiting.append(pool.submit(function, *given))
                if len(waiting) >= threads + ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
