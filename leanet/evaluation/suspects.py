"""Images whose label may be wrong: where networks that never saw an image disagree with it.

Confident learning (Northcutt et al. 2021, "Confident learning: estimating uncertainty in dataset labels", JAIR),
by the library cleanlab: a suspect is called the other class as surely as images of that class are.
"""

import sys
from collections.abc import Iterable

import numpy as np
import pandas as pd


def suspects(predictions: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Images that may be mislabelled, the likeliest first: columns path, label and score.

    predictions: of several rows, out of fold (leanet.evaluation.predictions). score: the mean over rows and
    repeats.
    """
    # Here, not above: it takes two seconds, which only a report needs.
    from cleanlab.filter import find_label_issues

    every = pd.concat(predictions)
    images = every.groupby("path").agg({"label": "first", "score": "mean"}).reset_index()
    score, label = images["score"].to_numpy(), images["label"].to_numpy()
    if len(np.unique(label)) < 2:
        return images.iloc[:0]
    chances = np.stack([1 - score, score], axis=1)
    jobs = 1 if sys.platform == "linux" else None  # no process of its own for a few images
    return images.iloc[find_label_issues(label, chances, return_indices_ranked_by="self_confidence", n_jobs=jobs)]
