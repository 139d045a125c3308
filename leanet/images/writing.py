"""A data set's images and masks as arrays, in the order of its manifest."""

import csv
from itertools import chain
from pathlib import Path

import numpy as np

from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.core.files import sha256
from leanet.core.parallel import in_order
from leanet.core.progress import Progress
from leanet.images.decoding import decode_mask, size
from leanet.images.imageset import UNKNOWN
from leanet.images.layout import Item
from leanet.images.preparation import prepare
from leanet.images.reading import read
from leanet.images.settings import Preparation

BATCH = 16  # images that are decoded at once


def write_images(root: Path, items: list[Item], side: int, file: Path) -> tuple[list[Item], dict[str, str]]:
    """Decode `items` under `root` to `file`, an array of uint8 (N, side, side, 3).

    Returns the items that it holds, and by path why the others cannot be decoded.
    """
    reasons = {}
    images = ArrayFile.create(file, np.uint8, (len(items), side, side, 3))
    with Progress(len(items), f"decode {root.name}") as progress:
        batches = read((root / item.path for item in items), side, BATCH, (item.box for item in items))
        for i, image in enumerate(chain.from_iterable(batches)):
            if isinstance(image, InputError):
                reasons[items[i].path] = str(image)
            else:
                images[i] = image
            progress.step()
    if not reasons:
        return items, {}
    good, _ = write_images(root, [item for item in items if item.path not in reasons], side, file)
    return good, reasons


def write_masks(root: Path, items: list[Item], side: int, file: Path) -> dict[str, str]:
    """Decode the masks of `items` to `file`, as leanet.images.imageset reads them; without masks, no file.

    Returns by path why masks cannot be used; where they lie is then as unknown as where there is none.
    """
    reasons = {}
    if not any(item.mask for item in items):
        return reasons
    masks = ArrayFile.create(file, np.uint8, (len(items), side, side))
    anomalous = [i for i, item in enumerate(items) if item.label]
    read_masks = in_order(_mask, ((root, items[i], side) for i in anomalous), ahead=BATCH)
    for i, mask in zip(anomalous, read_masks, strict=True):
        masks[i] = UNKNOWN if mask is None or isinstance(mask, InputError) else mask
        if isinstance(mask, InputError):
            reasons[items[i].mask] = str(mask)
    return reasons


def _mask(root: Path, item: Item, side: int) -> np.ndarray | InputError | None:
    """The mask of an anomalous image, None where it has none, or why it cannot be used."""
    if item.mask is None:
        return None
    try:
        mask = decode_mask(root / item.mask, side, item.box)
    except InputError as error:
        return error
    return mask if mask.any() else InputError(f"{root / item.mask}: marks nothing in an anomalous image")


def prepare_images(
    root: Path, items: list[Item], images: ArrayFile, how: Preparation, file: Path
) -> tuple[list[str], dict[str, str]]:
    """Prepare the images in place (leanet.images.preparation), and write their objects to `file`.

    The objects are uint8 (N, side, side), 1 where the object is, and all over an image without a known one; if no
    object is known, there is no file. Returns the paths of images in which none was found, and by path why masks
    of objects cannot be used.
    """
    reasons: dict[str, str] = {}
    if how.background == "keep" and not how.white_balance and not any(item.object for item in items):
        return [], reasons
    objects = ArrayFile.create(file, np.uint8, images.shape[:3])
    without = []
    with Progress(len(items), f"prepare {root.name}") as progress:
        for i, item in enumerate(items):
            given = None
            if item.object is not None:
                try:
                    given = decode_mask(root / item.object, images.shape[1], item.box)
                except InputError as error:
                    reasons[item.object] = str(error)
            images[i], object_ = prepare(images[i], how, given)
            objects[i] = 1 if object_ is None else object_
            if object_ is None:
                without.append(item.path)
            progress.step()
    if len(without) == len(items):
        file.unlink()
    return without, reasons


def write_manifest(
    root: Path, items: list[Item], groups: np.ndarray, folds: dict[str, np.ndarray], file: Path
) -> None:
    """Write the manifest of leanet.images.imageset, row by row: what is known of the files is not held.

    groups: (N,), the number of each image's group. folds: by column, (N,), the fold that each image is tested in.
    """
    known = in_order(_facts, ((root / item.path,) for item in items), ahead=BATCH)
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["path", "sha256", "width", "height", "label", "group", *folds])
        for item, facts, group, *tested in zip(items, known, groups, *folds.values(), strict=True):
            table.writerow([item.path, *facts, item.label, group, *tested])


def _facts(file: Path) -> tuple[str, int, int]:
    return sha256(file), *size(file)
