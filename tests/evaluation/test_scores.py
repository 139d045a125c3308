import numpy as np
import pandas as pd
import pytest

from leanet.evaluation.rates import best_threshold
from leanet.evaluation.scores import (
    Figure,
    Undefined,
    changed,
    choose_points,
    score_cells,
    score_images,
    score_row,
    tune_threshold,
)


def predictions(seed=0, points=(1, 2, 3), folds=4, images=10, repeats=1) -> pd.DataFrame:
    """Noisy scores; every repeat tests the same images in other folds."""
    rng = np.random.default_rng(seed)
    lines = []
    for repeat in range(repeats):
        order = rng.permutation(folds * images)
        lines += [
            (p, repeat * folds + at % folds, f"{i}.png", i % 2) for p in points for at, i in enumerate(order)
        ]
    table = pd.DataFrame(lines, columns=["point", "fold", "path", "label"])
    return table.assign(score=(0.4 * table["label"] + rng.uniform(0, 0.8, len(table))).round(6))


def images(labels, scores) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, "score": scores})


def test_scores_by_hand():
    scores = score_images(images([1, 1, 1, 0, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.4, 0.1]))
    assert [scores[name] for name in ("f1", "precision", "recall")] == pytest.approx([2 / 3] * 3)
    # Pairs ranked rightly: 0.9 over 3, 0.6 over 2, 0.2 over 1, of 9; precisions at the hits 1/1, 2/3, 3/5.
    assert scores["auroc"] == pytest.approx(6 / 9)
    assert scores["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


@pytest.mark.parametrize(
    ("labels", "scores", "undefined"),
    [
        ([0, 0], [0.2, 0.9], dict.fromkeys(["f1", "recall", "auroc", "average_precision"], "no anomalous image")),
        ([1, 1], [0.2, 0.9], {"auroc": "no normal image"}),
        ([0, 1], [0.7, 0.7], dict.fromkeys(["auroc", "average_precision"], "all images score the same")),
        ([0, 1], [0.1, 0.2], {"precision": "no image is called anomalous"}),
    ],
)
def test_what_does_not_exist_is_undefined_with_the_reason(labels, scores, undefined):
    found = score_images(images(labels, scores))
    assert {name: score.reason for name, score in found.items() if isinstance(score, Undefined)} == undefined


def test_nothing_called_anomalous_has_an_f1_of_zero():
    assert score_images(images([0, 1], [0.5, 0.5]))["f1"] == 0


def test_a_figure_that_is_undefined_in_a_fold_says_which():
    figure = Figure((0.5, Undefined("no anomalous image"), 0.7), 3)
    assert str(figure) == "undefined (fold 2: no anomalous image)"
    assert figure.numbers == {"undefined": "fold 2: no anomalous image"}
    assert isinstance(figure.against(Figure((0.5, 0.5, 0.5), 3)), Undefined)
    defined = Figure((0.5, 0.7), 2)
    assert (defined.mean, defined.deviation) == pytest.approx((0.6, 0.1))
    assert str(defined) == "0.600 ± 0.100"
    assert Figure((1.0, 0.9, 1.0), 3).interval[1] == 1


def test_a_fold_without_positives_spoils_no_choice():
    table = predictions()
    table.loc[table["fold"] == 1, "label"] = 0
    scores = score_row(table, 4)
    assert scores.f1.undefined.reason == "fold 2: no anomalous image"
    assert set(scores.points) <= {1, 2, 3}


def test_paper_protocol_is_the_best_point_on_the_scored_folds():
    table = predictions()
    f1 = score_cells(table)["f1"]
    means = {point: np.mean([f1[point, fold] for fold in range(4)]) for point in (1, 2, 3)}
    scores = score_row(table, 4)
    assert scores.paper_point == max(means, key=means.get)
    assert scores.paper_f1.mean == pytest.approx(max(means.values()))
    assert scores.paper_f1.deviation == pytest.approx(np.std([f1[scores.paper_point, k] for k in range(4)]))


def test_verdicts_that_change_are_counted_image_by_image():
    before = pd.DataFrame({"path": list("abc"), "fold": [0, 0, 1], "score": [0.9, 0.1, 0.6]})
    after = before.assign(score=[0.4, 0.2, 0.7]).iloc[::-1]
    assert str(changed(before, after)) == "1 of 3 (33%)"
    assert changed(before, before).count == 0


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_fold_has_no_say_in_its_own_point_and_threshold(repeats):
    """Permute the labels of a fold's images, wherever they are tested: its point and threshold stay."""
    rng = np.random.default_rng(1)
    others_changed = False

    def choices(table):
        points = choose_points(score_cells(table)["f1"], 4)
        tuned = tune_threshold(table[table["point"] == 1], 4)["score"]
        return points, tuned - table["score"]

    for seed in range(20):
        table = predictions(seed, repeats=repeats)
        before, shift_before = choices(table)
        tested = table.loc[table["fold"] == 2, "path"].unique()
        labels = dict(zip(tested, rng.integers(0, 2, len(tested)), strict=True))
        mine = table["path"].isin(tested)
        table.loc[mine, "label"] = table.loc[mine, "path"].map(labels)
        after, shift_after = choices(table)
        assert after[2] == before[2]
        in_fold = (table["fold"] == 2) & (table["point"] == 1)
        assert shift_after[in_fold].equals(shift_before[in_fold])
        others_changed |= not after.equals(before)
    assert others_changed


def test_a_tuned_threshold_is_the_best_of_the_other_folds():
    table = predictions(points=(0,), folds=2)
    tuned = tune_threshold(table, 2)
    for fold, other in ((0, 1), (1, 0)):
        others = table[table["fold"] == other]
        _, threshold = best_threshold(others["label"].to_numpy(), others["score"].to_numpy())
        own = table["fold"] == fold
        assert (tuned.loc[own, "score"] > 0.5).equals(table.loc[own, "score"] > threshold)


def test_one_point_makes_both_figures_the_same():
    scores = score_row(predictions(points=(4,)), 4)
    assert scores.paper_f1 == scores.f1
    assert scores.paper_point == 4
