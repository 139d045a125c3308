"""Which files the arguments of `leanet predict` name."""

import glob
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from leanet.core.errors import InputError
from leanet.images.reading import SUFFIXES, is_image


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
            inside = sorted(file for file in Path(name).rglob("*") if is_image(file.relative_to(name)))
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
