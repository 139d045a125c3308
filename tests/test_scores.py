import numpy as np
import pandas as pd
import pytest

from leanet.scores import choose_points, decision_scores, ranking_scores, score_row


def predictions(seed=0, points=(1, 2, 3), folds=4, images=10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(p, k, f"{k}/{i}", i % 2) for p in points for k in range(folds) for i in range(images)],
        columns=["point", "fold", "path", "label"],
    )
    return table.assign(score=(0.4 * table["label"] + rng.uniform(0, 0.8, len(table))).round(6))


def test_scores_by_hand():
    table = pd.DataFrame(
        {
            "point": 0,
            "fold": 0,
            "label": [1, 1, 1, 0, 0, 0],
            "score": [0.9, 0.6, 0.2, 0.7, 0.4, 0.1],
        }
    )
    decided = decision_scores(table).loc[(0, 0)]
    assert decided.to_dict() == pytest.approx({"f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3})
    ranked = ranking_scores(table).loc[(0, 0)]
    # Pairs ranked rightly: 0.9 over 3, 0.6 over 2, 0.2 over 1, of 9; precisions at the hits 1/1, 2/3, 3/5.
    assert ranked["auroc"] == pytest.approx(6 / 9)
    assert ranked["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_nothing_called_anomalous_scores_zero():
    table = predictions(points=(0,)).assign(score=0.5)
    assert decision_scores(table)["f1"].eq(0).all()


def test_paper_protocol_is_the_best_point_on_the_scored_folds():
    table = predictions()
    f1 = decision_scores(table)["f1"]
    means = {point: np.mean([f1[point, fold] for fold in range(4)]) for point in (1, 2, 3)}
    scores = score_row(table)
    assert scores.paper_point == max(means, key=means.get)
    assert scores.paper_f1.mean == pytest.approx(max(means.values()))
    assert scores.paper_f1.deviation == pytest.approx(np.std([f1[scores.paper_point, k] for k in range(4)]))


def test_a_fold_has_no_say_in_its_own_point():
    """Shuffle the labels of a fold: its chosen point stays, though the others may change theirs."""
    rng = np.random.default_rng(1)
    others_changed = False
    for seed in range(20):
        table = predictions(seed)
        before = choose_points(decision_scores(table)["f1"])
        in_fold = table["fold"] == 2
        table.loc[in_fold, "label"] = rng.permutation(table.loc[in_fold, "label"].to_numpy())
        after = choose_points(decision_scores(table)["f1"])
        assert after[2] == before[2]
        others_changed |= not after.equals(before)
    assert others_changed


def test_one_point_makes_both_figures_the_same():
    scores = score_row(predictions(points=(4,)))
    assert scores.paper_f1 == scores.f1
    assert scores.paper_point == 4
