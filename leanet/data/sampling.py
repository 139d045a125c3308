"""Which images take part, and which fold each is tested in (sections 4-1, 4-2)."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from leanet.errors import InputError


def sample(
    images: list[tuple[str, int]], counts: tuple[int | None, int | None], seed: int
) -> list[tuple[str, int]]:
    """Take `counts` = (negatives, positives) of `images` at random; None takes all of a class.

    `images` are (path, label) sorted by path, so that a seed means the same images on every file system;
    so are the result's.

    Raises:
        InputError: more are asked for than there are.
    """
    taken = []
    for label, (count, key) in enumerate(zip(counts, ("negatives", "positives"), strict=True)):
        members = [image for image in images if image[1] == label]
        if count is None:
            count = len(members)
        if count > len(members):
            raise InputError(f"{key} is {count}, but the set has only {len(members)}")
        # Each class draws from its own stream: the number of positives does not change the negatives.
        chosen = np.random.default_rng([seed, label]).permutation(len(members))[:count]
        taken += [members[i] for i in chosen]
    return sorted(taken)


def assign_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Stratified k folds: (N,) labels of 0 and 1 to (N,) fold numbers from 0, the fold an image is tested in.

    Raises:
        InputError: a class has fewer images than there are folds.
    """
    for label, name in enumerate(("normal", "anomalous")):
        count = int((labels == label).sum())
        if count < folds:
            raise InputError(f"split.folds is {folds}, but there are only {count} {name} images")
    fold_of = np.empty(len(labels), dtype=np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, tested) in enumerate(splitter.split(labels, labels)):
        fold_of[tested] = fold
    return fold_of


def thin(trained: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Keep `share` of the anomalous images among the indices `trained`, and all normal ones (section 4-4).

    Rounded down as in the paper's implementation; smaller shares are parts of larger ones.

    Raises:
        InputError: none would be left.
    """
    positives = trained[labels[trained] == 1]
    count = int(share * len(positives))
    if count == 0:
        raise InputError(f"sweep.shares: {share} of {len(positives)} training positives leaves none")
    kept = np.random.default_rng(seed).permutation(positives)[:count]
    return np.sort(np.concatenate([trained[labels[trained] == 0], kept]))
