"""Stage augment: the Fancy-PCA basis of each fold's training normals (section 3-1).

Training draws afresh from the basis at every step; nothing augmented is stored.
"""

import json

from leanet.color import fancy_pca
from leanet.core import files, paths
from leanet.images import imageset
from leanet.run import stage


def main(dataset: str) -> None:
    data = imageset.load(paths.split(dataset))
    bases = [fancy_pca.fit(data.images[i] for i in data.normals(fold)) for fold in data.folds]
    files.write(paths.basis(dataset), json.dumps([basis.as_lists() for basis in bases], indent=1) + "\n")


if __name__ == "__main__":
    stage.run("augment", main)
