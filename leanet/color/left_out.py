"""Which folds each colouriser never sees, and which colouriser makes which map (section 3-1).

In the paper a fold's colouriser has seen its training normals and not its test images: maps of the two differ by
more than the label. Out of sample, a colouriser leaves out a pair of folds {i, j}. For fold i, its networks train
on maps of images that the maps' colouriser has never seen, as they will be tested.
With two folds nothing would be left to train on: there, maps are always as in the paper.
"""

from itertools import combinations

import numpy as np

from leanet.images.imageset import ImageSet

LeftOut = tuple[int, ...]  # folds, in ascending order


def colourisers(data: ImageSet, out_of_sample: bool) -> list[LeftOut]:
    """All colourisers of a set, by the folds that each leaves out."""
    if not _paired(data, out_of_sample):
        return [(fold,) for fold in data.folds]
    count = data.folds_per_repeat
    return [pair for start in data.folds[::count] for pair in combinations(range(start, start + count), 2)]


def of_tested(data: ImageSet, fold: int, out_of_sample: bool) -> LeftOut:
    """The colouriser of the images tested in `fold`. Out of sample, several have never seen them; one is taken."""
    if not _paired(data, out_of_sample):
        return (fold,)
    count = data.folds_per_repeat
    start = fold - fold % count
    return tuple(sorted((fold, start + (fold + 1 - start) % count)))


def makers(data: ImageSet, out_of_sample: bool) -> np.ndarray:
    """For the networks of each fold, the colouriser of each image's map: (folds, N), places in `colourisers`."""
    place = {left_out: i for i, left_out in enumerate(colourisers(data, out_of_sample))}
    made_by = np.empty((len(data.folds), len(data.labels)), int)
    for fold in data.folds:
        made_by[fold] = place[of_tested(data, fold, out_of_sample)]
        if _paired(data, out_of_sample):
            tested_in = data.tested_in(fold // data.folds_per_repeat)
            for other in np.unique(tested_in[tested_in != fold]):
                made_by[fold, tested_in == other] = place[tuple(sorted((fold, int(other))))]
    return made_by


def _paired(data: ImageSet, out_of_sample: bool) -> bool:
    return out_of_sample and data.folds_per_repeat > 2


def name(left_out: LeftOut) -> str:
    """Of the colouriser's file: fold3, or folds3-4."""
    return f"fold{'s' if len(left_out) > 1 else ''}{'-'.join(map(str, left_out))}"
