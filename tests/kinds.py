"""Image files of every kind, each with what others than Pillow read in it."""

import io

import numpy as np
import tifffile
import torch
from handmade import bmp, chunk, png, tiff
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

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
