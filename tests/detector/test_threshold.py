"""Thresholds by a criterion, and what is said of them."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, norm
from sklearn.metrics import f1_score, precision_score, recall_score

from leanet.core.errors import InputError
from leanet.detector.choosing import choose, line
from leanet.detector.criterion import Criterion
from leanet.evaluation.rates import between_networks, clopper_pearson, widened

CRITERIA = ("best-f1", "recall 0.9", "recall 1", "false-alarms 0.05", "false-alarms 0")


def simulated(positives: int, negatives: int, apart: float, seed: int):
    """Scores of two normal distributions `apart`, as a sigmoid, labels, five folds, and groups of one."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [positives, negatives])
    scores = 1 / (1 + np.exp(-draw.normal(apart * labels, 1)))
    folds = np.concatenate([np.arange(positives) % 5, np.arange(negatives) % 5])
    return scores, labels, folds, np.arange(len(labels))


@pytest.mark.parametrize("seed", range(4))
def test_lines_are_those_of_trying_every_one(seed):
    scores, labels, *_ = simulated(17, 41, 1.5, seed)
    ordered = np.sort(scores)
    between = [ordered[0] / 2, *((ordered[1:] + ordered[:-1]) / 2), (ordered[-1] + 1) / 2]
    f1 = [f1_score(labels, scores > t) for t in between]
    assert f1_score(labels, scores > line(Criterion.parse("best-f1"), scores, labels)) == pytest.approx(max(f1))
    errors = {t: ((scores[labels == 0] > t).sum(), (scores[labels == 1] <= t).sum()) for t in between}
    for rate in (1e-12, 0.5, 0.9, 1):
        allowed = [t for t in between if recall_score(labels, scores > t) >= rate]
        best = min(allowed, key=lambda t: errors[t])
        assert line(Criterion.parse(f"recall {rate}"), scores, labels) == pytest.approx(best)
    for rate in (0, 0.1, 0.5, 0.999999999999):
        allowed = [t for t in between if (scores[labels == 0] > t).mean() <= rate]
        best = min(allowed, key=lambda t: errors[t][::-1])
        assert line(Criterion.parse(f"false-alarms {rate}"), scores, labels) == pytest.approx(best)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_where_no_score_is_in_doubt_no_criterion_errs(criterion):
    labels = np.repeat([1, 0], [40, 100])
    scores = np.concatenate([np.linspace(0.8, 0.99, 40), np.linspace(0.01, 0.07, 100)])
    assert line(Criterion.parse(criterion), scores, labels) == pytest.approx((0.8 + 0.07) / 2)


def test_the_figures_are_those_of_counting():
    scores, labels, folds, groups = simulated(20, 60, 1.5, seed=5)
    at = choose(Criterion.parse("recall 0.8"), scores, labels, folds, groups, one_network=False)
    called = scores > at.value
    assert at.recall.estimate == recall_score(labels, called) >= 0.8
    assert at.false_alarms.estimate == called[labels == 0].mean()
    assert at.precision.estimate == pytest.approx(precision_score(labels, called))
    assert at.f1.estimate == pytest.approx(f1_score(labels, called))
    held_out = np.empty(len(labels), bool)
    for fold in range(5):
        own = folds == fold
        held_out[own] = scores[own] > line(Criterion.parse("recall 0.8"), scores[~own], labels[~own])
    assert at.f1_held_out == pytest.approx(f1_score(labels, held_out))


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (3, 10), (47, 50)])
def test_an_interval_ends_where_the_count_becomes_unlikely(hits, count):
    low, high = clopper_pearson(hits, count)
    shares = np.linspace(0, 1, 100_001)
    possible = shares[(binom.sf(hits - 1, count, shares) >= 0.025) & (binom.cdf(hits, count, shares) >= 0.025)]
    assert (low, high) == pytest.approx((possible[0], possible[-1]), abs=2e-5)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("positives", "negatives", "apart"), [(50, 152, 2), (20, 200, 1.5)])
def test_intervals_cover_the_truth_as_often_as_they_say(criterion, positives, negatives, apart):
    """With normal distributions the true rates of a threshold are known."""
    trials, held = 300, {"recall": 0, "false_alarms": 0, "f1": 0, "precision": 0}
    share = positives / (positives + negatives)
    for seed in range(trials):
        at = choose(Criterion.parse(criterion), *simulated(positives, negatives, apart, seed), one_network=False)
        cut = np.log(at.value / (1 - at.value))
        recall, false_alarms = norm.sf(cut - apart), norm.sf(cut)
        found, raised = share * recall, (1 - share) * false_alarms
        truth = {
            "recall": recall,
            "false_alarms": false_alarms,
            "f1": 2 * found / (found + raised + share),
            "precision": found / (found + raised),
        }
        for name, value in truth.items():
            held[name] += getattr(at, name).low <= value <= getattr(at, name).high
    assert min(held.values()) >= 0.95 * trials - 2.5 * (trials * 0.95 * 0.05) ** 0.5, held


def test_f1_of_the_images_it_was_chosen_on_flatters_and_the_held_out_one_does_not():
    flattering, honest, true = [], [], []
    for seed in range(150):
        at = choose(Criterion.parse("best-f1"), *simulated(20, 60, 1.5, seed), one_network=False)
        cut = np.log(at.value / (1 - at.value))
        found, raised = 0.25 * norm.sf(cut - 1.5), 0.75 * norm.sf(cut)
        true.append(2 * found / (found + raised + 0.25))
        flattering.append(at.f1.estimate)
        honest.append(at.f1_held_out)
    assert np.mean(flattering) > np.mean(true) + 0.03
    assert np.mean(honest) == pytest.approx(np.mean(true), abs=0.02)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_images_that_show_one_thing_tell_no_more_than_one(criterion):
    once = simulated(20, 60, 1.5, seed=5)
    thrice = [np.repeat(part, 3) for part in once]
    for name in ("recall", "false_alarms", "precision", "f1"):
        one, three = (
            getattr(choose(Criterion.parse(criterion), *of, one_network=False), name) for of in (once, thrice)
        )
        assert (three.low, three.high) == pytest.approx((one.low, one.high))


@pytest.mark.parametrize("deviation", [0, 0.4, 1])
def test_how_networks_differ_is_found_behind_the_scatter_of_images(deviation):
    draw = np.random.default_rng(1)
    totals = draw.integers(20, 60, 4000)
    hits = draw.binomial(totals, expit(draw.normal(0.5, deviation, 4000)))
    assert between_networks(hits, totals) == pytest.approx(deviation, abs=0.07)


def test_an_interval_for_one_more_network_holds_as_often_as_it_says():
    draw = np.random.default_rng(2)
    assert widened((0.6, 0.9), 8, 10, 0) == pytest.approx((0.6, 0.9))
    for hits, total in ((0, 9), (9, 9), (30, 40), (3, 200)):
        of_images = clopper_pearson(hits, total)
        low, high = widened(of_images, hits, total, 0.5)
        assert low <= of_images[0] <= of_images[1] <= high
    held = 0
    for _ in range(2000):
        middle = draw.normal(1, 1)
        hits = draw.binomial(20, expit(draw.normal(middle, 0.5, 5))).sum()
        low, high = widened(clopper_pearson(hits, 100), hits, 100, 0.5 * 1.2**0.5)
        held += low <= expit(draw.normal(middle, 0.5)) <= high
    assert 0.95 <= held / 2000 <= 0.99


@pytest.mark.parametrize("criterion", ["best-f1", "recall 0.9", "false-alarms 0.1"])
def test_a_network_of_none_of_the_folds_does_what_is_said_of_it(criterion):
    """Networks whose margins are off from each other: the one that is used, too."""
    draw, trials = np.random.default_rng(3), 400
    held = {(name, one_network): 0 for name in ("recall", "false_alarms") for one_network in (True, False)}
    for seed in range(trials):
        scores, labels, folds, groups = simulated(50, 152, 2, seed)
        scores = expit(logit(scores) + draw.normal(0, 0.3, 5)[folds])
        off = draw.normal(0, 0.3)
        for one_network in (True, False):
            at = choose(Criterion.parse(criterion), scores, labels, folds, groups, one_network=one_network)
            cut = logit(at.value) - off
            for name, true in (("recall", norm.sf(cut - 2)), ("false_alarms", norm.sf(cut))):
                rate = getattr(at, name)
                held[name, one_network] += rate.low <= true <= rate.high
    assert min(held["recall", True], held["false_alarms", True]) >= 0.95 * trials - 9  # two deviations
    assert held["false_alarms", False] < 0.9 * trials


def test_that_networks_differ_too_much_is_not_blamed_on_the_images():
    scores, labels, folds, groups = simulated(400, 400, 1, seed=1)
    at = choose(Criterion.parse("recall 0.6"), scores, labels, folds, groups, one_network=True)
    assert any(
        doubt.startswith("one network differs too much from the next to tell the recall") for doubt in at.doubts
    )
    few = choose(Criterion.parse("recall 0.6"), *simulated(6, 400, 1, seed=1), one_network=True)
    assert any("would tell it to ± 0.05 if all networks were alike" in doubt for doubt in few.doubts)


def test_too_few_images_are_said():
    few = choose(Criterion.parse("best-f1"), *simulated(6, 400, 2, seed=1), one_network=False)
    (doubt,) = few.doubts
    assert doubt.startswith("6 anomalous images are too few to tell the recall")
    assert not choose(Criterion.parse("best-f1"), *simulated(300, 400, 2, seed=1), one_network=False).doubts


NONE = [
    "",
    " ",
    "best",
    "recall",
    "recall 1.5",
    "recall x",
    "recall 0",
    "recall nan",
    "false-alarms 1",
    "best-f1 0.5",
]


@pytest.mark.parametrize("text", NONE)
def test_a_criterion_that_is_none_is_said(text):
    with pytest.raises(InputError, match="expected best-f1, recall R, false-alarms A or conformal A"):
        Criterion.parse(text)
