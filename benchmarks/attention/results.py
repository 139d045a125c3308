"""Figures of single trainings, a line each in a file of the repository: hours add up over many runs."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, log_loss

from leanet.evaluation.rates import best_threshold

RESULTS = Path(__file__).with_name("results.csv")
KEY = ["set", "positives", "seed", "fold", "variant"]
FIGURES = ["AP", "log-loss", "F1 tuned", "F1 at 0.5"]
COLUMNS = [*KEY, "score", *FIGURES, "seconds"]

# How an image is scored, from the margins of ADN (f) and external network (g).
SCORES = {
    "ADN": lambda f, g: f,
    "vote": lambda f, g: f + g / 2,  # as recipe `fast` has it
    "CAAN": lambda f, g: g,
}


def figures(labels: np.ndarray, margins: np.ndarray) -> dict[str, float]:
    """Of tested images; margins are above 0 for anomalous ones. Thresholds are tuned on the other half of them."""
    half = np.arange(len(labels)) % 2
    called = np.empty(len(labels), bool)
    for part in (0, 1):
        _, threshold = best_threshold(labels[half != part], margins[half != part])
        called[half == part] = margins[half == part] > threshold
    values = (
        average_precision_score(labels, margins),
        log_loss(labels, expit(margins.astype(float))),
        f1_score(labels, called, zero_division=0),
        f1_score(labels, margins > 0, zero_division=0),
    )
    return dict(zip(FIGURES, values, strict=True))


def read(file: Path = RESULTS) -> pd.DataFrame:
    return pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)


def done(file: Path = RESULTS) -> set[tuple]:
    """The keys of what is there."""
    return set(read(file)[KEY].itertuples(index=False, name=None))


def add(rows: list[dict], file: Path = RESULTS) -> None:
    """Append lines, given by COLUMNS."""
    fresh = not file.exists()
    with file.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(
            {name: f"{v:.4f}" if isinstance(v, float) else v for name, v in row.items()} for row in rows
        )
