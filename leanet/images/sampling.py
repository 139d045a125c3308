"""Which images take part, and which fold each is tested in (sections 4-1, 4-2)."""

import numpy as np

from leanet.core.errors import InputError
from leanet.images.layout import Item

DEALS = 5  # searches for even folds, of which the best is taken


def sample(items: list[Item], counts: tuple[int | None, int | None], seed: int) -> list[Item]:
    """Take `counts` = (negatives, positives) of `items` at random; None takes all of a class.

    `items` are sorted by path, so that a seed means the same images on every file system; so is the result.

    Raises:
        InputError: more are asked for than there are.
    """
    taken = []
    for label, (count, key) in enumerate(zip(counts, ("negatives", "positives"), strict=True)):
        members = [item for item in items if item.label == label]
        if count is None:
            count = len(members)
        if count > len(members):
            raise InputError(f"{key} is {count}, but the set has only {len(members)}")
        # Each class draws from its own stream: the number of positives does not change the negatives.
        chosen = np.random.default_rng([seed, label]).permutation(len(members))[:count]
        taken += [members[i] for i in chosen]
    return sorted(taken, key=lambda item: item.path)


def assign_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Stratified folds that keep groups whole: (N,) the fold from 0 that each image is tested in.

    labels: (N,) of 0 and 1. groups: (N,) group numbers. Where every image is a group of its own these are
    scikit-learn's stratified folds, as in the paper. Otherwise the classes are spread as evenly as a search finds.

    Raises:
        InputError: a class has fewer images, or fewer groups, than there are folds.
    """
    counts = np.stack([labels == 0, labels == 1], axis=1).astype(int)
    for label, name in enumerate(("normal", "anomalous")):
        members = labels == label
        if members.sum() < folds:
            there = f"{(labels == 0).sum()} normal and {(labels == 1).sum()} anomalous images"
            raise InputError(f"split.folds is {folds}, but there are {there}")
        if (there := len(np.unique(groups[members]))) < folds:
            raise InputError(
                f"split.folds is {folds}, but the {name} images make only {there} groups that must stay together; "
                "fewer folds, or split.groups: apart, if that is what you want"
            )
    if len(np.unique(groups)) == len(labels):
        from sklearn.model_selection import StratifiedKFold  # takes a second: trainings need it not

        fold_of = np.empty(len(labels), dtype=np.int64)
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        for fold, (_, tested) in enumerate(splitter.split(labels, labels)):
            fold_of[tested] = fold
        return fold_of
    _, group_of = np.unique(groups, return_inverse=True)
    brings = np.zeros((group_of.max() + 1, 2), dtype=int)
    np.add.at(brings, group_of, counts)
    dealt = (_deal(brings, folds, np.random.default_rng([seed, attempt])) for attempt in range(DEALS))
    return min(dealt, key=lambda fold_of_group: _spread(brings, fold_of_group, folds))[group_of]


def _deal(brings: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each group, from what each `brings`, (G, 2) images of both classes.

    From the largest to the smallest, each group goes to the emptiest fold; then groups that make the folds more
    even by it change places, or folds, until none does.
    """
    order = rng.permutation(len(brings))
    order = order[np.argsort(-brings[order].sum(axis=1), kind="stable")]
    has, fold_of = np.zeros((folds, 2), dtype=int), np.empty(len(brings), dtype=np.int64)
    for group in order:
        crowd = 2 * has @ brings[group]  # by how much the sum of squares would grow, less what is the same for all
        fold_of[group] = rng.choice(np.flatnonzero(crowd == crowd.min()))
        has[fold_of[group]] += brings[group]
    # A change of folds is a change of places with nothing.
    brings = np.concatenate([brings, np.zeros((folds, 2), dtype=int)])
    improved = True
    while improved and np.ptp(has, axis=0).max() > 1:
        improved = False
        for group in order:
            places = np.concatenate([fold_of, np.arange(folds)])
            less = brings[group] - brings
            growth = (less * (has[places] - has[fold_of[group]] + less)).sum(axis=1)
            other = int(growth.argmin())
            if growth[other] < 0:
                improved = True
                has[fold_of[group]] -= less[other]
                has[places[other]] += less[other]
                if other < len(fold_of):
                    fold_of[other] = fold_of[group]
                fold_of[group] = places[other]
    return fold_of


def _spread(brings: np.ndarray, fold_of: np.ndarray, folds: int) -> int:
    """By how many images the fullest and the emptiest fold differ, in the worse of both classes."""
    has = np.zeros((folds, 2), dtype=int)
    np.add.at(has, fold_of, brings)
    return int(np.ptp(has, axis=0).max())


def thin(trained: np.ndarray, labels: np.ndarray, share: float, *, seed: int | None, fold: int) -> np.ndarray:
    """Keep `share` of the anomalous images among the indices `trained`, and all normal ones (section 4-4).

    Rounded down as in the paper's implementation; smaller shares are parts of larger ones. Each fold draws
    its own. seed: not needed where all are kept.

    Raises:
        InputError: none would be left.
    """
    if share == 1:
        return trained
    positives = trained[labels[trained] == 1]
    count = int(share * len(positives))
    if count == 0:
        raise InputError(f"sweep.shares: {share} of {len(positives)} training positives leaves none")
    kept = np.random.default_rng([seed, fold]).permutation(positives)[:count]
    return np.sort(np.concatenate([trained[labels[trained] == 0], kept]))
