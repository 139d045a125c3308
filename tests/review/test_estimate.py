"""The estimate from labels, and the order in which images are shown."""

import random
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from test_log import SAID  # beside this file

from leanet.evaluation.rates import clopper_pearson
from leanet.review import estimate, order
from leanet.review.order import Seen, following, place, shuffled


def seen(count: int, seed: int = 0) -> list[Seen]:
    draw = random.Random(seed)
    return [Seen(f"{at}.png", f"{at:064x}", draw.random(), draw.random()) for at in range(count)]


def test_of_four_images_one_is_at_random_two_are_uncertain_and_one_is_unlike():
    images = seen(40)
    shown = following(images, 0.3, 0, 40)
    assert sorted(each.file for each, _ in shown) == sorted(each.file for each in images)
    assert [why for _, why in shown[:8]] == [*order.TURNS, *order.TURNS]
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    uncertain = sorted(images, key=lambda each: abs(logit(each.score) - logit(0.3)))
    assert shown[0][0] == shuffled(images)[0]
    assert shown[1][0] == next(each for each in uncertain if each != shown[0][0])
    assert shown[2][0] == min(
        (each for each in images if each not in (shown[0][0], shown[1][0])), key=lambda each: each.likeness
    )
    # Who comes back goes on where the labels end.
    left = [each for each in images if each not in [each for each, _ in shown[:2]]]
    assert following(left, 0.3, 2, 6) == shown[2:8]
    assert following([], 0.3, 5, 3) == []


def test_new_images_take_places_of_their_own_in_the_order():
    few, many = seen(30), seen(90)
    assert [each for each in shuffled(many) if each in few] == shuffled(few)
    assert shuffled(random.Random(1).sample(many, 90)) == shuffled(many)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties):
    draw = np.random.default_rng(0)
    for _ in range(20):
        labels = np.append(draw.integers(0, 2, 30), [0, 1])
        scores = draw.random(32).round(1 if ties else 9)
        assert estimate.average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))


def said(images, labels, scores, detector="abc"):
    return [
        replace(SAID, image=image, label=("normal", "anomalous")[label], score=score, detector=detector)
        for image, label, score in zip(images, labels, scores, strict=True)
    ]


def test_what_was_shown_for_a_reason_has_no_say():
    """The detector is right on four of five images, and wrong on all that it is uncertain of."""
    draw = np.random.default_rng(1)
    images = sorted((f"{at:064x}" for at in range(400)), key=place)
    labels = draw.integers(0, 2, 400)
    wrong = draw.random(400) < 0.2
    scores = np.where(labels == 1, 0.9, 0.1)
    scores = np.where(wrong, 1 - scores, scores)
    chosen = [i for i in range(400) if wrong[i]][:60]
    first = list(range(100))
    words = said(
        *(np.array(each)[first + [i for i in chosen if i not in first]] for each in (images, labels, scores))
    )
    draw.shuffle(words)  # in whatever order people said so
    *_, last = estimate.points(words, images)
    missing = next(i for i in range(400) if i not in {*first, *chosen})
    part = [i for i in range(missing)]
    positives = [i for i in part if labels[i] == 1]
    assert (last.positives, last.negatives) == (len(positives), len(part) - len(positives))
    assert last.recall.estimate == np.mean([not wrong[i] for i in positives])
    assert (last.recall.low, last.recall.high) == clopper_pearson(last.found, last.positives)
    assert last.labels == len(words)


def test_unsure_disputed_and_other_detectors_words_do_not_count():
    images = sorted((f"{at:064x}" for at in range(8)), key=place)
    words = said(images, [1, 0, 1, 0, 1, 0, 1, 0], [0.9, 0.1] * 4)
    words[1] = replace(words[1], label="unsure")
    words[2] = replace(words[2], label="other")
    words.insert(4, replace(words[3], who="bo", label="anomalous"))
    words[0] = replace(words[0], detector="old")
    *_, last = estimate.points(words, images)
    assert (last.positives, last.negatives) == (2, 2)
    taken_back = [*words, replace(words[5], label=None)]
    *_, last = estimate.points(taken_back, images)
    assert (last.positives, last.negatives) == (0, 0)
    assert last.recall is last.false_alarms is last.average_precision is None


def test_the_curve_follows_the_labels_and_ends_with_the_last():
    images = sorted((f"{at:064x}" for at in range(300)), key=place)
    words = said(images, [at % 3 == 0 for at in range(300)], [0.9] * 300)
    curve = estimate.points(words, images)
    assert len(curve) <= estimate.MOST_POINTS
    assert [point.labels for point in curve] == sorted({point.labels for point in curve})
    assert curve[-1].labels == 300
    assert estimate.points([], images) == []


def test_more_labels_are_said_to_tell_more():
    few = estimate.Point(30, "abc", 5, 25, 4, 1, 0.9)
    assert few.ahead.startswith("Another 20 images at random: about 4 anomalous ones; recall would be known to ± ")
    now, then = (estimate._half(4, 5), estimate._half(4, 5, 4))
    assert then < now
    low, high = clopper_pearson(4, 5)
    assert now == pytest.approx((high - low) / 2)
