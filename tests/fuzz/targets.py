"""What reads bytes from outside: functions that may raise nothing but InputError, and inputs to begin with."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from packing import make_rar, make_rar5, make_tar, make_zip
from PIL import Image

from leanet.images import archives, decoding, sources
from leanet.images.reading import is_image

SIDE = 16
MOST_PIXELS = 200_000  # of an image here: what a few bytes ask for is seen by its time and memory
RGB = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8) // 64 * 64


@dataclass(frozen=True)
class Target:
    """read: may raise InputError alone. seeds: whole inputs to change. words: what such inputs are made of."""

    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    mend: Callable[[bytes], bytes] = bytes  # sums that every change would make wrong


def image(content: bytes) -> None:
    """An image file in a data set or a batch."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "image")
        file.write_bytes(content)
        assert decoding.decode(file, SIDE, most_pixels=MOST_PIXELS).shape == (SIDE, SIDE, 3)
        # What was decoded once is not asked again whether it can be.
        assert decoding.decode_mask(file, SIDE).shape == (SIDE, SIDE)
        assert max(decoding.picture(file, SIDE).size) <= SIDE
        decoding.size(file)
        decoding.taken(file)


def archive(content: bytes) -> None:
    """A download."""
    with TemporaryDirectory() as folder:
        file, to = Path(folder, "archive"), Path(folder, "to")
        file.write_bytes(content)
        to.mkdir()
        try:
            archives.unpack(file, to, lambda name: name if is_image(name) else None)
        finally:
            assert sorted(os.listdir(folder)) == ["archive", "to"]
            written = [file for file in to.rglob("*") if not file.is_dir()]
            assert not any(file.is_symlink() for file in written)
            assert sum(file.stat().st_size for file in written) <= archives._most_unpacked(len(content))


def table(content: bytes) -> None:
    """images.csv of a folder of the user's own."""
    with TemporaryDirectory() as folder:
        source, to = Path(folder, "source"), Path(folder, "to")
        (source / "deep").mkdir(parents=True)
        to.mkdir()
        for name in ("a.png", "b.png", "deep/c.png", "=1.png"):
            (source / name).touch()
        (source / "images.csv").write_bytes(content)
        sources.fetch(source, to)
        assert sources.sampled(sources.Dataset(str(to), None, None)) == sources.sampled(
            sources.Dataset(str(source), None, None)
        )


def _saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


@cache
def _images() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110], exif[0x0132] = 6, "camera", "2026:01:01 00:00:00"
    frames = {"save_all": True, "append_images": [Image.new("RGB", (SIDE, SIDE), "red")]}
    return [
        _saved("PNG", exif=exif),
        _saved("PNG", "P", transparency=3),
        _saved("PNG", "I;16"),
        _saved("PNG", "LA"),
        _saved("JPEG", exif=exif),
        _saved("JPEG", "CMYK", progressive=True),
        _saved("BMP"),
        _saved("BMP", "P"),
        *(_saved("TIFF", compression=how) for how in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
        _saved("TIFF", "1", compression="group4"),
        _saved("TIFF", "I;16", exif=exif),
        _saved("WEBP", exif=exif),
        _saved("WEBP", "RGBA", lossless=True),
        _saved("WEBP", **frames),
        _saved("GIF", **frames),
    ]


@cache
def _archives() -> list[bytes]:
    members = [
        ("set/", b""),
        ("set/a.png", RGB.tobytes()),
        ("set/deep/b.jpg", bytes(999)),
        ("notes.txt", b"hello"),
    ]
    plain = make_tar(members)
    packed = [gzip.compress(plain, mtime=0), bz2.compress(plain), lzma.compress(plain, preset=0)]
    return [make_zip(members), plain, *packed, make_rar(members), make_rar5(members)]


def _tables() -> list[bytes]:
    return [
        b"path,label\na.png,1\nb.png,0\n",
        "\ufeffpath;label;group\r\ndeep/c.png;anomalous;Blätter\r\n=1.png;good;\r\n".encode(),
        b'path,label,mask,box\n"a.png",1,b.png,1 2 3 4\n./deep//c.png,0,,\n',
    ]


def _sums(content: bytes) -> bytes:
    """A PNG with the sums of its chunks."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    mended, at = content[:8], 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        mended += content[at:end] + zlib.crc32(content[at + 4 : end]).to_bytes(4)
        at = end + 4
    return mended + content[at:]


TARGETS = {
    "image": Target(image, _images, (b"IDAT", b"tRNS", b"iCCP", b"acTL", b"\xff\xd9", b"ANMF", b"II*\0"), _sums),
    "archive": Target(
        archive, _archives, (b"../", b"/", b"\\", b"C:", b"PK\1\2", b"PK\5\6", b"ustar", b"Rar!\x1a\7")
    ),
    "table": Target(
        table,
        _tables,
        (*b'path label object , ; \n \r " ../ / = a.png \xff \0 \x1b[2J'.split(b" "), b"a" * 300, b"-1 0 9 9"),
    ),
}
