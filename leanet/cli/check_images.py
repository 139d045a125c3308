"""`leanet check-images`: whether a folder's classes differ in more than the object, before anybody trains."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

FEW = 20  # images of a class
SIDE = 128  # pixels of an image's side that are looked at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--white-balance", action="store_true", help="what split.white_balance: true would leave")
    parser.add_argument("--fill", action="store_true", help="what split.background: fill would leave")
    parser.add_argument("folder", type=Path, help="Positive/ and Negative/, a tree like MVTec AD's, or images.csv")


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from leanet.core.arrays import ArrayFile
    from leanet.evaluation import shortcuts
    from leanet.images import duplicates, layout
    from leanet.images.settings import Preparation
    from leanet.images.writing import prepare_images, write_images

    root = arguments.folder
    with TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        items, unread = write_images(root, layout.read_own(root), SIDE, file)
        for reason in unread.values():
            print(f"left out: {reason}")
        images = ArrayFile(file, "r+b")
        pairs = duplicates.find(images)
        labels = np.array([item.label for item in items])
        groups = duplicates.groups(items, pairs.exact + pairs.near)
        how = Preparation(shortcuts.BORDER, arguments.white_balance, "fill" if arguments.fill else "keep")
        objects = file.with_name("objects.npy")
        without, unusable = prepare_images(root, items, images, how, objects)
        for reason in unusable.values():
            print(f"left out: {reason}")
        objects = ArrayFile(objects) if objects.exists() else None
        found = shortcuts.find([root / item.path for item in items], images, labels, groups, objects)

    if arguments.fill and without:
        print(f"no object found, left as they are: {layout.first_few(without)}")
    print(f"{root}: {labels.sum()} anomalous and {(labels == 0).sum()} normal images")
    print("How well each property alone tells them apart: AUROC, where 0.5 is chance and 1 is always")
    for one in found:
        print(f"  {one.name:20}{one.auroc:.2f}  {'more than chance' if one.is_shortcut else '-'}")
    named = [one.name for one in found if one.is_shortcut]
    if not named:
        print("Nothing here tells the classes apart by more than chance.")
        if min(np.bincount(labels)) < FEW:
            print("There are few images: a shortcut may stay unseen.")
        return
    print(f"More than chance: {', '.join(named)}. A network may win by these without a look at the object.")
    print(
        "Brightness, contrast, sharpness and the object's size may be the anomaly itself, and where the background"
    )
    print("is filled, the border is the object's. The rest is how the pictures were taken.")
    if not arguments.fill:
        print("Try --fill: it shows what is left if only the object is seen (docs/shortcuts.md).")
