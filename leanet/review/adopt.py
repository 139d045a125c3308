"""From the log of a review to the images.csv of a data set: planned in whole, then done in whole.

What lies in the data set's folder stays where it is. Other images are copied to REVIEWED in it, named by their
SHA-256: a second run finds them there, and does nothing twice. images.csv is written last, in one step.
"""

import csv
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from PIL import Image, ImageDraw

from leanet.core import files
from leanet.core.errors import InputError
from leanet.core.text import UNPRINTABLE, printable
from leanet.images import layout
from leanet.images.decoding import picture
from leanet.images.layout import COLUMNS, TABLE, Item
from leanet.images.reading import is_image
from leanet.review.log import CLASSES, Log, Said, agreed, standing

REVIEWED = "reviewed"
MASKS = f"{REVIEWED}/masks"
MASK = 1024  # pixels of a mask's longer side, at most


@dataclass(frozen=True)
class Plan:
    """What adopting a log would do to the data set in `root`.

    items: all that images.csv would list. added, relabelled: of these, what is new, and what has another label
    now. copies: from a file to its place in the data set. masks: by the mask's path, the image and outlines of the
    place in it. left: why an image is left out, a line each. contradictions: what has to be settled first.
    """

    root: Path
    items: list[Item]
    added: list[Item] = field(default_factory=list)
    relabelled: list[tuple[Item, Said]] = field(default_factory=list)
    copies: dict[Path, str] = field(default_factory=dict)
    masks: dict[str, tuple[Path, list]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What would change, before it does."""
        lines = [*self.left]
        lines += [f"{item.path}: new, {CLASSES[item.label]}{_of(item)}" for item in self.added]
        lines += [
            f"{item.path}: {CLASSES[1 - item.label]} becomes {CLASSES[item.label]} ({said.who}, {said.at[:10]})"
            for item, said in self.relabelled
        ]
        new = [sum(item.label == label for item in self.added) for label in (1, 0)]
        lines.append(
            f"{self.root / TABLE}: images: {len(self.items)}; new: {new[0]} anomalous, {new[1]} normal; "
            f"with another label: {len(self.relabelled)}; files to copy: {len(self.copies)}"
        )
        if not (self.root / TABLE).exists():
            lines.append(
                f"{TABLE} is made anew, and takes the place of what the folders say: it lists all of them"
            )
        return "\n".join(map(printable, lines))

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.added or self.relabelled)


def plan(log: Log, folder: Path, root: Path, *, group_by_folder: bool = False) -> Plan:
    """What to do to the data set in `root` with what `log` says of the images in `folder`.

    group_by_folder: whether new images of one folder below `folder` show one thing.

    Raises:
        InputError: `root` is no data set, or the log is none.
    """
    items = layout.read_own(root)
    there = {files.sha256(root / item.path): item for item in items}
    planned = Plan(root, list(items))
    places = {item.path: at for at, item in enumerate(items)}
    moved: dict[str, Path] = {}
    silent = {"unsure": 0, "other": 0}
    stands = standing(log.read())
    for image in sorted(stands, key=lambda each: min(said.file for said in stands[each].values())):
        by = stands[image]
        said = agreed(by)
        if said is None:
            words = ", ".join(f"{who} says {each.label}" for who, each in sorted(by.items()))
            planned.contradictions.append(f"{min(each.file for each in by.values())}: {words}")
            continue
        if said.label not in CLASSES:
            silent[said.label] += 1
            continue
        label = CLASSES.index(said.label)
        if known := there.get(image):
            _known(planned, known, said, label, places, itself=_is_itself(folder / said.file, root / known.path))
            continue
        file = _where(folder, said, moved)
        if file is None:
            planned.left.append(f"{said.file}: is gone, or has changed since {said.who} saw it; left out")
        elif UNPRINTABLE.search(said.file):
            planned.left.append(f"{said.file}: has a name that no table takes; left out")
        else:
            _new(planned, file, said, label, folder if group_by_folder else None)
    planned.left.extend(f"images that are {label}: {count}; left out" for label, count in silent.items() if count)
    return planned


def _known(planned: Plan, item: Item, said: Said, label: int, places: dict[str, int], *, itself: bool) -> None:
    """Of an image that the data set has already."""
    if item.label == label:
        planned.left.append(f"{said.file}: is in the data set already, as {item.path}, {CLASSES[label]}")
    elif itself:
        changed = replace(item, label=label)
        planned.items[places[item.path]] = changed
        planned.relabelled.append((changed, said))
    else:
        planned.contradictions.append(
            f"{said.file}: {said.who} says {said.label}, but the data set has the same image as {item.path}, "
            f"{CLASSES[item.label]}: `leanet review {planned.root}` and `leanet adopt {planned.root}` change that"
        )


def _new(planned: Plan, file: Path, said: Said, label: int, groups_of: Path | None) -> None:
    home = Path(os.path.realpath(planned.root))
    real = Path(os.path.realpath(file))
    if real.is_relative_to(home):
        path = real.relative_to(home).as_posix()
    else:
        path = f"{REVIEWED}/{said.image[:12]}-{PurePosixPath(said.file).name}"
        if not (planned.root / path).exists() or files.sha256(planned.root / path) != said.image:
            planned.copies[file] = path
    group = None
    if groups_of and len(PurePosixPath(said.file).parts) > 1:
        group = f"{groups_of.name}/{PurePosixPath(said.file).parent.as_posix()}"
    mask = None
    if label and said.place:
        mask = f"{MASKS}/{said.image[:12]}.png"
        planned.masks[mask] = file, said.place
    item = Item(path, label, group, mask)
    planned.items.append(item)
    planned.added.append(item)


def _is_itself(file: Path, other: Path) -> bool:
    return file.exists() and file.samefile(other)


def _where(folder: Path, said: Said, moved: dict[str, Path]) -> Path | None:
    """The file of an image, where it was or wherever it was moved to below the folder; None where it is gone."""
    file = folder / said.file
    if file.is_file() and files.sha256(file) == said.image:
        return file
    if not moved:  # read all once
        every = [path for path in sorted(folder.rglob("*")) if is_image(path.relative_to(folder))]
        moved |= {files.sha256(path): path for path in every if path.is_file()} or {"": folder}
    return moved.get(said.image)


def _of(item: Item) -> str:
    return (f", group {item.group}" if item.group else "") + (", with its place" if item.mask else "")


def do(planned: Plan) -> None:
    """Copy, then write the table.

    Raises:
        InputError: there are contradictions.
        OSError: the disk does not take it; images.csv is then as it was.
    """
    if planned.contradictions:
        raise InputError(f"{planned.contradictions[0]}; nothing was changed")
    for file, path in planned.copies.items():
        to = planned.root / path
        to.parent.mkdir(parents=True, exist_ok=True)
        with files.whole_file(to) as part:
            shutil.copyfile(file, part)
    for path, (file, place) in planned.masks.items():
        to = planned.root / path
        to.parent.mkdir(parents=True, exist_ok=True)
        with files.whole_file(to) as part:
            _mask(file, place).save(part, "PNG")
    files.write(planned.root / TABLE, _table(planned.items))


def _mask(file: Path, place: Sequence) -> Image.Image:
    """White where the image is anomalous, black elsewhere, in the image's proportions."""
    width, height = picture(file, MASK).size
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for outline in place:
        draw.polygon([(x * width, y * height) for x, y in outline], fill=255)
    return mask


def _table(items: Sequence[Item]) -> str:
    """images.csv of these, with the columns that are needed."""
    rows = [
        {
            "path": item.path,
            "label": CLASSES[item.label],
            "group": item.group or "",
            "mask": item.mask or "",
            "object": item.object or "",
            "box": " ".join(map(str, item.box)) if item.box else "",
        }
        for item in items
    ]
    columns = [name for name in COLUMNS if name in COLUMNS[:2] or any(row[name] for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
