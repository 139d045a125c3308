"""The single steps of a run, each in a process of its own."""

import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.attention.results import SCORES, figures
from benchmarks.attention.trials import FOLDS, Trial, leaves, photographs, write_maps
from benchmarks.attention.variants import KINDS, VARIANTS, margins
from leanet.evaluation.baselines import histogram_scores, map_statistics, threshold_scores

LEAVES = ("easy", "medium", "hard")
FILLED = "-filled"  # ends the name of a set of photographs whose backgrounds are filled
BASELINES = ("histogram", "map alone")  # as in leanet.evaluation.baselines
COMMITTEE = "committee"
MEMBER = "contrast"  # the network whose ADN and CAAN are members of the committee
_photographs = Path()


def start(photographs: Path) -> None:
    """Make a process ready; photographs: the folder with a folder a set."""
    global _photographs
    _photographs = photographs
    torch.set_num_threads(1)


@cache
def trial_of(set_: str, seed: int) -> Trial:
    if set_ in LEAVES:
        return leaves(set_, seed)
    return photographs(_photographs / set_.removesuffix(FILLED), seed, fill=set_.endswith(FILLED))


def kind_of(variant: str) -> str:
    """Which maps it needs."""
    return KINDS[VARIANTS[variant].maps] if variant in VARIANTS else "pair"


def prepare(folder: Path, set_: str, seed: int, kinds: set[str]) -> None:
    """Colourisers and maps of a trial."""
    place = folder / set_ / str(seed)
    place.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        if not all((place / f"{kind}{fold}.npy").exists() for fold in trial_of(set_, seed).folds):
            write_maps(trial_of(set_, seed), seed, kind, place)


def run(folder: Path, set_: str, positives: int, seed: int, fold: int, variant: str) -> list[dict]:
    """Train once: lines of benchmarks.attention.results, one for each way to score an image."""
    trial = trial_of(set_, seed)
    maps = np.load(folder / set_ / str(seed) / f"{kind_of(variant)}{fold}.npy")
    train, test = trial.trained(fold, positives, seed), trial.tested(fold)
    started = time.time()
    if variant == COMMITTEE:
        said = {"f": committee(trial, maps, train, test, seed * FOLDS + fold)}
    elif variant in BASELINES:
        said = {"f": baseline(variant, trial, maps, train, test, seed)}
    else:
        said = margins(VARIANTS[variant], trial.images, maps, trial.labels, train, test, seed * FOLDS + fold)
    key = dict(set=set_, positives=positives, seed=seed, fold=fold, variant=variant, seconds=time.time() - started)
    return [
        key | {"score": score} | figures(trial.labels[test], say(said["f"], said.get("g")))
        for score, say in SCORES.items()
        if score == "ADN" or "g" in said
    ]


def baseline(
    name: str, trial: Trial, maps: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """The margins of the images `test` by a baseline."""
    if name == "histogram":
        scores = histogram_scores(trial.images, trial.labels, train, test, seed=seed)
    else:
        statistics = map_statistics(maps[:, 0])
        scores = threshold_scores(statistics[train], trial.labels[train], statistics[test])
    return logit(scores.clip(1e-3, 1 - 1e-3))


def committee(trial: Trial, maps: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """The margins of the images `test` by a logistic regression on what its members say.

    It is fitted on what they say of training images that they were not trained on: each fold of those is left out
    once, and members are trained anew. So no tested image has a part in it.
    """

    def members(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        said = margins(VARIANTS[MEMBER], trial.images, maps, trial.labels, train, test, seed)
        histogram = baseline("histogram", trial, maps, train, test, seed)
        return np.column_stack([said["f"], said["g"], histogram, np.log(map_statistics(maps[test, 0]))])

    fold_of = trial.fold_of[train]
    said, labels = [], []
    for fold in np.unique(fold_of):
        said.append(members(train[fold_of != fold], train[fold_of == fold]))
        labels.append(trial.labels[train[fold_of == fold]])
    judge = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    judge.fit(np.concatenate(said), np.concatenate(labels))
    return judge.decision_function(members(train, test))
