"""Which files the arguments of `leanet predict` name."""

import glob
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from leanet.core.errors import InputError
from leanet.images.reading import SUFFIXES, is_image


def find(named: Iterable[str], listed: BinaryIO | None = None) -> list[Path]:
    """The files that arguments name: a file, a folder (all images below it), a pattern, or "-" for a list.

    listed: what "-" reads, a path a line; None is stdin. Files come in the order of the arguments, those of a
    folder or pattern sorted, each once. A file that is not there is left for the reader to report.

    Raises:
        InputError: a folder holds no image, a pattern fits none, the list is no text.
    """
    files: list[Path] = []
    for name in named:
        if name == "-":
            lines = os.fsdecode((listed or sys.stdin.buffer).read())
            if "\0" in lines:
                raise InputError("-: expected a path a line, but there is a NUL character")
            files += [Path(line.removesuffix("\r")) for line in lines.split("\n") if line.strip()]
        elif os.path.isdir(name):
            inside = sorted(file for file in Path(name).rglob("*") if is_image(file.relative_to(name)))
            if not inside:
                raise InputError(f"{name}: no image in this folder; looked for {', '.join(sorted(SUFFIXES))}")
            files += inside
        elif glob.has_magic(name) and not os.path.exists(name):
            fitting = sorted(glob.glob(name, recursive=True))
            if not fitting:
                raise InputError(f"{name}: no file fits this pattern")
            files += map(Path, fitting)
        else:
            files.append(Path(name))
    return list(dict.fromkeys(files))
