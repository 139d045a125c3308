"""How much work a file may make: a few bytes can keep a decoder busy for minutes."""

import io
import re
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from leanet.core.errors import InputError

MAX_PIECES = 500_000  # a second of work; an ordinary file of 64 MiB has 30,000
MAX_SCANS = 100  # of a JPEG; of a progressive one, most programs write ten
MAX_SCANNED = 2_000_000_000  # pixels of all its scans together, two seconds of work

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # none that has no segment, such as those within a scan
_SCAN, _END = b"\xff\xda", b"\xff\xd9"


class Pieces(io.BufferedReader):
    """A file, or its bytes, read in MAX_PIECES pieces at most.

    Pillow takes chunks, segments and run lengths one by one, and each, however short, costs a turn of Python.
    """

    def __init__(self, source: Path | bytes):
        super().__init__(io.BytesIO(source) if isinstance(source, bytes) else io.FileIO(source))
        self._left = MAX_PIECES

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise _too_many_pieces()
        return super().read(size)


def check_scans(image: Image.Image) -> None:
    """Refuse a JPEG, opened and not yet decoded, whose scans make it decode over and over.

    Raises:
        InputError: they are too many, or too many for its size.
    """
    if isinstance(image, JpegImageFile) and image.fp:
        image.fp.seek(0)
        scans = _scans(image.fp.read())
        if scans > MAX_SCANS or scans * image.width * image.height > MAX_SCANNED:
            raise InputError(f"a JPEG of {scans} scans; of its size, an ordinary one has ten")


def _scans(content: bytes) -> int:
    at = scans = 0
    for _ in range(MAX_PIECES):
        marker = _MARKER.search(content, at)
        if marker is None or marker[0] == _END:
            return scans
        scans += marker[0] == _SCAN
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    raise _too_many_pieces()


def _too_many_pieces() -> InputError:
    return InputError(f"it has more than {MAX_PIECES:,} pieces")
