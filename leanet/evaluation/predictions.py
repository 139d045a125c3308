"""Predictions as tables: a row an image and test fold, as stages leave them for each other.

Their columns: path (of the image, in its set), label (1 anomalous), fold (the one it was tested in; folds of a
repeated cross-validation count on), point (the attention point, 0 where there is none), share (of the training
positives that were kept) and score, in [0, 1].
"""

from pathlib import Path

import pandas as pd

from leanet.core import files

PREDICTIONS, HISTORY, ALTERED = "predictions.csv", "history.csv", "altered.csv"
SCORES = "%.15g"  # six decimals would make all sure images rank alike


def write(predictions: pd.DataFrame, history: pd.DataFrame, folder: Path) -> None:
    """Write the predictions of a row, and the loss of its trainings by epoch (leanet.training.job.history)."""
    predictions.to_csv(folder / PREDICTIONS, index=False, float_format=SCORES)
    history.to_csv(folder / HISTORY, index=False, float_format="%.6g")


def write_none(folder: Path) -> None:
    """The same three files without a row, of a set that no row is trained on."""
    with files.whole(folder) as empty:
        for name, columns in (
            (PREDICTIONS, ["path", "label", "fold", "point", "share", "score"]),
            (ALTERED, ["path", "label", "kind", "fold", "point", "share", "score"]),
            (HISTORY, ["fold", "point", "share", "epoch", "loss"]),
        ):
            pd.DataFrame(columns=columns).to_csv(empty / name, index=False)


def read(folder: Path) -> pd.DataFrame:
    """The predictions in `folder`; paths are texts, whatever they look like."""
    return pd.read_csv(folder / PREDICTIONS, dtype={"path": str}, keep_default_na=False)


def read_altered(folder: Path) -> pd.DataFrame:
    """The scores of altered images in `folder`; kind is of leanet.images.counterfactuals.KINDS."""
    return pd.read_csv(folder / ALTERED, dtype={"path": str}, keep_default_na=False)


def read_history(folder: Path) -> pd.DataFrame:
    """The loss of each training by epoch in `folder`."""
    return pd.read_csv(folder / HISTORY)
