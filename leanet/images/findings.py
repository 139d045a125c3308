"""What was found in a data set before anything was trained, in names, numbers and words."""

import numpy as np

from leanet.images.duplicates import Duplicates
from leanet.images.layout import Item, first_few
from leanet.images.settings import Split


def describe(
    items: list[Item],
    found: Duplicates,
    groups: np.ndarray,
    unread: dict[str, str],
    without: list[str],
    split: Split,
    tested_in: np.ndarray,
) -> dict[str, object]:
    """What stage split found, for the report.

    groups: (N,) the group of each image. unread: why files were left out, by path. without: paths of images in
    which no object was found. tested_in: (N,) the fold of each image, from 0.
    """
    exact, near = ([[items[i].path, items[j].path] for i, j in pairs] for pairs in (found.exact, found.near))
    across = sum(items[i].label != items[j].label for i, j in found.near)
    shared = np.bincount(groups)
    shared = shared[shared > 1]
    masks = sum(item.mask is not None and item.mask not in unread for item in items)
    remarks = _too_few(np.array([item.label for item in items]), tested_in, split)
    if unread:
        remarks.append(f"Left out, since they cannot be used: {first_few(list(unread.values()))}.")
    if masks:
        remarks.append(f"Masks: for {masks} of {sum(item.label for item in items)} anomalous images.")
    remarks += _prepared(items, without, split)
    for kind, pairs in (("Exact", exact), ("Near", near)):
        if pairs:
            remarks.append(
                f"{kind} duplicates, {len(pairs)}: {first_few([' and '.join(pair) for pair in pairs])}."
            )
    if across:
        remarks.append(f"Near duplicates of which one is normal, {across}: look whether they are labelled right.")
    if len(shared):
        told = {
            "together": "each group is tested in one fold",
            "apart": "split.groups: apart lets folds share them, and scores may flatter",
        }
        remarks.append(
            f"Groups of images of one thing, {len(shared)}, with {shared.sum()} images: {told[split.groups]}."
        )
    return {"exact": exact, "near": near, "groups": len(shared), "left_out": unread, "remarks": remarks}


def _too_few(labels: np.ndarray, tested_in: np.ndarray, split: Split) -> list[str]:
    """What the images are too few for."""
    anomalous, folds = len(np.unique(tested_in[labels == 1])), tested_in.max() + 1
    remarks = []
    if anomalous < 2:
        there = "Anomalous images of one group alone" if anomalous else "Normal images alone"
        remarks.append(
            f"{there}: no network learns to tell both classes apart, and how many anomalies are found cannot be "
            "known. The detector is the anomaly map alone."
        )
    if folds < split.folds:
        of = "normal" if anomalous < 2 else "anomalous"
        remarks.append(f"{folds} folds, not {split.folds}: there are no more {of} images, or groups of them.")
    return remarks


def _prepared(items: list[Item], without: list[str], split: Split) -> list[str]:
    """What was done against shortcuts, a sentence each."""
    remarks = []
    given = sum(item.object is not None for item in items)
    if given:
        remarks.append(f"Objects marked by their owner: in {given} of {len(items)} images.")
    if split.background != "keep":
        done = " and the background filled" if split.background == "fill" else ""
        remarks.append(f"Objects found{done}: in {len(items) - len(without)} of {len(items)} images.")
        if without:
            remarks.append(f"No object found, left as they are: {first_few(without)}.")
    if split.white_balance:
        remarks.append("White balance: what surrounds the object, or the border, is made grey.")
    return remarks
