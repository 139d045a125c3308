"""Small files that would keep a decoder busy for long: refused; ordinary ones with much in them are not."""

import io

import numpy as np
import pytest
from handmade import bmp, chunk
from PIL import Image

from leanet.core.errors import InputError
from leanet.images import effort
from leanet.images.decoding import decode

SIDE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
SCAN, END = b"\xff\xda", b"\xff\xd9"
MANY = 2000


def saved(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, kind, **options)
    return stream.getvalue()


def of_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes over and over."""
    content = saved("JPEG", progressive=True)
    start, end = content.rindex(SCAN), content.rindex(END)
    return content[:end] + (count - content.count(SCAN)) * content[start:end] + END


def comment(text: bytes) -> bytes:
    return b"\xff\xfe" + (2 + len(text)).to_bytes(2) + text


JPEG, PNG, GIF = saved("JPEG"), saved("PNG"), saved("GIF")
AFTER_HEAD = PNG.index(b"IDAT") - 4
BEFORE_FRAME = GIF.index(b",", 13 + 3 * 256)
FLOODS = {
    "chunks of PNG": PNG[:AFTER_HEAD] + MANY * chunk(b"abCd", b"") + PNG[AFTER_HEAD:],
    "data chunks of PNG": PNG[:AFTER_HEAD] + MANY * chunk(b"IDAT", b"") + PNG[AFTER_HEAD:],
    "segments of JPEG": JPEG[:2] + MANY * comment(b"") + JPEG[2:],
    "filling of JPEG": JPEG[:2] + MANY * b"\xff" + JPEG[2:],
    "segments of JPEG before its last scan": JPEG[:-2] + MANY * comment(b"") + END,
    "blocks of GIF": GIF[:BEFORE_FRAME] + b"!\xfe" + MANY * b"\1a" + b"\0" + GIF[BEFORE_FRAME:],
    "runs of BMP": bmp(MANY * b"\1\7" + b"\0\1", MANY, 1, 8, palette=bytes(1024), compression=1),
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("place", ["bytes", "path"])
def test_a_file_of_too_many_pieces_is_refused(tmp_path, monkeypatch, kind, place):
    (tmp_path / "file").write_bytes(FLOODS[kind])
    source = FLOODS[kind] if place == "bytes" else tmp_path / "file"
    assert decode(source, SIDE).shape == (SIDE, SIDE, 3)  # so many are no harm
    monkeypatch.setattr(effort, "MAX_PIECES", 1000)
    with pytest.raises(InputError, match="cannot be decoded as an image .it has more than 1,000 pieces"):
        decode(source, SIDE, "file")


def test_a_jpeg_of_too_many_scans_is_refused(monkeypatch):
    most = of_scans(effort.MAX_SCANS)
    assert decode(most, SIDE).shape == (SIDE, SIDE, 3)
    with pytest.raises(InputError, match="a JPEG of 101 scans; of its size, an ordinary one has ten"):
        decode(of_scans(effort.MAX_SCANS + 1), SIDE)
    with pytest.raises(InputError, match="a JPEG of 101 scans"):
        decode(Image.open(io.BytesIO(of_scans(effort.MAX_SCANS + 1))), SIDE)
    monkeypatch.setattr(effort, "MAX_SCANNED", 100 * SIDE * SIDE - 1)
    with pytest.raises(InputError, match="a JPEG of 100 scans"):
        decode(most, SIDE)


ORDINARY = {
    "progressive": saved("JPEG", progressive=True),
    "with a marker after each block": saved("JPEG", restart_marker_blocks=1, quality=100),
    "with another JPEG in its metadata": JPEG[:2] + comment(MANY * SCAN) + JPEG[2:],
    "with something behind it": JPEG + MANY * SCAN,
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_what_only_looks_like_scans_is_none(kind):
    np.testing.assert_array_equal(decode(ORDINARY[kind], SIDE), np.asarray(Image.open(io.BytesIO(ORDINARY[kind]))))
