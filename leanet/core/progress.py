"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10


class Progress:
    """Counts `total` steps of `what`, with the time left and the latest figures.

    Where `total` is None, nobody knows how many there will be.

    Use as a context manager and call `step` as work gets done.
    """

    def __init__(self, total: int | None, what: str):
        self.what, self.total, self.done = what, total, 0
        self.started = self.printed = time.monotonic()
        terminal = sys.stderr.isatty()
        self.bar = tqdm(total=total, desc=what, file=sys.stderr, smoothing=0.1) if terminal else None

    def step(self, n: int = 1, /, **figures: object) -> None:
        """Count `n` more steps; `figures` (loss, fold, …) stand beside the count."""
        self.done += n
        if self.bar is not None:
            self.bar.set_postfix(figures, refresh=False)
            self.bar.update(n)
            return
        now = time.monotonic()
        if now - self.printed >= SECONDS_BETWEEN_LINES or self.done == self.total:
            self.printed = now
            count = f"{self.done}"
            if self.total is not None:
                left = (now - self.started) / self.done * (self.total - self.done)
                count += f"/{self.total}, {left:.0f} s left"
            shown = "".join(f", {name} {value}" for name, value in figures.items())
            print(f"{self.what}: {count}{shown}", file=sys.stderr)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
