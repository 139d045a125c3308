"""Which images take part, and which fold each is tested in (sections 4-1, 4-2)."""

from collections.abc import Iterator

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


LEAST = 4  # groups of normal images: a colouriser that leaves out a pair of folds learns from two


def possible_folds(labels: np.ndarray, groups: np.ndarray, asked: int) -> int:
    """How many folds there can be, `asked` at most: each has a normal group and, where there are two or more, an
    anomalous one. A single one cannot be both trained on and tested.

    labels: (N,) of 0 and 1. groups: (N,) group numbers.

    Raises:
        InputError: there are fewer than LEAST groups of normal images.
    """
    normal, anomalous = (len(np.unique(groups[labels == label])) for label in (0, 1))
    if normal < LEAST:
        count = int((labels == 0).sum())
        there = "1 normal image" if count == 1 else f"{count} normal images, all of one group"
        raise InputError(
            f"{there}; expected at least {LEAST}, of {LEAST} groups: the colouriser learns from some, and is "
            "tested on others"
        )
    return min(asked, normal, anomalous if anomalous > 1 else asked)


def assign_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Stratified folds that keep groups whole: (N,) the fold from 0 that each image is tested in.

    labels: (N,) of 0 and 1. groups: (N,) group numbers. Where every image is a group of its own these are
    scikit-learn's stratified folds, as in the paper. Otherwise the classes are spread as evenly as a search finds.
    folds: as many as `possible_folds` says, at most.
    """
    counts = np.stack([labels == 0, labels == 1], axis=1).astype(int)
    if len(np.unique(groups)) == len(labels):
        from sklearn.model_selection import StratifiedKFold  # takes a second: trainings need it not

        fold_of = np.empty(len(labels), dtype=np.int64)
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        classes = labels if labels.sum() >= folds else np.zeros_like(labels)  # of too few, it would warn
        for fold, (_, tested) in enumerate(splitter.split(classes, classes)):
            fold_of[tested] = fold
        return fold_of
    _, group_of = np.unique(groups, return_inverse=True)
    brings = np.zeros((group_of.max() + 1, 2), dtype=int)
    np.add.at(brings, group_of, counts)

    def dealt(attempts: range, first: np.ndarray) -> Iterator[np.ndarray]:
        return (_deal(brings, folds, np.random.default_rng([seed, attempt]), first) for attempt in attempts)

    def uneven(fold_of_group: np.ndarray) -> tuple[int, int]:
        """How many folds lack a class, and by how many images fullest and emptiest differ, in the worse class."""
        has = np.zeros((folds, 2), dtype=int)
        np.add.at(has, fold_of_group, brings)
        return int((has == 0).sum()), int(np.ptp(has, axis=0).max())

    largest_first, in_any_order = -brings.sum(axis=1), np.zeros(len(brings))
    best = min(dealt(range(DEALS), largest_first), key=uneven)
    _, spread = uneven(best)
    if spread > 1:  # where these are alike, others may end elsewhere
        best = min((best, *dealt(range(DEALS, 2 * DEALS), in_any_order)), key=uneven)
    lacking, _ = uneven(best)
    if lacking:
        # Groups of both classes, each in a fold of its own, leave enough of either for the other folds.
        mixed_first = (brings == 0).sum(axis=1)
        best = min((best, *dealt(range(2 * DEALS, 3 * DEALS), mixed_first)), key=uneven)
    return best[group_of]


def _deal(brings: np.ndarray, folds: int, rng: np.random.Generator, first: np.ndarray) -> np.ndarray:
    """The fold of each group, from what each `brings`, (G, 2) images of both classes.

    In rising order of `first`, (G,), at random where equal, each group goes to the fold that lacks most of its
    classes, and of such to the emptiest. Then groups that make the folds more even by it change places, or folds,
    until none does; none leaves a fold without a class that it had.
    """
    order = rng.permutation(len(brings))
    order = order[np.argsort(first[order], kind="stable")]
    much = 4 * int(brings.sum()) ** 2  # more than any growth
    has, fold_of = np.zeros((folds, 2), dtype=int), np.empty(len(brings), dtype=np.int64)
    for group in order:
        crowd = 2 * has @ brings[group]  # by how much the sum of squares would grow, less what is the same for all
        crowd -= much * ((has == 0) & (brings[group] > 0)).sum(axis=1)
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
            here, there = has[fold_of[group]], has[places]
            growth = (less * (there - here + less)).sum(axis=1)
            emptied = ((here > 0) & (here == less)) | ((there > 0) & (there == -less))
            growth[emptied.any(axis=1)] = much
            other = int(growth.argmin())
            if growth[other] < 0:
                improved = True
                has[fold_of[group]] -= less[other]
                has[places[other]] += less[other]
                if other < len(fold_of):
                    fold_of[other] = fold_of[group]
                fold_of[group] = places[other]
    return fold_of


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
