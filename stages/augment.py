"""Stage augment: the Fancy-PCA basis of each fold's training normals, and what its draws look like.

Section 3-1. Training draws afresh from the basis at every step; nothing augmented is stored.
"""

import json

import numpy as np

from leanet import fancy_pca, paths, stage
from leanet.data import imageset
from leanet.params import Params
from leanet.pictures import save_grid


def main(params: Params, dataset: str) -> None:
    data = imageset.load(paths.split(dataset), params.split.image_size)
    bases = [fancy_pca.fit(data.images[i] for i in data.normals(fold)) for fold in data.folds]
    paths.write(paths.basis(dataset), json.dumps([basis.as_lists() for basis in bases], indent=1))

    rng = np.random.default_rng(0)
    shown = data.images[data.normals(0)[:4]] / 255
    alphas = rng.normal(0, params.augment.std, (6, 3))
    draws = [shown] + [(shown + shift).clip(0, 1) for shift in bases[0].shifts(alphas)]
    titles = ["original"] + ["draw"] * len(alphas)
    rows = [list(row) for row in zip(*draws, strict=True)]
    save_grid(paths.preview(dataset, "augment"), rows, titles)


if __name__ == "__main__":
    stage.run("augment", main)
