"""Decoding image files: what cameras, scanners and editors write, as equal-sized sRGB or as a mask."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from leanet.core.errors import InputError
from leanet.core.parallel import Room
from leanet.images import effort

MAX_PIXELS = 100_000_000  # of one image, 400 MB a copy; a larger one is refused by its header
MAX_SIDE = 65_535  # as in a JPEG; resizing takes memory by the longer side
UNDER_WAY = Room(MAX_PIXELS)  # of all images that are decoded at a time: 2 GB of memory, of WebP
SPARE = 2  # times the side asked for that a JPEG keeps while it is decoded, for the resizing after it
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")  # told by content; no other decoder ever runs

_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B"})
_SRGB = ImageCms.createProfile("sRGB")
_TURNED = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow logs as an error it also raises; without a handler, logging would print it as well.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# An image is one block, which the C library gives back when it is freed. Blocks of 16 MiB, as Pillow has them, it
# keeps, up to 1 GB for each thread.
Image.core.set_block_size(512 * 2**20)


Box = tuple[int, int, int, int]  # left, top, right and bottom of what is cut out, in pixels


def decode(
    source: Path | bytes | Image.Image,
    side: int,
    name: str | None = None,
    box: Box | None = None,
    most_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """The image in a file, in its bytes, or opened by Pillow, as sRGB, uint8 (side, side, 3).

    name: what errors call it; None calls a file by its path. box: the part of the upright image that is taken.
    most_pixels: what the image may have. However many threads decode, together they hold no more than UNDER_WAY.

    It is turned upright by its EXIF orientation and converted to sRGB by its ICC profile. Without a profile
    (or with one that does not fit), RGB is taken for sRGB, and CMYK becomes (1 − ink) · (1 − black), a JPEG's
    inks being inverted as Adobe writes them. 16 bits are scaled to 8. What is transparent lies on white, as on
    a page. Of several pages or frames, the first is read.

    Images of another size or shape are resized without keeping their proportions (section 4-1),
    bicubic with anti-aliasing. A JPEG of which no box is taken is scaled by 2, 4 or 8 while it is decoded, where
    SPARE pixels for each one of the result remain.

    Raises:
        InputError: the file is no image, is cut off or damaged, has more than `most_pixels`, more than MAX_SIDE
            along a side, or pixels whose range nothing says (floats, 32 bits); or the box lies beyond it.
    """
    enough = None if box else SPARE * side  # a box counts the pixels of the image as it is stored
    with _upright(source, name, "white", enough, most_pixels) as image:
        return np.asarray(_resized(_cut(image, box), side, Image.Resampling.BICUBIC))


def decode_mask(file: Path, side: int, box: Box | None = None) -> np.ndarray:
    """The mask in `file` as bool (side, side), True where anomalous: where its grey is above half the range.

    A mask of nothing but 0 and 1 is read as one of 0 and 255. It is read as an image is, but what is transparent
    is not marked, and resizing takes the nearest pixel.

    Raises:
        InputError: as `decode`.
    """
    with _upright(file, None, "black") as image:
        grey = _cut(image.convert("L"), box)
        full = grey.getextrema()[1] > 1
        return np.asarray(_resized(grey, side, Image.Resampling.NEAREST)) > (127 if full else 0)


def picture(source: Path | bytes | Image.Image, longest: int) -> Image.Image:
    """What `decode` reads, in its own proportions, mode RGB, at most `longest` pixels along a side."""
    with _upright(source, None, "white", longest) as image:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        return image


def size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, as stored, of an image that `decode` reads."""
    with Image.open(file, formats=FORMATS) as image:
        return image.size


def taken(file: Path) -> tuple[str | None, str | None]:
    """When an image that `decode` reads was taken, and by which camera, as its metadata say; None where silent."""
    with Image.open(file, formats=FORMATS) as image:
        try:
            exif = image.getexif()
            date = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            said = (date or exif.get(ExifTags.Base.DateTime), exif.get(ExifTags.Base.Model))
        except Exception:  # on damaged bytes, as decoders do
            return None, None
    return tuple(None if one is None else str(one) for one in said)


def _cut(image: Image.Image, box: Box | None) -> Image.Image:
    if box is None:
        return image
    if box[2] > image.width or box[3] > image.height:
        said = " ".join(map(str, box))
        raise InputError(f"the box {said} lies beyond its {image.width}×{image.height} pixels")
    return image.crop(box)


def _resized(image: Image.Image, side: int, how: Image.Resampling) -> Image.Image:
    return image if image.size == (side, side) else image.resize((side, side), how)


@contextmanager
def _upright(
    source: Path | bytes | Image.Image,
    name: str | None,
    background: str,
    enough: int | None = None,
    most_pixels: int = MAX_PIXELS,
) -> Iterator[Image.Image]:
    """The first image in `source`, upright, in mode RGB, on `background` where it is transparent.

    enough: pixels along the shorter side that will do, so that a larger JPEG may come smaller; None asks for all.

    Raises:
        InputError: it cannot be decoded, or what is done with it fails.
    """
    with ExitStack() as held:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are of metadata: where pixels are missing, Pillow raises
                yield _loaded(source, background, enough, most_pixels, held)
            return
        except InputError as error:
            reason = str(error)
        except Image.DecompressionBombError:
            reason = _too_large(most_pixels)
        except UnidentifiedImageError:
            empty = not (len(source) if isinstance(source, bytes) else source.stat().st_size)
            reason = "it is empty" if empty else f"no {', '.join(FORMATS)} that can be read"
        except MemoryError:
            reason = "its pixels do not fit into memory"
        except Exception as error:  # on damaged bytes, decoders raise nearly anything
            damage = "damaged or cut off: " + (" ".join(str(error).split()) or type(error).__name__)
            reason = getattr(error, "strerror", None) or damage
        raise InputError(f"{name or source}: cannot be decoded as an image ({reason})")


def _loaded(
    source: Path | bytes | Image.Image, background: str, enough: int | None, most_pixels: int, held: ExitStack
) -> Image.Image:
    """What `_upright` yields; `held` is to keep its part of UNDER_WAY until all that is decoded here is gone."""
    if isinstance(source, Image.Image):  # whoever opened it may still want it whole
        opened, enough = nullcontext(source), None
    else:
        if isinstance(source, Path) and source.exists() and not (source.is_file() or source.is_dir()):
            raise InputError("it is no regular file")  # a pipe would be waited for
        opened = Image.open(held.enter_context(effort.Pieces(source)), formats=FORMATS)
    with opened as image:
        pixels = _checked(image, most_pixels)
        effort.check_scans(image)
        scaled = image.draft(None, (enough, enough)) if enough else None  # None for all formats but JPEG
        if scaled and "progressive" not in image.info:  # of such a one all is held, however it is scaled
            pixels = image.width * image.height
        held.enter_context(UNDER_WAY.hold(pixels))
        image.load()
        how = _TURNED.get(_orientation(image))
        srgb = _to_srgb(image, background)
    if scaled is not None:
        _, covered = scaled
        # Where the factor does not divide a side, the image ends within its last pixels.
        srgb = srgb.resize(srgb.size, Image.Resampling.BICUBIC, covered)
    return srgb if how is None else srgb.transpose(how)


def _checked(image: Image.Image, most_pixels: int) -> int:
    """How many pixels its decoder holds, of an image that may be decoded."""
    held = image.width * image.height
    # Decoders of TIFF make room for a whole tile, whatever part of it the image covers.
    held = max(held, _tag(image, "TileWidth", 1) * _tag(image, "TileLength", 1))
    if held > most_pixels:
        raise InputError(_too_large(most_pixels))
    if max(image.size) > MAX_SIDE:
        raise InputError(f"it has more than {MAX_SIDE:,} pixels along a side")
    if image.mode not in _MODES:
        raise InputError(f"pixels of mode {image.mode}, expected 8 or 16 bits of grey, RGB or CMYK, or a palette")
    planar = _tag(image, "PlanarConfiguration", 1) == 2 and len(image.getbands()) > 1
    if planar and _tag(image, "Compression", 1) == 1 and _tag(image, "BitsPerSample", (8,))[0] == 16:
        raise InputError("uncompressed planes of 16 bits")  # Pillow would read them as planes of 8
    return held


def _too_large(most_pixels: int) -> str:
    return f"it has more than {most_pixels:,} pixels"


def _tag(image: Image.Image, name: str, default: object) -> object:
    """A TIFF's value of a tag; `default` in any other file."""
    return getattr(image, "tag_v2", {}).get(ExifTags.Base[name], default)


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF that cannot be read turns nothing
        return None


def _to_srgb(image: Image.Image, background: str) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    if image.mode == "La":
        image = image.convert("LA")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    elif image.mode not in ("L", "CMYK"):
        image = image.convert("RGB")
    if profile:
        with suppress(ImageCms.PyCMSError):  # damaged, or of another colour space than the pixels
            image = ImageCms.profileToProfile(image, io.BytesIO(profile), _SRGB, outputMode="RGB")
    image = image.convert("RGB")
    if alpha is None:
        return image
    page = Image.new("RGB", image.size, background)
    page.paste(image, mask=alpha)
    return page


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 12 or 16 bits in mode L: scaled to its range, where Pillow would clip at 255."""
    (bits,) = _tag(image, "BitsPerSample", (16,))
    table = np.rint(np.linspace(0, 255, 2**bits)).astype(np.uint8)
    if _tag(image, "PhotometricInterpretation", 1) == 0:  # white is 0
        table = table[::-1]
    return Image.fromarray(table[np.asarray(image)])
