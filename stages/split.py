"""Stage split: sample the imbalanced set, cut it into stratified folds, decode it to one array.

Tables 2 and 4, sections 4-1 and 4-2. What would silently ruin the cross-validation is found here: files that are
no image, and the same picture in two folds or in both classes.
"""

import json
import sys
from pathlib import Path

import numpy as np

from leanet.core import files, paths
from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.images import counterfactuals, duplicates, imageset, layout
from leanet.images.findings import describe
from leanet.images.layout import first_few
from leanet.images.sampling import assign_folds, possible_folds, sample
from leanet.images.settings import Dataset, Split
from leanet.images.writing import prepare_images, write_images, write_manifest, write_masks
from leanet.run import stage


def main(dataset: str, datasets: dict[str, Dataset], split: Split) -> None:
    raw = paths.raw(dataset)
    with files.whole(paths.split(dataset)) as folder:
        findings = write(raw, folder, datasets[dataset], split, address=f"datasets.{dataset}")
        # The list of images is gone: the manifest, which is read here, is as large.
        counterfactuals.write(imageset.read(folder), split.border, split.seed, folder)
        files.write(folder / "findings.json", json.dumps(findings, indent=1) + "\n")
        imageset.seal(folder)
    for line in findings["remarks"]:
        print(f"{dataset}: {line}", file=sys.stderr)


def write(raw: Path, folder: Path, asked: Dataset, split: Split, *, address: str) -> dict:
    """Write images, masks, objects and manifest of the images in `raw` to `folder`; what is to be said of them.

    address: of `asked` in params.yaml.
    """
    try:
        sampled = sample(layout.read(raw), (asked.negatives, asked.positives), split.seed)
    except InputError as error:
        raise InputError(f"params.yaml: {address}: {error}") from None
    items, unread = write_images(raw, sampled, split.image_size, folder / "images.npy")
    unread |= write_masks(raw, items, split.image_size, folder / "masks.npy")
    images = ArrayFile(folder / "images.npy", "r+b")
    found = duplicates.find(images)
    duplicates.refuse_both_classes(items, found.exact)
    groups = duplicates.groups(items, found.exact + found.near)
    without, unusable = prepare_images(raw, items, images, split.preparation, folder / "objects.npy")
    unread |= unusable
    if unread and split.undecodable == "stop":
        raise InputError(
            f"{len(unread)} files cannot be used: {first_few(list(unread.values()))}; mend or remove them in "
            f"{asked.source}, or set split.undecodable: leave-out in params.yaml"
        )
    labels = np.array([item.label for item in items])
    kept = groups if split.groups == "together" else np.arange(len(items))
    try:
        folds = possible_folds(labels, kept, split.folds)
    except InputError as error:
        raise InputError(f"{asked.source}: {error}") from None
    tested_in = {
        f"repeat{repeat + 1}": assign_folds(labels, kept, folds, split.seed + repeat)
        for repeat in range(split.repeats)
    }
    write_manifest(raw, items, groups, tested_in, folder / "manifest.csv")
    return describe(items, found, groups, unread, without, split, tested_in["repeat1"])


if __name__ == "__main__":
    stage.run("split", main)
