"""What is compared with what, on made-up predictions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from leanet.revisions.versus import Result, Versus

FOLDS, COUNT = 3, 240


def result(seed: int, good: float, labels: np.ndarray | None = None, names: list[int] | None = None) -> Result:
    """Images by number, in folds by number, whose scores tell the labels apart the better the higher `good` is."""
    numbers = np.array(names if names is not None else range(COUNT))
    label = (numbers % 4 == 0).astype(int) if labels is None else labels
    folds = numbers // 4 % FOLDS
    path = [f"{number}.png" for number in numbers]
    manifest = pd.DataFrame({"path": path, "sha256": numbers.astype(str), "label": label, "repeat1": folds})
    scores = good * label + (1 - good) * np.random.default_rng(seed).random(len(numbers))
    table = pd.DataFrame({"path": path, "label": label, "fold": folds, "point": 0, "share": 1.0, "score": scores})
    return Result(manifest, {"cnn": table.sample(frac=1, random_state=seed)}, FOLDS)


def by_fold(table: pd.DataFrame, chosen: set[str]) -> list[float]:
    kept = table[table["path"].isin(chosen)]
    return [average_precision_score(part["label"], part["score"]) for _, part in kept.groupby("fold")]


def test_images_that_both_have_with_one_label_are_compared_where_they_stayed_in_their_folds():
    labels = (np.arange(COUNT + 2) % 4 == 0).astype(int)
    labels[[0, 5]] = 1 - labels[[0, 5]]
    before = result(1, 0.2)
    after = result(2, 0.4, labels[2:], names=list(range(2, COUNT + 2)))  # two go, two come, one is relabelled
    set_ = Versus("leaf", before, after)
    assert set_.paired
    assert f"on the {COUNT - 3} images that both have with the same label" in set_.pairing
    chosen = {f"{number}.png" for number in range(2, COUNT)} - {"5.png"}
    expected = [by_fold(each.predictions["cnn"], chosen) for each in (before, after)]
    (found,) = (each for each in set_.differences if each.score == "average_precision")
    assert [found.before.folds, found.after.folds] == [pytest.approx(scores) for scores in expected]
    assert found.test.effect == pytest.approx(np.mean(expected[1]) - np.mean(expected[0]))


def test_nothing_is_paired_where_one_image_changed_its_fold():
    before, after = result(1, 0.2), result(2, 0.4)
    after.manifest.loc[3, "repeat1"] = (after.manifest.loc[3, "repeat1"] + 1) % FOLDS
    set_ = Versus("leaf", before, after)
    assert not set_.paired
    assert "nothing can be paired" in set_.pairing
    assert set_.unchanged == []


@pytest.mark.parametrize(("good", "word"), [(0.2, "the same in every fold"), (0.95, "better: between +")])
def test_a_difference_is_called_what_it_is(good, word):
    """Of one seed: the scores are as they were, or all of them better, by much in every fold."""
    set_ = Versus("leaf", result(1, 0.2), result(1, good))
    (found,) = (each for each in set_.differences if each.score == "average_precision")
    assert found.verdict.startswith(word)
    assert Versus("leaf", result(1, good), result(1, 0.2)).primary == "cnn"


def test_chance_is_called_undecided_and_images_that_changed_sides_are_named():
    set_ = Versus("leaf", result(1, 0.2), result(4, 0.2))
    (found,) = (each for each in set_.differences if each.score == "average_precision")
    assert found.verdict.startswith("undecided: between -")
    both = pd.merge(*(each.predictions["cnn"][["path", "score"]] for each in (set_.before, set_.after)), on="path")
    changed = both[(both["score_x"] > 0.5) != (both["score_y"] > 0.5)]
    assert set(set_.sides("cnn")["path"]) == set(changed["path"]) != set()
    sizes = (set_.sides("cnn")["after"] - set_.sides("cnn")["before"]).abs()
    assert sizes.is_monotonic_decreasing


def test_normal_images_alone_are_compared_with_both_classes_by_what_each_has():
    """As the first anomalous images come: a row is there only after, and the map alone before and after."""
    normals = [number for number in range(COUNT) if number % 4]
    before, after = result(1, 0.2, names=normals), result(1, 0.2)
    set_ = Versus("leaf", Result(before.manifest, {"map-one-class": before.predictions["cnn"]}, FOLDS), after)
    assert set_.pairing == "no anomalous image is in both, with that label, so nothing can be paired"
    (found,) = (each for each in set_.differences if (each.row, each.score) == ("cnn", "average_precision"))
    assert not found.after.undefined
    assert (found.before, found.verdict) == (None, "only after")
