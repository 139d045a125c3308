from itertools import pairwise

import numpy as np
import pytest
import skimage
from sklearn.metrics import roc_auc_score

from leanet.evaluation.localization import localization
from leanet.images.imageset import UNKNOWN


def made_up(seed=0):
    """Maps that find regions of several sizes more or less, with ties."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((6, 24, 24), np.uint8)
    for mask in masks[:4]:
        for _ in range(3):
            y, x = rng.integers(0, 20, 2)
            mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = 1
        mask[20:22, 0:2] = mask[22:24, 2:4] = 1  # one region: they touch by their corners
    maps = (rng.exponential(2, masks.shape) + masks * rng.uniform(0, 4, (6, 1, 1))).round(1)
    return maps.astype(np.float16), masks


def brute_force_aupro(maps, masks, most_false=0.3):
    """Every value as a threshold, every region on its own, trapezia one by one."""
    regions = []
    for i, mask in enumerate(masks):
        labelled, count = skimage.measure.label(mask, connectivity=2, return_num=True)
        regions += [(i, labelled == k) for k in range(1, count + 1)]
    curve = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        found = maps >= threshold
        false = found[masks == 0].mean()
        overlap = np.mean([found[i][region].mean() for i, region in regions])
        curve.append((false, overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x1 <= most_false:
            area += (x1 - x0) * (y0 + y1) / 2
        else:
            cut = y0 + (y1 - y0) * (most_false - x0) / (x1 - x0)
            area += (most_false - x0) * (y0 + cut) / 2
            break
    return area / most_false


@pytest.mark.parametrize("seed", range(5))
def test_aupro_is_that_of_brute_force(seed):
    maps, masks = made_up(seed)
    found = localization(maps, masks)
    assert found["aupro"] == pytest.approx(brute_force_aupro(maps, masks), rel=1e-9)
    assert found["pixel_auroc"] == pytest.approx(
        roc_auc_score(masks.ravel(), maps.ravel().astype(float)), rel=1e-9
    )


def test_a_perfect_map_scores_one():
    _, masks = made_up()
    assert localization(masks.astype(np.float16), masks) == pytest.approx({"pixel_auroc": 1, "aupro": 1})


def test_without_ground_truth_there_is_no_score():
    maps, masks = made_up()
    assert localization(maps, None)["aupro"].reason == "the set has no masks"
    assert localization(maps, masks * 0)["pixel_auroc"].reason == "no anomalous pixel in any mask"
    assert localization(maps, np.full_like(masks, UNKNOWN))["aupro"].reason == "the set has no masks"
    known = masks.copy()
    known[0] = UNKNOWN  # as if the image were not there
    assert localization(maps, known) == localization(maps[1:], masks[1:])
