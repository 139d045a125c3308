"""Which row becomes the detector, and what its card confesses of that."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torchvision
from sklearn.metrics import average_precision_score

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.detector import Detector
from leanet.evaluation import predictions
from leanet.evaluation.baselines import BASELINES
from leanet.evaluation.scores import Figure
from leanet.packaging.card import card
from leanet.packaging.choice import _simplest, choose
from leanet.packaging.settings import Package

FOLDS, POINTS = 5, (2, 4)
ROWS = [
    "resnet18",
    "cnn-direct",
    "cnn",
    "resnet18-direct",
]  # the cnn has fewest parameters, with and without a map
NOTHING = Package(kind="light", dataset=None, row=None, point=None, criterion="best-f1")


def table(apart: float, seed: int, points: tuple[int, ...] = (0,), better: int | None = None) -> pd.DataFrame:
    """Predictions of 8 anomalous and 16 normal images a fold, so far apart; at point `better` farther."""
    draw, parts = np.random.default_rng(seed), []
    for fold in range(FOLDS):
        labels = np.repeat([1, 0], [8, 16])
        for point in points:
            logits = draw.normal(labels * (apart + 2 * (point == better)) - apart / 2, 1)
            path = [f"{fold}-{number}" for number in range(24)]
            score = 1 / (1 + np.exp(-logits))
            parts.append(
                pd.DataFrame({"path": path, "label": labels, "fold": fold, "point": point, "score": score})
            )
    return pd.concat(parts)


@pytest.fixture
def of_rows(monkeypatch) -> dict[str, pd.DataFrame]:
    """Predictions by row, which `choose` finds in place of files."""
    tables = {name: table(0, seed) for seed, name in enumerate(BASELINES)}
    monkeypatch.setattr(predictions, "read", lambda folder: tables[folder.name])
    return tables


def average_precisions(table: pd.DataFrame) -> np.ndarray:
    return np.array([average_precision_score(each["label"], each["score"]) for _, each in table.groupby("fold")])


def test_of_rows_as_good_as_the_best_the_smallest_is_taken_and_no_worse_one():
    draw = np.random.default_rng(0)
    parameters = {row: at for at, row in enumerate("abcd")}
    taken = set()
    for _ in range(500):
        folds = {row: tuple(draw.normal(0.7, 0.03) + draw.normal(0, 0.04, FOLDS)) for row in parameters}
        best = max(folds.values(), key=np.mean)
        least = np.mean(best) - np.std(best, ddof=1) / FOLDS**0.5
        expected = next(row for row in "abcd" if np.mean(folds[row]) >= least)
        figures = {row: Figure(of_row, FOLDS) for row, of_row in reversed(folds.items())}
        assert _simplest(figures, parameters) == expected
        taken.add((expected, folds[expected] is best))
    assert taken == {*product("abcd", [True]), *product("abc", [False])}


def test_what_is_chosen_by_are_its_figures_and_its_size(of_rows):
    of_rows |= {"resnet18": table(2, 1), "cnn": table(2, 1)}
    choice = choose(NOTHING, ["resnet18", "cnn"], "leaf", FOLDS, 32)
    assert (choice.row, choice.point, choice.points) == ("cnn", 0, [0])
    for row, facts in choice.facts["candidates"].items():
        mean = average_precisions(of_rows[row]).mean()
        assert facts["average_precision"]["mean"] == pytest.approx(mean, abs=1e-4)
    network = torchvision.models.resnet18(num_classes=2)
    assert choice.parameters["resnet18"] == sum(each.numel() for each in network.parameters())
    of_rows["cnn"] = table(0.5, 2)
    assert choose(NOTHING, ["resnet18", "cnn"], "leaf", FOLDS, 32).row == "resnet18"


def test_the_point_is_the_best_by_f1_and_what_is_named_is_taken(of_rows):
    of_rows |= {"cnn": table(1, 1), "cnn-direct": table(2, 2, POINTS, better=4)}
    rows = ["cnn", "cnn-direct"]
    choice = choose(NOTHING, rows, "leaf", FOLDS, 32)
    assert (choice.row, choice.point, choice.points) == ("cnn-direct", 4, [2, 4])
    named = choose(Package("light", None, "cnn-direct", 2, "best-f1"), rows, "leaf", FOLDS, 32)
    assert (named.row, named.point, named.points, list(named.parameters)) == ("cnn-direct", 2, [2], ["cnn-direct"])
    assert choose(Package("light", None, "cnn", 2, "best-f1"), rows, "leaf", FOLDS, 32).point == 0


def test_where_no_row_has_an_average_precision_it_says_what_to_do(of_rows):
    of_rows["cnn"] = table(1, 1).assign(score=0.5)
    with pytest.raises(InputError, match="no row of leaf has an average precision .* package.row in params.yaml"):
        choose(NOTHING, ["cnn"], "leaf", FOLDS, 32)
    of_rows["resnet18"] = table(1, 2)
    assert choose(NOTHING, ["cnn", "resnet18"], "leaf", FOLDS, 32).row == "resnet18"
    assert choose(Package("light", None, "cnn", None, "best-f1"), [], "leaf", FOLDS, 32).row == "cnn"


def test_that_the_border_tells_the_classes_apart_is_a_fact(of_rows):
    of_rows["cnn"] = table(1, 1)
    for apart, expected in ((20, 1.0), (0, None)):
        of_rows["border-histogram"] = table(apart, 3)
        assert choose(NOTHING, ["cnn"], "leaf", FOLDS, 32).facts["border"] == expected


def test_the_card_confesses(of_rows, attending):
    detector = Detector.load(attending.root / paths.DETECTOR, "cpu")
    of_rows |= {"cnn": table(2, 1), "cnn-direct": table(4, 2, POINTS), "lab-histogram": table(6, 3)}
    detector.facts |= choose(NOTHING, ["cnn", "cnn-direct"], "leaf", FOLDS, 32).facts
    said = " ".join(card(detector).split())
    ours, theirs = (average_precisions(of_rows[row]).mean() for row in ("cnn", "lab-histogram"))
    own = detector.facts["cross_validation"]["average_precision"]["mean"]
    assert f"| cnn | {ours:.3f} ±" in said
    assert "chosen on the very figures that this card gives" in said
    assert "is the best by F1 of 2, 4, on the test folds themselves" in said
    assert f"**The baseline lab-histogram does better**: by {theirs - own:+.3f} [" in said
    assert "map-threshold does better" not in said
    of_rows |= {"cnn": table(6, 2), "lab-histogram": table(1, 3)}
    detector.facts |= choose(NOTHING, ["cnn"], "leaf", FOLDS, 32).facts
    said = card(detector)
    assert not any(words in said for words in ("does better", "very figures", "best by F1"))
