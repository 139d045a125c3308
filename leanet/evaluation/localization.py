"""How well anomaly maps find the place, where ground-truth masks exist.

Maps are float16 of at least 0, so a curve over all thresholds needs no sorting: their 31,745 possible values
are counted, and the curve is exact however many pixels there are.
"""

import numpy as np
from scipy import ndimage

from leanet.evaluation.scores import Score, Undefined
from leanet.images.imageset import UNKNOWN

VALUES = 0x7C00 + 1  # float16 from 0 to infinity: as bits they stand in the order of their values


def localization(maps: np.ndarray, masks: np.ndarray | None, *, most_false: float = 0.3) -> dict[str, Score]:
    """Pixel AUROC and AUPRO of anomaly maps (N, side, side), float16, against masks, uint8 of 0 and 1.

    Images with a mask of UNKNOWN do not count; without masks both are Undefined.

    AUPRO (Bergmann et al. 2021, "The MVTec Anomaly Detection Dataset", IJCV, section 5.2): the share of each
    anomalous region that is found, averaged over regions (connected, corners count), against the share of
    normal pixels falsely found; the area below it up to `most_false`, divided by `most_false`.
    """
    known = [] if masks is None else [i for i, mask in enumerate(masks) if mask.max() != UNKNOWN]
    normal, anomalous, overlap, regions = np.zeros(VALUES), np.zeros(VALUES), np.zeros(VALUES), 0
    for i in known:
        bits, mask = np.abs(maps[i]).view(np.uint16), masks[i] == 1
        normal += np.bincount(bits[~mask], minlength=VALUES)
        labelled, count = ndimage.label(mask, structure=np.ones((3, 3)))
        for region in range(1, count + 1):
            found = np.bincount(bits[labelled == region], minlength=VALUES)
            anomalous += found
            overlap += found / found.sum()
        regions += count
    if not regions:
        none = Undefined("no anomalous pixel in any mask" if known else "the set has no masks")
        return {"pixel_auroc": none, "aupro": none}
    false = _curve(normal / normal.sum())
    return {
        "pixel_auroc": float(np.trapezoid(_curve(anomalous / anomalous.sum()), false)),
        "aupro": _area_up_to(false, _curve(overlap / regions), most_false) / most_false,
    }


def _curve(shares: np.ndarray) -> np.ndarray:
    """The share at or above each threshold, from the highest threshold (nothing) to the lowest (all)."""
    return np.concatenate([[0.0], np.cumsum(shares[::-1])])


def _area_up_to(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """The area below a curve from 0 to `limit`, by trapezia; the last one is cut."""
    inside = x <= limit
    return float(np.trapezoid(np.append(y[inside], np.interp(limit, x, y)), np.append(x[inside], limit)))
