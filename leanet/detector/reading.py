"""Images to judge, from wherever the user has them, decoded ahead of the networks."""

import glob
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image

from leanet.data.decoding import decode
from leanet.data.layout import SUFFIXES
from leanet.errors import InputError

Source = str | Path | bytes | Image.Image | np.ndarray
READERS = 4  # threads: the decoders of Pillow run side by side
AHEAD = 2  # batches that are decoded while one is judged


def find(named: Iterable[str], listed: TextIO = sys.stdin) -> list[Path]:
    """The files that arguments name: a file, a folder (all images below it), a pattern, or "-" for a list.

    listed: what "-" reads, a path a line. Files come in the order of the arguments, those of a folder or pattern
    sorted, each once. A file that is not there is left for the reader to report.

    Raises:
        InputError: a folder holds no image, a pattern fits none.
    """
    files: list[Path] = []
    for name in named:
        if name == "-":
            files += [Path(line) for line in listed.read().splitlines() if line.strip()]
        elif Path(name).is_dir():
            inside = sorted(file for file in Path(name).rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise InputError(f"{name}: no image in this folder; looked for {', '.join(sorted(SUFFIXES))}")
            files += inside
        elif glob.has_magic(name) and not Path(name).exists():
            fitting = sorted(glob.glob(name, recursive=True))
            if not fitting:
                raise InputError(f"{name}: no file fits this pattern")
            files += map(Path, fitting)
        else:
            files.append(Path(name))
    return list(dict.fromkeys(files))


def read(sources: Iterable[Source], side: int, batch_size: int) -> Iterator[list[np.ndarray | InputError]]:
    """Batches of images as uint8 (side, side, 3), in order; in place of one that cannot be read, why."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque = deque()
        try:
            for at, source in enumerate(sources):
                waiting.append(pool.submit(_one, source, at, side))
                if len(waiting) == (AHEAD + 1) * batch_size:
                    yield [waiting.popleft().result() for _ in range(batch_size)]
            while waiting:
                yield [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
        finally:
            pool.shutdown(cancel_futures=True)


def _one(source: Source, at: int, side: int) -> np.ndarray | InputError:
    try:
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
                raise InputError(
                    f"image {at}: an array of {source.dtype} {source.shape}, expected uint8 (height, width, 3)"
                )
            source = Image.fromarray(source)
        name = str(source) if isinstance(source, str | Path) else f"image {at}"
        if isinstance(source, str | Path) and not Path(source).exists():
            raise InputError(f"{name}: no such file")
        return decode(Path(source) if isinstance(source, str) else source, side, name)
    except InputError as error:
        return error
