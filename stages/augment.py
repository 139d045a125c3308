"""Stage augment: a Fancy-PCA basis for each colouriser, of its training normals (section 3-1).

Training draws afresh from the basis at every step; nothing augmented is stored.
"""

import json

from leanet.color import fancy_pca
from leanet.color.left_out import colourisers
from leanet.color.settings import TrainUNet
from leanet.core import files, paths
from leanet.images import imageset
from leanet.run import stage


def main(dataset: str, train_unet: TrainUNet) -> None:
    data = imageset.load(paths.split(dataset))
    every = colourisers(data, train_unet.out_of_sample)
    bases = [fancy_pca.fit(data.images[i] for i in data.normals(*left_out)) for left_out in every]
    files.write(paths.basis(dataset), json.dumps([basis.as_lists() for basis in bases], indent=1) + "\n")


if __name__ == "__main__":
    stage.run("augment", main)
