"""Where a data set comes from: a folder of the user's own, or a description of one to draw.

Both end as the same layout: `Positive/` (anomalous), `Negative/` (normal) and, where the set has
ground truth, `Mask/` with one mask for each positive, of the same file stem.
"""

import shutil
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from leanet.data import leaf
from leanet.data.images import CLASSES, MASKS, list_images
from leanet.errors import InputError
from leanet.progress import Progress


def fetch(source: Path, to: Path) -> None:
    """Bring the data set that `source` names into the empty folder `to`.

    Raises:
        InputError: the source is no such folder, or no such description.
    """
    if source.is_dir():
        _copy(source, to)
    else:
        _draw(source, to)


def _copy(source: Path, to: Path) -> None:
    names = [name for name, _ in list_images(source)]
    masks = source / MASKS
    if masks.is_dir():
        names += sorted(f.relative_to(source).as_posix() for f in masks.rglob("*") if f.is_file())
    with Progress(len(names), f"copy {source}") as progress:
        for name in names:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, to / name)
            progress.step()


def _draw(source: Path, to: Path) -> None:
    recipe = yaml.safe_load(source.read_text(encoding="utf-8"))
    keys = {"draw", "positives", "negatives", "side", "seed"}
    if not isinstance(recipe, dict) or recipe.keys() != keys or recipe["draw"] != "leaf":
        raise InputError(f"{source}: expected the keys {', '.join(sorted(keys))}, with draw: leaf")
    for key in keys - {"draw"}:
        least = {"seed": 0, "side": 16}.get(key, 1)
        if not isinstance(recipe[key], int) or recipe[key] < least:
            raise InputError(f"{source}: {key} is {recipe[key]!r}, expected a whole number of at least {least}")
    for folder in (*CLASSES, MASKS):
        (to / folder).mkdir()
    counts = recipe["negatives"], recipe["positives"]
    with Progress(sum(counts), "draw leaves") as progress:
        for label, count in enumerate(counts):
            for i in range(count):
                rng = np.random.default_rng([recipe["seed"], label, i])
                drawn = leaf.draw(rng, recipe["side"], anomalous=bool(label))
                Image.fromarray(drawn.image).save(to / CLASSES[label] / f"{i:05d}.png")
                if label:
                    Image.fromarray(drawn.lesions).save(to / MASKS / f"{i:05d}.png")
                progress.step()
