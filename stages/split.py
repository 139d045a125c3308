"""Stage split: sample the imbalanced set, cut it into stratified folds, decode it to one array.

Tables 2 and 4, sections 4-1 and 4-2. What would silently ruin the cross-validation is found here: files that are
no image, and the same picture in two folds or in both classes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from leanet import overview, paths, stage
from leanet.data import duplicates, imageset, layout
from leanet.data.arrayfile import ArrayFile
from leanet.data.decoding import size, write_images, write_masks
from leanet.data.findings import describe
from leanet.data.imageset import sha256
from leanet.data.layout import Item, named
from leanet.data.sampling import assign_folds, sample
from leanet.errors import InputError
from leanet.params import Params, Split


def main(params: Params, dataset: str) -> None:
    wanted, settings = params.datasets[dataset], params.split
    raw = paths.raw(dataset)
    try:
        asked = sample(layout.read(raw), (wanted.negatives, wanted.positives), settings.seed)
    except InputError as error:
        raise InputError(f"params.yaml: datasets.{dataset}: {error}") from None
    with paths.whole(paths.split(dataset)) as folder:
        items, unread = write_images(raw, asked, settings.image_size, folder / "images.npy")
        unread |= write_masks(raw, items, settings.image_size, folder / "masks.npy")
        if unread and settings.undecodable == "stop":
            raise InputError(
                f"{len(unread)} files cannot be used: {named(list(unread.values()))}; mend or remove them in "
                f"{wanted.source}, or set split.undecodable: leave-out in params.yaml"
            )
        images = ArrayFile(folder / "images.npy")
        found = duplicates.find(images)
        duplicates.refuse_both_classes(items, found.exact)
        groups = duplicates.groups(items, found.exact + found.near)
        manifest = write_manifest(raw, items, groups, settings, folder)
        imageset.seal(folder)
    findings = describe(items, found, groups, unread, settings.groups)
    overview.draw(images, manifest, found, paths.preview(dataset, "overview"))
    paths.write(paths.findings(dataset), json.dumps(findings, indent=1) + "\n")
    for line in findings["remarks"]:
        print(f"{dataset}: {line}", file=sys.stderr)


def write_manifest(
    raw: Path, items: list[Item], groups: np.ndarray, settings: Split, folder: Path
) -> pd.DataFrame:
    """Write manifest.csv (leanet.data.imageset), and give it back."""
    labels = np.array([item.label for item in items])
    kept = groups if settings.groups == "together" else np.arange(len(items))
    widths, heights = zip(*(size(raw / item.path) for item in items), strict=True)
    columns = {
        "path": [item.path for item in items],
        "sha256": [sha256(raw / item.path) for item in items],
        "width": widths,
        "height": heights,
        "label": labels,
        "group": groups,
    }
    for repeat in range(settings.repeats):
        columns[f"repeat{repeat + 1}"] = assign_folds(labels, kept, settings.folds, settings.seed + repeat)
    manifest = pd.DataFrame(columns)
    manifest.to_csv(folder / "manifest.csv", index=False)
    return manifest


if __name__ == "__main__":
    stage.run("split", main)
