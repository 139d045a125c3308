"""Labels that may be wrong."""

import numpy as np
import pandas as pd

from leanet.evaluation.suspects import suspects


def predictions(seed: int, wrong: list[int], count: int = 80) -> pd.DataFrame:
    """Of a row that knows what is true; the labels of `wrong` are not."""
    rng = np.random.default_rng(seed)
    true = np.arange(count) % 4 == 0
    label = true.copy()
    label[wrong] = ~label[wrong]
    score = np.clip(np.where(true, 0.85, 0.15) + rng.normal(0, 0.08, count), 0, 1)
    return pd.DataFrame({"path": [f"{i}.png" for i in range(count)], "label": label.astype(int), "score": score})


def test_planted_mistakes_are_found_and_nothing_else():
    wrong = [3, 8, 21, 40]
    found = suspects([predictions(1, wrong), predictions(2, wrong)])
    assert set(found["path"]) == {f"{i}.png" for i in wrong}
    assert list(found["label"]) == [int(int(path.split(".")[0]) % 4 != 0) for path in found["path"]]
    assert suspects([predictions(1, []), predictions(2, [])]).empty


def test_the_surest_disagreement_comes_first():
    of_row = predictions(1, [3, 8])
    of_row.loc[3, "score"], of_row.loc[8, "score"] = 0.1, 0.99  # labelled anomalous and normal
    assert list(suspects([of_row])["path"]) == ["8.png", "3.png"]


def test_one_class_alone_has_no_suspects():
    assert suspects([predictions(1, []).assign(label=0)]).empty
