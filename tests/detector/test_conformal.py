"""The promise that few normal images lie above a line: what it holds, beside simulation and the textbook."""

import numpy as np
import pytest
from scipy.stats import beta

from leanet.detector.conformal import SURE, promise

DRAWS = 4000


@pytest.mark.parametrize(("count", "share"), [(50, 0.1), (100, 0.05), (149, 0.02), (200, 0.02), (400, 0.02)])
def test_the_promise_holds_in_so_many_draws_whatever_the_distribution(count, share):
    """Of exponential scores, whose share above a line is known: exp(-line)."""
    draw = np.random.default_rng(count)
    made = [promise(draw.exponential(size=count), np.arange(count), share) for _ in range(DRAWS)]
    assert all(each.is_kept and each.share == share for each in made)
    above = np.exp([-each.line for each in made])
    held = (above <= share).mean()
    assert held > SURE - 0.01
    # It is no more careful than it must be: one place further up would be too little.
    rank = round(count * above.mean() - 0.5) + 1
    assert beta.cdf(share, rank + 1, count - rank) < SURE


def test_too_few_images_promise_what_they_can():
    draw = np.random.default_rng(1)
    made = [promise(draw.exponential(size=50), np.arange(50), 0.02) for _ in range(DRAWS)]
    assert {each.share for each in made} == {1 - (1 - SURE) ** (1 / 50)}
    assert not made[0].is_kept
    assert str(made[0]) == (
        "false alarms at most 5.8% on images like these, 95% sure, from 50 normal images; for 2.0% it takes 149"
    )
    held = np.mean([np.exp(-each.line) <= each.share for each in made])
    assert held == pytest.approx(SURE, abs=0.012)


def test_images_of_one_thing_count_once():
    scores = np.arange(300.0)
    every, thrice = promise(scores, np.arange(300), 0.02), promise(scores, np.arange(300) // 3, 0.02)
    assert (every.images, every.is_kept) == (300, True)
    assert (thrice.images, thrice.is_kept, thrice.line) == (100, False, 299)


def test_so_many_are_needed_and_one_less_is_too_few():
    for share in (0.01, 0.02, 0.05, 0.2):
        needed = promise(np.zeros(1), np.zeros(1), share).needed
        assert promise(np.arange(needed), np.arange(needed), share).is_kept
        assert not promise(np.arange(needed - 1), np.arange(needed - 1), share).is_kept
