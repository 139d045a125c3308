"""Stage split: sample the imbalanced set, cut it into stratified folds, decode it to one array.

Tables 2 and 4, sections 4-1 and 4-2.
"""

import numpy as np
import pandas as pd

from leanet import paths, stage
from leanet.data.arrayfile import ArrayFile
from leanet.data.decoding import decode
from leanet.data.images import decode_masks, list_images
from leanet.data.imageset import sha256
from leanet.data.sampling import assign_folds, sample
from leanet.errors import InputError
from leanet.params import Params
from leanet.progress import Progress


def main(params: Params, dataset: str) -> None:
    wanted, settings = params.datasets[dataset], params.split
    raw = paths.raw(dataset)
    try:
        taken = sample(list_images(raw), (wanted.negatives, wanted.positives), settings.seed)
        labels = np.array([label for _, label in taken])
        folds = {
            f"repeat{r + 1}": assign_folds(labels, settings.folds, settings.seed + r)
            for r in range(settings.repeats)
        }
    except InputError as error:
        raise InputError(f"params.yaml: datasets.{dataset}: {error}") from None
    side = settings.image_size
    with paths.whole(paths.split(dataset)) as folder, Progress(len(taken), f"decode {dataset}") as progress:
        images = ArrayFile.create(folder / "images.npy", np.uint8, (len(taken), side, side, 3))
        for i, (path, _) in enumerate(taken):
            images[i] = decode(raw / path, side)
            progress.step()
        manifest = pd.DataFrame(
            {
                "path": [path for path, _ in taken],
                "sha256": [sha256(raw / path) for path, _ in taken],
                "label": labels,
                **folds,
            }
        )
        manifest.to_csv(folder / "manifest.csv", index=False)
        masks = decode_masks(raw, taken, side)
        if masks is not None:
            np.save(folder / "masks.npy", masks)


if __name__ == "__main__":
    stage.run("split", main)
