import pandas as pd

from leanet.evaluation import predictions

NAMES = ["001", "1e5", "NA", "nan", "", "a,b.png", 'he said "x".png', "−1", "True"]


def test_names_come_back_as_they_were_whatever_they_look_like(tmp_path):
    columns = {"label": 0, "fold": 0, "point": 0, "share": 1.0, "score": 0.25}
    history = pd.DataFrame({"fold": [0], "point": [0], "share": [1], "epoch": [1], "loss": [0.5]})
    predictions.write(pd.DataFrame({"path": NAMES, **columns}), history, tmp_path)
    table = predictions.read(tmp_path)
    assert table["path"].tolist() == NAMES
    assert table["score"].tolist() == [0.25] * len(NAMES)
    assert predictions.read_history(tmp_path)["loss"].tolist() == [0.5]
