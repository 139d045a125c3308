"""Decoding: every kind of image file against a reading of it that is not Pillow's."""

import numpy as np
import pytest
from handmade import chunk, gamma, png, profile, table, xyz
from kinds import ALPHA, BITS, GREY, KINDS, PALETTE, RGB, RNG, SIDE, X, gray, on, photograph, saved, torchs
from PIL import Image

from leanet.images import decoding
from leanet.images.decoding import decode, decode_mask, picture


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
