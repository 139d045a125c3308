"""Decoding: every kind of image file against a reading of it that is not Pillow's, and damage named."""

import io
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
import tifffile
import torch
from handmade import bmp, chunk, gamma, png, profile, table, tiff, xyz
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

from leanet.core.errors import InputError
from leanet.core.parallel import Room
from leanet.images import decoding
from leanet.images.decoding import decode, decode_mask, picture

SIDE = 32
RNG = np.random.default_rng(0)
Y, X = np.mgrid[:SIDE, :SIDE]
RGB = np.stack([8 * X, 8 * Y, 4 * (X + Y)], -1).astype(np.uint8) ^ RNG.integers(0, 4, (SIDE, SIDE, 3), np.uint8)
GREY = RGB[..., 2]
DEEP = RNG.integers(0, 65536, (SIDE, SIDE, 3), np.uint16)
ALPHA = RNG.integers(0, 256, (SIDE, SIDE), np.uint8)
INDEX = RNG.integers(0, 16, (SIDE, SIDE), np.uint8)
PALETTE = RNG.integers(0, 256, (16, 3), np.uint8)
BITS = INDEX > 7
INKS = np.dstack([RGB, ALPHA])
BGR0 = np.pad(PALETTE[:, ::-1], ((0, 0), (0, 1))).tobytes()


def gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=-1)


def scaled(values: np.ndarray, full: int = 65535) -> np.ndarray:
    """16 bits as 8, to the nearest."""
    return np.rint(values / full * 255).astype(np.uint8)


def on(page: int, colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colors * share + page * (1 - share)


def printed(inks: np.ndarray) -> np.ndarray:
    return 255 * (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255)


def saved(image: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def paged(*pages: np.ndarray, **options: object) -> bytes:
    """A TIFF by tifffile."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, byteorder=options.pop("byteorder", "<")) as file:
        for page in pages:
            file.write(page, **options)
    return stream.getvalue()


def torchs(data: bytes) -> np.ndarray:
    """torchvision's reading: libjpeg, libpng, libwebp and giflib of its own."""
    image = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    return (image[0] if image.ndim == 4 else image).permute(1, 2, 0).numpy()


def frames(kind: str, **options: object) -> bytes:
    first, *rest = (Image.fromarray(np.roll(RGB, 9 * i, axis=1)) for i in range(3))
    return saved(first, kind, save_all=True, append_images=rest, **options)


def clear_palette(alphas: bytes) -> bytes:
    return chunk(b"PLTE", PALETTE.tobytes()) + chunk(b"tRNS", alphas)


def rows(samples: np.ndarray) -> bytes:
    return np.ascontiguousarray(samples[::-1]).tobytes()


def runs(index: np.ndarray) -> bytes:
    """Run lengths of BMP: every other line as runs of one, the others as they are."""
    lines = []
    for y, line in enumerate(index[::-1]):
        plain = bytes([0, SIDE]) + line.tobytes()
        lines.append(plain if y % 2 else b"".join(bytes([1, value]) for value in line))
    return b"\0\0".join(lines) + b"\0\1"


def ycck() -> bytes:
    data = bytearray(saved(Image.fromarray(INKS, "CMYK"), "JPEG", quality=100))
    data[data.index(b"Adobe") + 11] = 2  # the same numbers, said to be YCCK
    return bytes(data)


READ_BY_TORCHVISION = {
    "JPEG": saved(RGB, "JPEG"),
    "JPEG, halved colour": saved(RGB, "JPEG", subsampling="4:2:0", quality=40),
    "JPEG, progressive": saved(RGB, "JPEG", progressive=True),
    "JPEG, grey": saved(GREY, "JPEG"),
    "JPEG, stored as RGB": saved(RGB, "JPEG", keep_rgb=True),
    "JPEG, CMYK": saved(Image.fromarray(INKS, "CMYK"), "JPEG", quality=95),
    "JPEG, YCCK": ycck(),
    "JPEG, more pictures": frames("MPO"),
    "WebP, lossy": saved(RGB, "WEBP"),
    "GIF": saved(RGB, "GIF"),
    "GIF, interlaced": saved(GREY, "GIF", interlace=1),
    "GIF, animated": frames("GIF"),
}
MINISBLACK = {"photometric": "minisblack"}
RGB_TIFF = {"photometric": "rgb"}
KINDS = {
    **{name: (data, None) for name, data in READ_BY_TORCHVISION.items()},
    "JPEG, CMYK by the formula": (
        saved(Image.new("CMYK", (SIDE, SIDE), (255, 100, 0, 50)), "JPEG", quality=100),
        np.full((SIDE, SIDE, 3), printed(np.array([255, 100, 0, 50]))),
    ),
    "PNG": (png(RGB, 8, 2), RGB),
    "PNG, interlaced": (png(RGB, 8, 2, interlaced=True), RGB),
    "PNG, grey": (png(GREY[..., None], 8, 0), gray(GREY)),
    "PNG, 1 bit": (png(BITS[..., None], 1, 0), gray(BITS * 255)),
    "PNG, 2 bits": (png(INDEX[..., None] // 4, 2, 0), gray(INDEX // 4 * 85)),
    "PNG, 4 bits interlaced": (png(INDEX[..., None], 4, 0, interlaced=True), gray(INDEX * 17)),
    "PNG, 16 bits grey": (png(DEEP[..., :1], 16, 0), gray(scaled(DEEP[..., 0]))),
    "PNG, 16 bits RGB": (png(DEEP, 16, 2), scaled(DEEP)),
    "PNG, grey and alpha": (png(np.dstack([GREY, ALPHA]), 8, 4), on(255, gray(GREY), ALPHA)),
    "PNG, 16 bits grey and alpha": (
        png(np.dstack([DEEP[..., 0], ALPHA.astype(np.uint16) * 257]), 16, 4),
        on(255, gray(DEEP[..., 0] >> 8), ALPHA),
    ),
    "PNG, RGB and alpha": (png(np.dstack([RGB, ALPHA]), 8, 6), on(255, RGB, ALPHA)),
    "PNG, clear colour": (
        png(RGB, 8, 2, chunks=chunk(b"tRNS", RGB[3, 4].astype(">u2").tobytes())),
        np.where((RGB[3, 4] == RGB).all(-1, keepdims=True), 255, RGB),
    ),
    "PNG, palette": (png(INDEX[..., None], 8, 3, chunks=chunk(b"PLTE", PALETTE.tobytes())), PALETTE[INDEX]),
    "PNG, palette with a clear entry": (
        png(INDEX[..., None], 4, 3, chunks=clear_palette(b"\xff\0")),
        np.where((INDEX == 1)[..., None], 255, PALETTE[INDEX]),
    ),
    "PNG, palette with alphas": (
        png(INDEX[..., None], 4, 3, chunks=clear_palette(bytes(range(0, 160, 10)))),
        on(255, PALETTE[INDEX], INDEX * 10),
    ),
    "BMP": (bmp(rows(RGB[..., ::-1]), SIDE, SIDE, 24), RGB),
    "BMP, from the top": (bmp(RGB[..., ::-1].tobytes(), SIDE, -SIDE, 24), RGB),
    "BMP, 32 bits": (bmp(rows(np.dstack([RGB[..., ::-1], ALPHA])), SIDE, SIDE, 32), RGB),
    "BMP, 16 bits": (
        bmp(rows((RGB // 8 @ np.array([1024, 32, 1])).astype("<u2")), SIDE, SIDE, 16),
        scaled(RGB // 8, 31),
    ),
    "BMP, palette": (bmp(rows(INDEX), SIDE, SIDE, 8, palette=BGR0), PALETTE[INDEX]),
    "BMP, 4 bits": (bmp(rows(INDEX[:, ::2] * 16 + INDEX[:, 1::2]), SIDE, SIDE, 4, palette=BGR0), PALETTE[INDEX]),
    "BMP, 1 bit": (bmp(rows(np.packbits(BITS, 1)), SIDE, SIDE, 1, palette=BGR0[:8]), PALETTE[BITS * 1]),
    "BMP, run lengths": (bmp(runs(INDEX), SIDE, SIDE, 8, palette=BGR0, compression=1), PALETTE[INDEX]),
    "TIFF": (paged(RGB, **RGB_TIFF), RGB),
    "TIFF, big-endian": (paged(RGB, byteorder=">", **RGB_TIFF), RGB),
    "TIFF, deflate": (paged(RGB, compression="zlib", predictor=True, **RGB_TIFF), RGB),
    "TIFF, LZW": (saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "TIFF, PackBits": (saved(RGB, "TIFF", compression="packbits"), RGB),
    "TIFF, tiled": (paged(RGB, tile=(16, 16), **RGB_TIFF), RGB),
    "TIFF, planes": (paged(np.moveaxis(RGB, -1, 0), planarconfig="separate", **RGB_TIFF), RGB),
    "TIFF, pages": (paged(RGB, RGB[::-1], **RGB_TIFF), RGB),
    "TIFF, grey": (paged(GREY, **MINISBLACK), gray(GREY)),
    "TIFF, white is 0": (paged(GREY, photometric="miniswhite"), gray(255 - GREY)),
    "TIFF, 1 bit": (saved(BITS, "TIFF", compression="group4"), gray(BITS * 255)),
    "TIFF, 12 bits": (
        tiff(
            b"".join((int(a) << 12 | int(b)).to_bytes(3) for a, b in (DEEP[..., 0].reshape(-1, 2) >> 4)),
            {256: SIDE, 257: SIDE, 258: 12, 259: 1, 262: 1, 277: 1, 278: SIDE},
        ),
        gray(scaled(DEEP[..., 0] >> 4, 4095)),
    ),
    "TIFF, 16 bits grey": (paged(DEEP[..., 0], **MINISBLACK), gray(scaled(DEEP[..., 0]))),
    "TIFF, 16 bits grey, big-endian": (
        paged(DEEP[..., 0], byteorder=">", compression="zlib", **MINISBLACK),
        gray(scaled(DEEP[..., 0])),
    ),
    "TIFF, 16 bits, white is 0": (
        paged(DEEP[..., 0], photometric="miniswhite"),
        gray(scaled(65535 - DEEP[..., 0])),
    ),
    "TIFF, 16 bits RGB": (paged(DEEP, **RGB_TIFF), scaled(DEEP)),
    "TIFF, palette": (saved(Image.fromarray(INDEX).convert("P"), "TIFF"), gray(INDEX)),
    "TIFF, CMYK": (paged(INKS, photometric="separated"), printed(INKS)),
    "TIFF, alpha": (
        paged(np.dstack([RGB, ALPHA]), extrasamples=["unassalpha"], **RGB_TIFF),
        on(255, RGB, ALPHA),
    ),
    "TIFF, premultiplied grey": (
        paged(np.dstack([GREY // 2, np.full_like(GREY, 128)]), extrasamples=["assocalpha"], **MINISBLACK),
        gray(GREY // 2 + 127.0),
    ),
    "WebP, lossless": (saved(RGB, "WEBP", lossless=True), RGB),
    "WebP, animated": (frames("WEBP", lossless=True), RGB),
    "WebP, alpha": (
        saved(np.dstack([RGB, ALPHA]), "WEBP", lossless=True, exact=True),
        on(255, RGB, ALPHA),
    ),
    "GIF, a clear entry": (
        saved(Image.fromarray(INDEX * 16), "GIF", transparency=48),
        gray(np.where(INDEX == 3, 255, INDEX * 16)),
    ),
}


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_read_as_others_read_it(tmp_path, kind):
    data, expected = KINDS[kind]
    file = tmp_path / "Blätter 葉 1.jpg"  # the suffix says nothing about the content
    file.write_bytes(data)
    decoded = decode(file, SIDE)
    assert decoded.dtype == np.uint8
    expected = torchs(data) if expected is None else expected
    assert np.abs(decoded - np.asarray(expected, float)).max() <= 1  # rounding


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
def test_plain_images_are_resized_bicubic(tmp_path, suffix):
    file = tmp_path / f"plain.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (50, 37, 3), np.uint8)).save(file)
    plain = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(file, SIDE), plain)


STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_stand_upright(tmp_path, orientation, kind):
    upright = np.kron(PALETTE[:4].reshape(2, 2, 3), np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    file = tmp_path / "image"
    file.write_bytes(saved(np.ascontiguousarray(STORED[orientation](upright)), kind, exif=exif, **options))
    assert np.abs(decode(file, SIDE) - upright.astype(float)).max() <= (kind == "JPEG")


def photograph(width: int, height: int, bands: int) -> np.ndarray:
    """Soft and hard edges at all scales, and the noise of a sensor."""
    rng = np.random.default_rng(7)
    values = np.full((height, width, bands), 128.0)
    for cells in (3, 9, 31, 97):
        coarse = rng.normal(0, 60 / cells**0.5, (cells, cells, bands))
        for band in range(bands):
            layer = Image.fromarray(coarse[..., band].astype(np.float32))
            values[..., band] += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:height, :width]
    for _ in range(40):
        left, top = rng.integers((width, height))
        disc = np.hypot(x - left, y - top) < rng.integers(5, 80)
        values[disc] = rng.integers(0, 256, bands)
    return np.clip(values + rng.normal(0, 4, values.shape), 0, 255).astype(np.uint8).squeeze()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


LARGE_JPEGS = {
    "4:4:4": (1601, 1103, 3, {"subsampling": 0}),
    "4:2:0": (1601, 1103, 3, {"subsampling": 2}),
    "scaled by 8": (1031, 1607, 3, {}),
    "progressive": (1607, 1203, 3, {"progressive": True}),
    "grey": (1601, 1101, 1, {}),
    "CMYK, inverted": (1201, 1103, 4, {}),
    "with a profile": (1201, 1103, 3, {"icc_profile": True}),
    "flat": (4001, 600, 3, {}),
    **{f"turned {how}": (1103, 801, 3, {"exif": how}) for how in STORED},
}


@pytest.mark.parametrize("kind", LARGE_JPEGS)
def test_a_large_jpeg_is_scaled_while_it_is_decoded_and_looks_the_same(tmp_path, monkeypatch, kind):
    width, height, bands, options = LARGE_JPEGS[kind]
    make = {"exif": turned, "icc_profile": lambda _: rgb_profile(ADOBE, 563 / 256)}
    options = {name: make.get(name, lambda value: value)(value) for name, value in options.items()}
    stored = Image.fromarray(photograph(width, height, bands), {4: "CMYK"}.get(bands))
    file = tmp_path / "image.jpg"
    file.write_bytes(saved(stored, "JPEG", **{"quality": 92} | options))
    sizes = []
    converted = decoding._to_srgb
    monkeypatch.setattr(
        decoding, "_to_srgb", lambda image, page: sizes.append(image.size) or converted(image, page)
    )
    with Image.open(file) as opened:
        whole = decode(opened, 64).astype(float)
        assert opened.size == sizes.pop() == (width, height)
    difference = decode(file, 64) - whole
    assert 128 <= min(sizes[0]) < 256
    assert sizes[0] < (width / 3, height)
    assert np.abs(difference).mean() < 1
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.2
    # Nothing is moved: the last columns and rows are as near as any.
    edges = [difference[:, -4:], difference[-4:], difference[:, :4], difference[:4]]
    assert max(np.abs(edge).mean() for edge in edges) < 2


def test_a_box_and_a_mask_are_cut_from_the_whole_jpeg(tmp_path):
    file = tmp_path / "image.jpg"
    pixels = photograph(1201, 903, 3)
    file.write_bytes(saved(pixels, "JPEG", quality=92))
    stored = Image.open(file).convert("RGB")
    cut = stored.crop((700, 500, 1201, 903)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(file, SIDE, box=(700, 500, 1201, 903)), cut)
    nearest = stored.convert("L").resize((SIDE, SIDE), Image.Resampling.NEAREST)
    assert np.array_equal(decode_mask(file, SIDE), np.asarray(nearest) > 127)
    assert picture(file, 100).size == (100, 75)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_that_is_cut_off_is_named(tmp_path, progressive):
    data = saved(photograph(1201, 903, 3), "JPEG", progressive=progressive)
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "image.jpg").write_bytes(data[: int(share * len(data))])
        refused(tmp_path / "image.jpg", "cut off")


def test_exif_that_cannot_be_read_turns_nothing(tmp_path):
    file = tmp_path / "image.png"
    file.write_bytes(png(RGB, 8, 2, chunks=chunk(b"eXIf", b"no EXIF")))
    assert np.array_equal(decode(file, SIDE), RGB)


SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])


def rgb_profile(primaries: np.ndarray, exponent: float) -> bytes:
    curves = {name: gamma(exponent) for name in (b"rTRC", b"gTRC", b"bTRC")}
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries.T, strict=True)
    return profile(b"RGB ", b"XYZ ", {name: xyz(*column) for name, column in columns} | curves)


def encoded(light: np.ndarray) -> np.ndarray:
    """Light in 0–1 as the values of sRGB in 0–255."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def assert_like(decoded: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding. A profile's light has 14 bits: one step of them shows in the darkest tones."""
    difference = np.abs(decoded - expected)
    assert difference[expected > 16].max() <= 1.5
    assert difference.max() <= 3


@pytest.mark.parametrize(("primaries", "exponent"), [(ADOBE, 563 / 256), (P3, 2.25), (SRGB[:, [1, 0, 2]], 1)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_rgb_becomes_srgb_by_its_profile(tmp_path, kind, primaries, exponent):
    file = tmp_path / "image"
    options = {"lossless": True} if kind == "WEBP" else {}
    file.write_bytes(saved(RGB, kind, icc_profile=rgb_profile(primaries, exponent), **options))
    light = (RGB / 255) ** exponent @ (np.linalg.inv(SRGB) @ primaries).T
    assert_like(decode(file, SIDE), encoded(light))


@pytest.mark.parametrize("with_alpha", [False, True])
def test_grey_becomes_srgb_by_its_profile(tmp_path, with_alpha):
    file = tmp_path / "image.png"
    stored = np.dstack([GREY, ALPHA]) if with_alpha else GREY
    icc = profile(b"GRAY", b"XYZ ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(1.5)})
    file.write_bytes(saved(stored, "PNG", icc_profile=icc))
    expected = encoded((gray(GREY) / 255) ** 1.5)
    assert_like(decode(file, SIDE), on(255, expected, ALPHA) if with_alpha else expected)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_srgb_by_its_profile(tmp_path, kind):
    """A profile of grey inks, of other darkness each: without it, the image would be coloured."""
    ink = np.moveaxis(np.indices((2, 2, 2, 2)), 0, -1)
    lightness = 1 - ink @ [0.1, 0.2, 0.3, 0.4]
    corners = np.stack([np.rint(255 * lightness), *2 * [np.full(lightness.shape, 128)]], -1).astype(np.uint8)
    icc = profile(b"CMYK", b"Lab ", {b"A2B0": table(corners)})
    stored = Image.fromarray(np.kron(255 * ink.reshape(4, 4, 4), np.ones((8, 8, 1))).astype(np.uint8), "CMYK")
    file = tmp_path / "image"
    file.write_bytes(saved(stored, kind, icc_profile=icc, **({"quality": 100} if kind == "JPEG" else {})))
    root = (np.rint(255 * lightness) / 2.55 + 16) / 116
    light = np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29)).reshape(4, 4)
    assert np.abs(decode(file, SIDE)[4::8, 4::8] - encoded(light)[..., None]).max() <= 1


@pytest.mark.parametrize(
    "icc",
    [
        b"no profile",
        rgb_profile(ADOBE, 2)[:200],
        profile(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.5)}),
        profile(b"CMYK", b"Lab ", {b"A2B0": table(np.zeros((2, 2, 2, 2, 3), np.uint8))}),
    ],
    ids=["broken", "cut off", "grey", "CMYK"],
)
def test_a_profile_that_does_not_fit_is_ignored(tmp_path, icc):
    file = tmp_path / "image.png"
    file.write_bytes(saved(RGB, "PNG", icc_profile=icc))
    assert np.array_equal(decode(file, SIDE), RGB)


HALF = np.where(X < 16, 127, 128).astype(np.uint8)
MASKS = {
    "grey": saved(HALF, "PNG"),
    "1 bit": saved(HALF > 127, "BMP"),
    "16 bits": png(np.where(X < 16, 32767, 32768)[..., None], 16, 0),
    "palette": png((X < 16)[..., None], 1, 3, chunks=chunk(b"PLTE", b"\xf0\xf0\xf0\x0f\x0f\x0f")),
    "strokes on a clear layer": saved(
        np.dstack([gray(HALF * 0 + 255), np.where(X < 16, 0, 255)]).astype(np.uint8), "PNG"
    ),
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_is_true_above_half_its_range(tmp_path, kind):
    file = tmp_path / "mask"
    file.write_bytes(MASKS[kind])
    for side in (SIDE, 8):
        mask = decode_mask(file, side)
        assert mask.dtype == bool
        assert np.array_equal(mask, np.arange(side * side).reshape(side, side) % side >= side / 2)


def test_a_mask_is_resized_to_the_nearest(tmp_path):
    Image.fromarray(BITS).save(tmp_path / "mask.png")
    assert np.array_equal(decode_mask(tmp_path / "mask.png", 96), np.kron(BITS, np.ones((3, 3), bool)))


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
