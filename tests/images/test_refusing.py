"""What is no image, damaged or too large is named, and costs neither memory nor time."""

import logging
import resource
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from traceback import walk_tb

import numpy as np
import pytest
from handmade import bmp, chunk, tiff
from kinds import DEEP, GREY, KINDS, MINISBLACK, RGB, RGB_TIFF, RNG, SIDE, paged, photograph, saved
from PIL import Image

from leanet.core.errors import InputError
from leanet.core.parallel import Room
from leanet.images import decoding
from leanet.images.decoding import decode, decode_mask


def refused(file: Path, why: str, read: Callable = decode) -> None:
    with pytest.raises(InputError) as caught:
        read(file, SIDE)
    said = str(caught.value)
    assert said.startswith(f"{file}: cannot be decoded as an image (")
    assert why in said
    assert "\n" not in said


LARGE = np.tile(RGB, (2, 2, 1)) ^ RNG.integers(0, 8, (64, 64, 3), np.uint8)
WHOLE = {
    "JPEG": saved(LARGE, "JPEG"),
    "JPEG, progressive": saved(LARGE, "JPEG", progressive=True),
    "PNG": saved(LARGE, "PNG"),
    "BMP": saved(LARGE, "BMP"),
    "BMP, run lengths": KINDS["BMP, run lengths"][0],
    "TIFF": saved(LARGE, "TIFF"),
    "TIFF, LZW": saved(LARGE, "TIFF", compression="tiff_lzw"),
    "TIFF, tiled": paged(LARGE, tile=(16, 16), **RGB_TIFF),
    "WebP": saved(LARGE, "WEBP"),
    "GIF": saved(LARGE, "GIF"),
}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_off_is_named(tmp_path, kind, share):
    file = tmp_path / "cut off"
    file.write_bytes(WHOLE[kind][: int(share * len(WHOLE[kind]))])
    for read in (decode, decode_mask):
        refused(file, "", read)


def png_of(width: int, height: int, rest: bytes = b"") -> bytes:
    """A PNG of no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + rest


REFUSED = {
    "nothing": (b"", "it is empty"),
    "text": (b"a text, whatever its name", "no JPEG, PNG, BMP, TIFF, WEBP, GIF that can be read"),
    "another format": (b"P5 1 1 255 \0", "no JPEG, PNG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no JPEG, PNG"),
    "floats": (paged(GREY.astype(np.float32), **MINISBLACK), "pixels of mode F, expected 8 or 16 bits"),
    "32 bits": (paged(GREY.astype(np.uint32), **MINISBLACK), "pixels of mode I, expected 8 or 16 bits"),
    "a broken chunk": (png_of(SIDE, SIDE, chunk(b"I\xffAT", b"")), "damaged or cut off: broken PNG file"),
    "ten bands": (paged(np.zeros((SIDE, SIDE, 10), np.uint8), planarconfig="contig", **MINISBLACK), "no JPEG"),
    "a line": (
        bmp(b"\0\0\0\1", 100_000_000, 1, 8, palette=bytes(1024), compression=1),
        "it has more than 65,535 pixels along a side",
    ),
    "planes of 16 bits": (
        paged(np.moveaxis(DEEP, -1, 0), planarconfig="separate", **RGB_TIFF),
        "uncompressed planes of 16 bits",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, capfd, monkeypatch, kind):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as outside of pytest
    data, why = REFUSED[kind]
    (tmp_path / "image 1.jpg").write_bytes(data)
    refused(tmp_path / "image 1.jpg", why)
    assert capfd.readouterr() == ("", "")


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    refused(tmp_path, "(Is a directory)")
    refused(tmp_path / "missing.png", "(No such file or directory)")


VAST = 50_000
BOMBS = {
    "PNG": png_of(VAST, VAST),
    "PNG, a little too large": png_of(10_000, 10_001),
    "JPEG": b"\xff\xd8\xff\xc0"
    + struct.pack(">HBHHB3B", 11, 8, VAST, VAST, 1, 1, 17, 0)
    + b"\xff\xda"
    + bytes(99),
    "BMP": bmp(b"", VAST, VAST, 24),
    "TIFF": tiff(b"", {256: VAST, 257: VAST, 258: 8, 259: 1, 262: 1, 277: 1, 278: VAST}),
    "TIFF, of one tile": tiff(
        b"", {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: 46_320, 323: 46_320, 324: 8, 325: 99}
    ),
    "GIF": b"GIF89a"
    + struct.pack("<HHBBB", VAST, VAST, 0, 0, 0)
    + b","
    + struct.pack("<4HB", 0, 0, VAST, VAST, 0)
    + b"\2\0;",
    "WebP": b"RIFF" + struct.pack("<I4s4sIBI5s", 22, b"WEBP", b"VP8L", 10, 0x2F, 2**28 - 1, b""),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_by_its_header(tmp_path, kind):
    file = tmp_path / "bomb"
    file.write_bytes(BOMBS[kind])
    before = resource.getrusage(resource.RUSAGE_SELF)
    refused(file, "more than 100,000,000 pixels")
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 20_000  # KiB
    assert after.ru_utime - before.ru_utime < 0.2


def test_no_more_pixels_are_under_way_than_memory_has_room_for(tmp_path, monkeypatch):
    (tmp_path / "image.png").write_bytes(saved(RGB, "PNG"))
    monkeypatch.setattr(decoding, "UNDER_WAY", Room(2 * SIDE * SIDE))
    together, begun, most = threading.Barrier(2, timeout=60), [], []

    def resized(image: Image.Image, *_: object) -> Image.Image:
        begun.append(image)
        most.append(len(begun))
        together.wait()  # two fit, or this breaks; three would be seen
        time.sleep(0.01)
        begun.remove(image)
        return image

    monkeypatch.setattr(decoding, "_resized", resized)
    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(lambda _: decode(tmp_path / "image.png", SIDE), range(12)))) == 12
    assert max(most) == 2


def test_a_large_image_is_one_block_of_memory():
    """Many smaller ones would stay with each thread."""
    Image.core.reset_stats()
    Image.new("RGB", (5000, 5000))
    assert Image.core.get_stats()["allocated_blocks"] == 1


def test_what_resizing_cannot_do_is_the_files_fault(tmp_path, monkeypatch):
    def failing(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", failing)
    (tmp_path / "image.png").write_bytes(saved(LARGE, "PNG"))
    for read in (decode, decode_mask):
        refused(tmp_path / "image.png", "its pixels do not fit into memory", read)


def test_an_error_holds_no_pixels(tmp_path):
    (tmp_path / "image.png").write_bytes(saved(LARGE, "PNG")[:-50])
    with pytest.raises(InputError) as caught:
        decode(tmp_path / "image.png", SIDE)
    held = [value for frame, _ in walk_tb(caught.tb) for value in frame.f_locals.values()]
    assert not [value for value in held if isinstance(value, Image.Image)]


@pytest.mark.parametrize("kind", WHOLE)
def test_damage_is_decoded_or_named_and_nothing_else(tmp_path, kind, recwarn):
    rng = np.random.default_rng(5)
    file = tmp_path / "damaged"
    said = []
    for i in range(200):
        data = bytearray(WHOLE[kind])
        place = rng.integers(len(data) if i % 2 else min(len(data), 200))  # headers are worth more
        if i % 10:
            data[place] ^= rng.integers(1, 256)
        else:
            del data[place:]
        file.write_bytes(data)
        start = time.process_time()
        try:
            assert decode(file, SIDE).shape == (SIDE, SIDE, 3)
        except InputError as error:
            said.append(str(error))
        assert time.process_time() - start < 2
    assert len(said) >= 10
    assert all(line.startswith(f"{file}: cannot") and "\n" not in line for line in said)
    assert not recwarn


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_that_is_cut_off_is_named(tmp_path, progressive):
    data = saved(photograph(1201, 903, 3), "JPEG", progressive=progressive)
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "image.jpg").write_bytes(data[: int(share * len(data))])
        refused(tmp_path / "image.jpg", "cut off")
