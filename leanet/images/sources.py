"""Where a data set comes from: a folder of the user's own, or a YAML file that describes a published one to
download or a made-up one to draw.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from PIL import Image

from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.core.settings import Count, Rule, Seed, parse, read
from leanet.core.text import printable
from leanet.images import catalogue, duplicates, layout, leaf
from leanet.images.layout import CLASSES, MASKS, TABLE, Item, first_few
from leanet.images.sampling import possible_folds, sample
from leanet.images.settings import Dataset, Split


@dataclass(frozen=True)
class Drawing:
    """Made-up leaves (leanet.images.leaf)."""

    draw: Literal["leaf"]
    positives: Count
    negatives: Count
    side: Annotated[int, Rule("a whole number of at least 16", lambda n: n >= 16)]  # pixels
    seed: Seed
    difficulty: leaf.Difficulty = "easy"

    @property
    def counts(self) -> tuple[int, int]:
        """Normal and anomalous images."""
        return self.negatives, self.positives


def named(name: str) -> Path:
    """The file that describes the published or made-up set `name`.

    Raises:
        InputError: there is none.
    """
    known = catalogue.descriptions()
    if name not in known:
        hint = f"; a folder comes second: `leanet use NAME {name}`" if Path(name).is_dir() else ""
        raise InputError(f"there is no data set {name}{catalogue.near(name, known)}{hint}")
    return known[name]


def paper_counts(source: Path) -> tuple[int, int] | None:
    """How many normal and anomalous images the paper took of the published set; None for other sources."""
    tree = None if source.is_dir() else parse(source)
    if not catalogue.describes_one(tree):
        return None
    paper = read(catalogue.Entry, tree, source).paper
    return paper.negatives, paper.positives


def check(dataset: Dataset, split: Split) -> tuple[int, int]:
    """Make sure, before anything is copied or decoded, that `dataset` can be sampled and cut into folds.

    Returns how many normal and anomalous images of it take part.

    Raises:
        InputError: more images are asked for than there are, or there are too few groups of normal images.
    """
    items = _sample(dataset, split.seed)
    labels = np.array([item.label for item in items])
    together = split.groups == "together"
    groups = duplicates.groups(items, []) if together else np.arange(len(items))
    possible_folds(labels, groups, split.folds)
    return int((labels == 0).sum()), int(labels.sum())


def _sample(dataset: Dataset, seed: int) -> list[Item]:
    """The images that take part; of a set that is not here yet, as many without names."""
    source = Path(dataset.source)
    if source.suffix != ".yaml":
        items = layout.read_own(source)
    else:
        tree = parse(source)
        described = catalogue.Entry if catalogue.describes_one(tree) else Drawing
        counts = read(described, tree, source).counts
        items = [Item(f"{label}/{i}", label) for label, count in enumerate(counts) for i in range(count)]
    return sample(items, (dataset.negatives, dataset.positives), seed)


def fetch(source: Path, to: Path) -> None:
    """Bring the data set that `source` names into the empty folder `to`, in a layout of leanet.images.layout.

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
    names = {PurePosixPath(name).as_posix() for name in layout.files(layout.read_own(source))}
    if (source / TABLE).is_file():
        names.add(TABLE)
    there = (file for file in source.rglob("*") if file.is_file() or file.is_symlink())
    if rest := {file.relative_to(source).as_posix() for file in there} - names:
        print(
            f"{source}: left aside, as no image of the set: {printable(first_few(sorted(rest)))}", file=sys.stderr
        )
    with Progress(len(names), f"copy {source}") as progress:
        for name in sorted(names):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, to / name)
            progress.step()


def _draw(drawing: Drawing, to: Path) -> None:
    for folder in (*CLASSES, MASKS):
        (to / folder).mkdir()
    with Progress(sum(drawing.counts), "draw leaves") as progress:
        for label, count in enumerate(drawing.counts):
            for i in range(count):
                rng = np.random.default_rng([drawing.seed, label, i])
                drawn = leaf.draw(rng, drawing.side, anomalous=bool(label), difficulty=drawing.difficulty)
                Image.fromarray(drawn.image).save(to / CLASSES[label] / f"{i:05d}.png")
                if label:
                    Image.fromarray(drawn.lesions).save(to / MASKS / f"{i:05d}.png")
                progress.step()
