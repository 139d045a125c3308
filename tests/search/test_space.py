"""What is searched, as people write it."""

import optuna
import pytest

from leanet.attention.settings import TrainLEANet
from leanet.core.errors import InputError
from leanet.search.space import Axis, with_values

BASE = TrainLEANet([1], 4, 8, 0.001, 0.0001, False, 30.0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train_leanet.learning_rate=loguniform(1e-4,1e-2)", Axis("learning_rate", "loguniform", (1e-4, 1e-2))),
        (" train_leanet.epochs = int(4, 16) ", Axis("epochs", "int", (4, 16))),
        (
            "train_leanet.map_scale=choice(15, 30, own-maximum)",
            Axis("map_scale", "choice", (15, 30, "own-maximum")),
        ),
        ("train_leanet.pretrained=choice(true, false)", Axis("pretrained", "choice", (True, False))),
    ],
)
def test_what_is_searched_is_read(text, expected):
    assert Axis.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train_leanet.learning_rate", "expected KEY="),
        ("train_leanet.learning_rate=normal(0,1)", "expected KEY="),
        ("split.seed=int(1, 9)", r"split\.seed: cannot be searched, expected one of train_leanet\.epochs"),
        ("train_leanet.seed=int(1, 9)", "cannot be searched"),
        ("train_leanet.epochs=int(9, 1)", "the lower one first"),
        ("train_leanet.epochs=int(1)", "expected two numbers"),
        ("train_leanet.learning_rate=loguniform(0, 1)", "two numbers above 0"),
        ("train_leanet.learning_rate=uniform(low, 1)", "expected two numbers"),
    ],
)
def test_what_is_no_setting_or_no_range_is_one_line(text, said):
    with pytest.raises(InputError, match=said):
        Axis.parse(text)


def test_what_is_tried_lies_in_the_range():
    study = optuna.create_study()
    axis = Axis.parse("train_leanet.epochs=int(4, 6)")
    values = {axis.suggest(study.ask()) for _ in range(40)}
    assert values == {4, 5, 6}


def test_a_value_that_is_not_valid_is_named():
    assert with_values(BASE, {"learning_rate": 0.01}).learning_rate == 0.01
    with pytest.raises(InputError, match=r"train_leanet\.epochs is 0"):
        with_values(BASE, {"epochs": 0})
