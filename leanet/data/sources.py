"""Where a data set comes from: a folder of the user's own, or a YAML file that describes a published one to
download or a made-up one to draw.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import Image

from leanet.data import catalogue, layout, leaf
from leanet.data.layout import CLASSES, MASKS, TABLE, named
from leanet.progress import Progress
from leanet.schema import Count, Rule, Seed, parse, read


@dataclass(frozen=True)
class Drawing:
    """Made-up leaves (leanet.data.leaf)."""

    draw: Literal["leaf"]
    positives: Count
    negatives: Count
    side: Annotated[int, Rule("a whole number of at least 16", lambda n: n >= 16)]  # pixels
    seed: Seed


def fetch(source: Path, to: Path) -> None:
    """Bring the data set that `source` names into the empty folder `to`, in a layout of leanet.data.layout.

    Raises:
        InputError: the source is no such folder, no such description, or cannot be had.
    """
    if source.is_dir():
        _copy(source, to)
        return
    tree = parse(source)
    if catalogue.describes_one(tree):
        catalogue.fetch(source.stem, read(catalogue.Entry, tree, source), to)
    else:
        _draw(read(Drawing, tree, source), to)


def _copy(source: Path, to: Path) -> None:
    items = layout.read(source)
    names = [item.path for item in items] + [item.mask for item in items if item.mask]
    if (source / TABLE).is_file():
        names.append(TABLE)
    rest = {file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()} - set(names)
    if rest:
        print(f"{source}: left aside, as no image of the set: {named(sorted(rest))}", file=sys.stderr)
    with Progress(len(names), f"copy {source}") as progress:
        for name in names:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, to / name)
            progress.step()


def _draw(drawing: Drawing, to: Path) -> None:
    for folder in (*CLASSES, MASKS):
        (to / folder).mkdir()
    counts = drawing.negatives, drawing.positives
    with Progress(sum(counts), "draw leaves") as progress:
        for label, count in enumerate(counts):
            for i in range(count):
                rng = np.random.default_rng([drawing.seed, label, i])
                drawn = leaf.draw(rng, drawing.side, anomalous=bool(label))
                Image.fromarray(drawn.image).save(to / CLASSES[label] / f"{i:05d}.png")
                if label:
                    Image.fromarray(drawn.lesions).save(to / MASKS / f"{i:05d}.png")
                progress.step()
