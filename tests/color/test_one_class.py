"""The map alone, by how unlike those of normal images it is, beside slow and obvious versions."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from leanet.color.one_class import LEAST, OneClass, scores, statistics


def by_hand(map_: np.ndarray) -> list[float]:
    side = len(map_)
    highest = sorted(map_.ravel())[-max(1, round(side * side / 100)) :]
    square = side // 8
    step = max(1, square // 2)
    corners = range(0, side - square + 1, step)
    places = [map_[y : y + square, x : x + square].mean() for y in corners for x in corners]
    return [map_.mean(), np.mean(highest), max(places)]


@pytest.mark.parametrize("side", [32, 64])
def test_statistics_are_those_by_hand(side: int):
    maps = np.random.default_rng(0).gamma(2, 3, (5, side, side)).astype(np.float32)
    np.testing.assert_allclose(statistics(torch.from_numpy(maps)), [by_hand(one) for one in maps], rtol=1e-5)


def test_the_statistics_see_what_is_faint_and_everywhere_and_what_is_small_and_strong():
    flat = np.full((64, 64), 3, np.float32)
    everywhere, spot, place = flat + 2, flat.copy(), flat.copy()
    spot[10, 10:20] = 40
    place[16:24, 16:24] = 12
    of = statistics(torch.from_numpy(np.stack([flat, everywhere, spot, place]))).numpy()
    assert (of[1] > of[0]).all()
    assert of[2, 1] - of[0, 1] > 5 > of[2, 0] - of[0, 0]
    assert of[3, 2] > of[2, 2]


def test_a_margin_is_the_largest_deviation_less_that_of_the_most_unlike_normal_image():
    draw = np.random.default_rng(1)
    normal, new = (draw.gamma(2, level, (count, 32, 32)).astype(np.float32) for count, level in ((40, 3), (10, 4)))
    places = normal.mean(0), normal.var(0)
    smooth = [uniform_filter(each, 5, mode="nearest") for each in places]
    standardised = [(each - smooth[0]) / np.maximum(1, np.sqrt(smooth[1])) for each in (normal, new)]
    known, of_new = (np.array([by_hand(one) for one in each]) for each in standardised)
    deviations = [(each - known.mean(0)) / (known.std(0) + LEAST) for each in (known, of_new)]
    fitted = OneClass.fit(normal, np.arange(40))
    np.testing.assert_allclose(
        fitted(torch.from_numpy(new)), deviations[1].max(1) - deviations[0].max(), rtol=1e-3, atol=1e-3
    )
    assert fitted(torch.from_numpy(normal)).max().abs() < 1e-4


def test_what_is_high_in_normal_maps_too_says_little():
    normal = np.random.default_rng(2).gamma(2, 1, (30, 32, 32)).astype(np.float32)
    normal[:, 16:] += np.random.default_rng(3).gamma(2, 6, (30, 16, 1)).astype(np.float32)
    low, high = normal[0].copy(), normal[0].copy()
    low[4:8, 4:8] += 12
    high[24:28, 4:8] += 12
    margins = OneClass.fit(normal, np.arange(1, 30))(torch.from_numpy(np.stack([low, high])))
    assert margins[0] > margins[1] + 1


def test_scores_know_the_normal_maps_alone_and_one_normal_map_is_enough():
    maps = np.random.default_rng(3).gamma(2, 3, (12, 32, 32)).astype(np.float16)
    normal, test = np.arange(6), np.arange(6, 12)
    before = scores(maps, normal, test)
    assert ((before > 0) & (before < 1)).all()
    order = np.array([8, 6, 11])
    np.testing.assert_array_equal(scores(maps, normal, order), before[[2, 0, 5]])  # each by itself
    maps[9:] *= 4
    after = scores(maps, normal, test)
    np.testing.assert_array_equal(after[:3], before[:3])
    assert (after[3:] > 0.5).all()
    assert np.isfinite(scores(maps, normal[:1], test)).all()
