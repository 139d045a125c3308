"""What was found in a data set before anything was trained, in names, numbers and words."""

import numpy as np

from leanet.images.duplicates import Duplicates
from leanet.images.layout import Item, first_few


def describe(
    items: list[Item], found: Duplicates, groups: np.ndarray, unread: dict[str, str], kept: str
) -> dict[str, object]:
    """What stage split found, for the report.

    groups: (N,) the group of each image. unread: why files were left out, by path. kept: `split.groups`.
    """
    exact, near = ([[items[i].path, items[j].path] for i, j in pairs] for pairs in (found.exact, found.near))
    across = sum(items[i].label != items[j].label for i, j in found.near)
    shared = np.bincount(groups)
    shared = shared[shared > 1]
    masks = sum(item.mask is not None and item.mask not in unread for item in items)
    remarks = []
    if unread:
        remarks.append(f"Left out, since they cannot be used: {first_few(list(unread.values()))}.")
    if masks:
        remarks.append(f"Masks: for {masks} of {sum(item.label for item in items)} anomalous images.")
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
        remarks.append(f"Groups of images of one thing, {len(shared)}, with {shared.sum()} images: {told[kept]}.")
    return {"exact": exact, "near": near, "groups": len(shared), "left_out": unread, "remarks": remarks}
