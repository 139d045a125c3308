"""Archives as they were downloaded: zip, tar and rar, unpacked without trusting what they say.

An archive with one member that nobody would pack in good faith is refused as a whole.
"""

import bz2
import gzip
import io
import lzma
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import rarfile

from leanet.core import files
from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.core.text import UNPRINTABLE

MOST_MEMBERS = 200_000
MOST_BYTES = 20 * 2**30  # of all chosen members
# Photographs hardly shrink; drawings and masks do, but a whole set of more than FREE never to a hundredth.
RATIO, FREE = 100, 64 * 2**20
LONGEST_NAME = 1000
CHUNK = 2**16  # bytes read at once; no header in a tar is larger
DIRECTORY = MOST_MEMBERS * 160  # bytes of a zip's table of contents, which is read in one piece

DRIVE = re.compile("[A-Za-z]:")
SPECIAL = "is a link, a device or another special file"
ENCRYPTED = "is encrypted"
TWICE = "is there twice"


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive, as its header describes it."""

    name: str
    size: int  # bytes when unpacked
    at: int  # bytes of the archive before it
    folder: bool
    fault: str | None  # why its kind alone condemns it
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, to: Path, choose: Callable[[str], str | None]) -> int:
    """Write the chosen members of a zip, tar (plain, gz, bz2, xz or zst) or rar archive below the folder `to`.

    `choose` gets the name of each file, with `/` between its parts, and gives the path below `to` where the
    file shall lie, or None to leave it out. Returns how many files were written. When the archive is refused,
    `to` may hold some of its files already: give a folder of `paths.whole`.

    Raises:
        InputError: the archive is of another format, damaged, encrypted, larger than any data set, needs a
            program that is not there, or holds a member that could reach out of `to`; or `to` cannot be written.
    """
    if not archive.is_file():
        raise InputError(f"{archive}: there is no such file")
    size = archive.stat().st_size
    unpacking = _Unpacking(archive, to, choose, min(MOST_BYTES, _most_unpacked(size)))
    with closing(_members(archive)) as members, Progress(1 + (size >> 20), f"unpack {archive} (MiB)") as progress:
        while True:
            with _reading(archive):
                member = next(members, None)
            if member is None:
                break
            unpacking.take(member)
            reached = min(member.at, size) >> 20
            if reached > progress.done:
                progress.step(reached - progress.done)
        progress.step(progress.total - progress.done)
    return len(unpacking.destinations)


class _Unpacking:
    """What an archive has shown and written so far; all chosen files may take `most` bytes."""

    def __init__(self, archive: Path, to: Path, choose: Callable[[str], str | None], most: int):
        self.archive, self.to, self.choose, self.most = archive, to.resolve(), choose, most
        self.members, self.bytes = 0, 0
        self.names: set[str] = set()
        self.destinations: set[str] = set()

    def take(self, member: Member) -> None:
        """Examine the member, and write it if it is chosen."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise _crowded(self.archive)
        name = self._plain(member)
        if member.folder:
            return
        if name in self.names:
            raise self._refusal(member, TWICE)
        self.names.add(name)
        destination = self.choose(name)
        if destination is None:
            return
        # Where the file system does not tell them apart, one would take the place of the other.
        folded = unicodedata.normalize("NFC", destination).casefold()
        if folded in self.destinations:
            raise self._refusal(member, f"would lie at {destination!r}, where another member differs only in case")
        self.destinations.add(folded)
        self.bytes += member.size
        if self.bytes > self.most:
            raise self._refusal(
                member, f"brings the files to {self.bytes:,} bytes, more than an archive of images this size holds"
            )
        file = (self.to / destination).resolve()
        if not file.is_relative_to(self.to):
            raise self._refusal(member, f"would lie outside {self.to}")
        self._write(member, file)

    def _plain(self, member: Member) -> str:
        path = member.name.replace("\\", "/")
        parts = path.split("/")
        name = "/".join(part for part in parts if part not in ("", "."))
        if member.fault:
            raise self._refusal(member, member.fault)
        if member.size < 0:
            raise self._refusal(member, "has a size below zero")
        if not path or not (name or member.folder):
            raise self._refusal(member, "has no name")
        if len(path) > LONGEST_NAME:
            raise self._refusal(member, f"has a name of {len(path)} characters, more than {LONGEST_NAME}")
        if UNPRINTABLE.search(path):
            raise self._refusal(member, "has control characters in its name, or bytes that are no UTF-8")
        if path.startswith("/") or DRIVE.match(path):
            raise self._refusal(member, "has an absolute path")
        if ".." in parts:
            raise self._refusal(member, "has a path with ..")
        return name

    def _write(self, member: Member, file: Path) -> None:
        size = 0
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            files.check_room(file.parent, member.size)
            with _reading(self.archive):
                source = member.open()
            with source, file.open("xb") as out:
                data = None
                while data != b"":
                    with _reading(self.archive):
                        data = source.read(CHUNK)  # in all, no format gives more than it declares
                    size += out.write(data)
        except OSError as error:
            raise InputError(f"{file}: cannot be written from {self.archive} ({error.strerror})") from None
        if size != member.size:
            raise self._refusal(member, f"is not of {member.size:,} bytes, as the archive says")

    def _refusal(self, member: Member, why: str) -> InputError:
        return InputError(f"{self.archive}: refused, since its member {member.name[:LONGEST_NAME]!r} {why}")


def _most_unpacked(packed: int) -> int:
    return FREE + RATIO * packed


def _crowded(archive: Path) -> InputError:
    return InputError(f"{archive}: refused, since it has more than {MOST_MEMBERS:,} members")


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except rarfile.RarCannotExec:
        raise InputError(
            f"{archive}: its members are compressed, and no program is there to open a rar; install one, "
            "such as by `apt install unrar` or `apt install libarchive-tools`"
        ) from None
    except Exception as error:  # given damaged bytes, the parsers of the formats raise whatever they stumble on
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{archive}: cannot be read, perhaps damaged or cut off ({reason})") from None


def _members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return (yield from _zip(archive))
    if head.startswith(b"Rar!\x1a\x07"):
        return (yield from _rar(archive))
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"\x28\xb5\x2f\xfd": _zstd}
    for magic, opener in openers.items():
        if head.startswith(magic):
            return (yield from _tar(archive, opener))
    if head[257:262] == b"ustar":
        return (yield from _tar(archive, lambda file: file))
    begins = f"it begins with {head[:16]!r}" if head else "it is empty"
    raise InputError(f"{archive}: expected a zip, tar or rar archive, but {begins}")


class _ZipFile(io.FileIO):
    """Spares the memory that the table of contents of a million members would take."""

    def read(self, size: int = -1) -> bytes:
        if size > DIRECTORY:
            raise _crowded(Path(self.name))
        return super().read(size)


def _zip(archive: Path) -> Iterator[Member]:
    with _ZipFile(archive) as file, zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            special = mode not in (0, stat.S_IFREG, stat.S_IFDIR)
            yield Member(
                info.orig_filename,  # `filename` ends at a NUL
                info.file_size,
                info.header_offset,
                info.orig_filename.endswith(("/", "\\")),
                SPECIAL if special else ENCRYPTED if info.flag_bits & 1 else None,
                lambda info=info: opened.open(info),
            )


def _zstd(file: IO[bytes]) -> IO[bytes]:
    try:
        from compression import zstd
    except ImportError:
        raise InputError(f"{file.name}: packed with zstd, which needs Python 3.14 or later") from None
    return zstd.open(file)


class _Stream:
    """The unpacked bytes of a tar, from front to back, within what their packed size allows."""

    def __init__(self, packed: IO[bytes], unpacked: IO[bytes]):
        self.packed, self.unpacked, self.position = packed, unpacked, 0

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        data = self.unpacked.read(size)
        self.position += len(data)
        if self.position > _most_unpacked(self.packed.tell()):
            raise InputError(f"{self.packed.name}: refused, since it unpacks to over {RATIO} times its size")
        return data

    def seek(self, position: int) -> None:
        while position > self.position and self.read(min(CHUNK, position - self.position)):
            pass


class _TarInfo(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Tells a broken header, which tarfile takes for the end after the first member, from the end."""
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def _tar(archive: Path, opener: Callable[[IO[bytes]], IO[bytes]]) -> Iterator[Member]:
    with archive.open("rb") as file, opener(file) as unpacked:
        stream = _Stream(file, unpacked)
        with tarfile.TarFile(fileobj=stream, tarinfo=_TarInfo, encoding="utf-8") as opened:
            while (info := opened.next()) is not None:
                opened.members.clear()  # it would keep every one
                plain = info.isdir() or (info.isreg() and not info.issparse())
                yield Member(
                    info.name,
                    info.size,
                    file.tell(),
                    info.isdir(),
                    None if plain else SPECIAL,
                    lambda info=info: opened.extractfile(info),
                )
        while stream.read(CHUNK):  # the checksum lies behind the last byte
            pass


def _rar(archive: Path) -> Iterator[Member]:
    blocks = Counter()

    def count(block: rarfile.RarInfo) -> None:
        blocks[block.type] += 1
        if blocks[rarfile.RAR_BLOCK_FILE] > MOST_MEMBERS:
            raise _crowded(archive)

    with rarfile.RarFile(archive, errors="strict", info_callback=count) as opened:
        if opened.needs_password():
            raise InputError(f"{archive}: refused, since it {ENCRYPTED}")
        if not blocks[rarfile.RAR_BLOCK_ENDARC]:
            raise rarfile.BadRarFile("it has no end")
        for info in opened.infolist():
            mode = stat.S_IFMT(info.mode) if info.host_os == rarfile.RAR_OS_UNIX else 0
            special = info.file_redir or mode not in (0, stat.S_IFREG, stat.S_IFDIR)
            twice = opened.getinfo(info) is not info  # of one name, rarfile opens the last only
            yield Member(
                info.filename,
                info.file_size,
                info.header_offset,
                info.is_dir(),
                SPECIAL if special else TWICE if twice else None,
                lambda info=info: opened.open(info),
            )
