"""Downloads that end whole and verified, or in one line that says what to do by hand."""

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import requests
from filelock import FileLock

from leanet.core import files
from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.images.web import PassingError, RefusedError, ask, patiently

SLOW_SECONDS, SLOW_BYTES = 60, 2**16  # fewer bytes in that time are as good as none
MIB = 2**20
MOST = 20 * 2**30  # bytes of a file whose size is not published


@dataclass(frozen=True)
class Remote:
    """One file, the same bytes at any of its addresses."""

    file: str  # its name in the folder of downloads
    addresses: tuple[str, ...]  # http(s), tried in turn
    page: str  # for people: where to get it by hand
    size: int | None  # bytes, where known
    sha256: str | None
    md5: str | None

    @property
    def is_published(self) -> bool:
        """Whether its publisher gives a hash."""
        return bool(self.sha256 or self.md5)


def download(remote: Remote, folder: Path, seen: Path) -> Path:
    """`remote` in `folder`, verified; nothing is asked for when it lies there already.

    What came in part lies beside it as `<file>.part` and is continued, by a later run too. A file without a
    published hash is held to the one in the JSON file `seen`, if it was ever recorded there (`record`).

    Raises:
        InputError: the file there is another one, no address gives the right one, or it cannot be written.
    """
    file = folder / remote.file
    held = ""
    try:
        if not remote.is_published and (first := _read_seen(seen).get(remote.file)):
            remote = replace(remote, size=first["size"], sha256=first["sha256"])
            held = f"; these are those first seen: trust the new file by removing their entry in {seen}"
        if not _is_there(file, remote, held):
            with files.alone(file, f"{file}: waits for another process that downloads it"):
                if not _is_there(file, remote, held):  # another process may have brought it meanwhile
                    _bring(remote, file, held)
    except OSError as error:
        where, why = error.filename or file, error.strerror or error
        raise InputError(f"{where}: {why}; mend this and run again: what has come so far is kept") from None
    return file


def record(remote: Remote, folder: Path, seen: Path) -> None:
    """Keep what `remote` in `folder` is held to from now on, if its publisher gives no SHA-256.

    A file may be listed with its MD5 today, and lie there with nothing to be held to tomorrow. To be called when
    the file has proved to be what it should. `seen` is JSON: {"file name": {"sha256": …, "size": bytes}}.
    """
    file = folder / remote.file
    if remote.sha256 or remote.file in _read_seen(seen):
        return
    with FileLock(file.with_name(f"{seen.name}.lock")):
        known = _read_seen(seen) | {file.name: {"sha256": _digest(file, "sha256"), "size": file.stat().st_size}}
        files.write(seen, json.dumps(known, indent=2, sort_keys=True) + "\n")


class _Part:
    """The bytes so far, kept from run to run, and beside them which version of the file they are of."""

    def __init__(self, file: Path):
        self.file = file.with_name(f"{file.name}.part")
        self.note = file.with_name(f"{file.name}.part.json")

    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def range(self, address: str, verifiable: bool) -> dict[str, str]:
        """Headers that ask `address` for the rest; none where what there is cannot be trusted, or is nothing."""
        try:
            note = files.from_json(self.note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            note = None
        rest = {"Range": f"bytes={self.size()}-"}
        validator = note.get("validator") if isinstance(note, dict) and note.get("address") == address else None
        if self.size() and isinstance(validator, str):
            return rest | {"If-Range": validator}
        return rest if self.size() and verifiable else {}

    def remember(self, address: str, response: requests.Response) -> None:
        validator = response.headers.get("ETag", "W/")
        if validator.startswith("W/"):  # a weak one is not for ranges
            validator = response.headers.get("Last-Modified")
        note = {"address": address, "validator": validator} if validator else {}
        self.note.write_text(json.dumps(note), encoding="utf-8")

    def drop(self) -> None:
        self.file.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _bring(remote: Remote, file: Path, held: str) -> None:
    part, reasons = _Part(file), []
    for address in remote.addresses:
        try:
            _complete(part, remote, address)
        except RefusedError as reason:
            reasons.append(f"{address}: {reason}")
        else:
            os.replace(part.file, file)
            part.drop()
            return
    tried = "; ".join(reasons) + held
    raise InputError(f"{file}: {tried}; download it by hand from {remote.page} and put it at {file}")


def _complete(part: _Part, remote: Remote, address: str) -> None:
    """Make `part` whole and right from `address`; a part begun earlier may prove wrong only in the end."""
    for _ in range(2):
        continued = patiently(address, lambda: _receive(part, remote, address), part.size)
        fault = _fault(part.file, remote)
        if fault is None:
            return
        part.drop()
        if not continued:
            break
    raise RefusedError(fault)


def _receive(part: _Part, remote: Remote, address: str) -> bool:
    """Take one answer to its end; whether it continued what was there."""
    verifiable = remote.is_published
    if verifiable and part.size() == remote.size:  # a run ended between its last byte and the check
        return True
    with ask(address, **part.range(address, verifiable)) as response:
        start, total = 0, response.raw.length_remaining
        if response.status_code != 200:
            rest = re.fullmatch(r"bytes (\d{1,19})-\d+/(\d{1,19}|\*)", response.headers.get("Content-Range", ""))
            if rest is None or int(rest[1]) != part.size():
                part.drop()
                return _receive(part, remote, address)
            start, total = int(rest[1]), None if rest[2] == "*" else int(rest[2])
        if total is not None and (total > MOST if remote.size is None else total != remote.size):
            raise RefusedError(f"announces {total} bytes, expected {remote.size or f'at most {MOST}'}")
        if total is None:
            total = remote.size
        if total is None and not verifiable and not response.raw.chunked:
            raise RefusedError("does not say how long the file is")
        most = MOST if total is None else total
        files.check_room(part.file.parent, 0 if total is None else total - start)
        with part.file.open("ab" if start else "wb") as out:
            if not start:
                part.remember(address, response)
            done = _copy(response, out, start, total, most, part.file.stem)
            out.flush()
            os.fsync(out.fileno())
    if not done:
        raise RefusedError("an empty body")
    if done > most:
        part.drop()
        raise RefusedError(f"more than the expected {most} bytes")
    if total is not None and done < total:
        raise PassingError(f"ended after {done} of {total} bytes")
    return start > 0


def _copy(response: requests.Response, out: BinaryIO, start: int, total: int | None, most: int, name: str) -> int:
    """Append the body to `out`, which has `start` bytes, up to just over `most`; how many there are then."""
    done = mark = start
    since = time.monotonic()
    what = f"{name} (MiB)" if not start else f"{name} from {start // MIB} MiB on (MiB)"
    with Progress(None if total is None else (total - start) // MIB, what) as progress:
        while done <= most and (data := response.raw.read1(MIB)):
            files.check_room(Path(out.name).parent, len(data))
            out.write(data)
            if steps := (done + len(data) - start) // MIB - (done - start) // MIB:
                progress.step(steps)
            done += len(data)
            now = time.monotonic()
            if now - since >= SLOW_SECONDS:
                if done - mark < SLOW_BYTES:
                    raise PassingError(f"only {done - mark} bytes in {now - since:.0f} s")
                since, mark = now, done
    return done


def _is_there(file: Path, remote: Remote, held: str) -> bool:
    if not file.exists():
        return False
    if fault := _fault(file, remote):
        raise InputError(f"{file}: {fault}{held}; remove it to download it again")
    return True


def _fault(file: Path, remote: Remote) -> str | None:
    """What makes `file` another one than `remote`, where something does."""
    size = file.stat().st_size
    if not size:
        return "is empty"
    if remote.size not in (None, size):
        return f"has {size} bytes, expected {remote.size}"
    with file.open("rb") as stream:
        if stream.read(64).lstrip(b"\xef\xbb\xbf\r\n\t ").lower().startswith((b"<!doctype", b"<html")):
            return "is an HTML page"
    for name, expected in (("sha256", remote.sha256), ("md5", remote.md5)):
        if expected and (found := _digest(file, name)) != expected.lower():
            return f"has the {name} {found}, expected {expected}"
    return None


def _digest(file: Path, name: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, name).hexdigest()


def _read_seen(seen: Path) -> dict[str, dict]:
    try:
        known = files.from_json(seen.read_text(encoding="utf-8"))
        first = {name: {"sha256": entry["sha256"], "size": entry["size"]} for name, entry in known.items()}
        if all(isinstance(each["sha256"], str) and isinstance(each["size"], int) for each in first.values()):
            return first
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InputError(f'{seen}: expected JSON as {{"file name": {{"sha256": "…", "size": …}}}}')
