"""What is done against shortcuts: the object is found, its background filled, its light made neutral.

A network wins by the background where that differs between the classes (leanet.evaluation.shortcuts).
"""

import numpy as np

from leanet.images.settings import Preparation

FILL = 128  # R, G and B of a filled background; no pixel of an object has all three
SMOOTH = 1 / 64  # of the side: deviation of the blur before an object is looked for
THRESHOLD = 0.7  # of Otsu's: brown spots at a leaf's edge differ less from the ground than the leaf does
CONTRAST = 5  # in a*b*: what differs from the border by less on average is no object
SMALLEST, LARGEST = 0.02, 0.98  # shares of the image that an object may cover


def prepare(
    image: np.ndarray, how: Preparation, given: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """An image as networks are to see it, uint8 (side, side, 3), and where its object is, bool (side, side).

    given: the object, where somebody marked it. None in place of the object: it is not looked for, or not found;
    the background then stays as it is.
    """
    object_ = given
    if object_ is None and how.background != "keep":
        object_ = find_object(image, how.border)
    if how.white_balance:
        image = balanced(image, outside(object_, len(image), how.border))
    if how.background == "fill" and object_ is not None:
        image = filled(image, object_)
    return image, object_


def band(side: int, border: float) -> np.ndarray:
    """The outermost pixels, bool (side, side); border: the width of the band as a share of the side."""
    outermost = np.ones((side, side), bool)
    width = max(1, round(border * side))
    outermost[width:-width, width:-width] = False
    return outermost


def outside(object_: np.ndarray | None, side: int, border: float) -> np.ndarray:
    """Where the object is not, bool (side, side): all around it, or the outermost pixels where it is not known."""
    return band(side, border) if object_ is None else ~object_


def find_object(image: np.ndarray, border: float) -> np.ndarray | None:
    """The largest thing in uint8 (side, side, 3) whose a*b* differ from the border's: bool (side, side), or None.

    By a threshold below Otsu's (1979). Lightness does not count, so that a shadow is background. The object's own
    outermost pixels are left out: they are half background.
    """
    # Here: a detector of images as they are starts in half the time, and needs neither.
    from scipy import ndimage
    from skimage.color import rgb2lab
    from skimage.filters import threshold_otsu
    from skimage.measure import label

    lab = rgb2lab(image)
    difference = lab[..., 1:] - np.median(lab[band(len(image), border)][:, 1:], axis=0)
    distance = ndimage.gaussian_filter(np.hypot(*difference.transpose(2, 0, 1)), SMOOTH * len(image))
    parts = label(ndimage.binary_opening(distance > THRESHOLD * threshold_otsu(distance)))
    if not parts.any():
        return None
    whole = ndimage.binary_fill_holes(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
    largest = ndimage.binary_erosion(whole, border_value=1)
    seen = SMALLEST <= largest.mean() <= LARGEST and distance[largest].mean() >= CONTRAST
    return largest if seen else None


def balanced(image: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """White balance: the median of the pixels `neutral`, bool (side, side), becomes a grey, in linear RGB."""
    linear = _to_linear(image / 255)
    median = np.median(linear[neutral], axis=0)
    gains = median.mean() / np.maximum(median, 1e-3)
    return np.rint(255 * _from_linear((linear * gains).clip(0, 1))).astype(np.uint8)


def filled(image: np.ndarray, object_: np.ndarray) -> np.ndarray:
    """The image with FILL around the object; pixels of the object that look so become one step bluer."""
    image = image.copy()
    image[..., 2] += (object_ & (image == FILL).all(axis=-1)).astype(np.uint8)
    image[~object_] = FILL
    return image


def _to_linear(rgb: np.ndarray) -> np.ndarray:
    """sRGB to linear RGB, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def _from_linear(linear: np.ndarray) -> np.ndarray:
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
