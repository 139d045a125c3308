"""`leanet check-images`: whether a folder's classes differ in more than the object, before anybody trains."""

import argparse
from itertools import chain
from pathlib import Path

SIDE = 128  # pixels of an image's side that are looked at
BATCH = 16  # images that are decoded at once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="Positive/ and Negative/, a tree like MVTec AD's, or images.csv")


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from leanet.core.errors import InputError
    from leanet.core.progress import Progress
    from leanet.evaluation import shortcuts
    from leanet.images import duplicates, layout
    from leanet.images.reading import read

    items, images = [], []
    every = layout.read(arguments.folder)
    with Progress(len(every), f"decode {arguments.folder}") as progress:
        batches = read((arguments.folder / item.path for item in every), SIDE, BATCH)
        for item, image in zip(every, chain.from_iterable(batches), strict=True):
            progress.step()
            if isinstance(image, InputError):
                print(f"left out: {image}")
            else:
                items.append(item)
                images.append(image)
    labels = np.array([item.label for item in items])
    files = [arguments.folder / item.path for item in items]
    found = shortcuts.find(files, np.array(images), labels, duplicates.groups(items, []))

    print(f"{arguments.folder}: {labels.sum()} anomalous and {(labels == 0).sum()} normal images")
    print("How well each property alone tells them apart: AUROC, where 0.5 is chance and 1 is always")
    for one in found:
        print(f"  {one.name:16}{one.auroc:.2f}  {'more than chance' if one.is_shortcut else '-'}")
    named = [one.name for one in found if one.is_shortcut]
    if not named:
        print("Nothing here tells the classes apart by more than chance.")
        return
    print(f"More than chance: {', '.join(named)}. A network may win by these without a look at the object.")
    print("Brightness, contrast and sharpness may be the anomaly itself. The rest is how the pictures were taken.")
