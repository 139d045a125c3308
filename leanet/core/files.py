"""Files and folders that are there whole or not at all, and what they hold by its hash."""

import errno
import filecmp
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

SPARE = 2**30  # bytes of a disk that what comes from elsewhere leaves to others


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder that appears complete or not at all, whenever the process is killed or the power lost.

    Yields an empty folder beside `folder` to write to; it takes the place of `folder` when the block
    ends well, and is removed when it does not.
    """
    part, old = (folder.with_name(f"{folder.name}.{end}") for end in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        for inside in (*part.rglob("*"), part):
            _sync(inside)
        # Out of the way by one step: removing it takes many, and half of it is worse than nothing.
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """The same for a file: yields a name beside `file` to write to."""
    part = file.with_name(f"{file.name}.part")
    try:
        yield part
        _sync(part)
        part.replace(file)
        _sync(file.parent)
    finally:
        part.unlink(missing_ok=True)


def write(file: Path, text: str) -> None:
    """Write `text` to `file` as a whole, in a folder that need not be there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def alone(file: Path, waiting: str) -> Iterator[None]:
    """No two processes work on `file` at once: the second prints the line `waiting`, and waits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f"{file.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(waiting, file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sync(path: Path) -> None:
    """Wait until what `path` holds would outlive a loss of power."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def check_room(folder: Path, size: int) -> None:
    """Make sure that `size` bytes may still come to the disk of `folder`.

    Raises:
        OSError: less than SPARE would be left.
    """
    if shutil.disk_usage(folder).free - size < SPARE:
        raise OSError(errno.ENOSPC, f"the disk has too little room, since {SPARE >> 20} MiB of it are left free")


def from_json(text: str | bytes) -> object:
    """What `text` says, whoever wrote it.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        said = json.loads(text)
        json.dumps(said, ensure_ascii=False).encode()  # fails where half a character is escaped
    except RecursionError:
        raise ValueError("too deep") from None
    return said


def sha256(file: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def share(copy: Path, original: Path) -> None:
    """Make `copy` another name of `original` where both hold the same, so that the disk holds it once.

    Where the file system has no such links, or they lie on two of them, the copy stays.
    """
    if copy.samefile(original) or not filecmp.cmp(copy, original, shallow=False):
        return
    with suppress(OSError), whole_file(copy) as link:
        os.link(original, link)
