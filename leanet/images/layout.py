"""Which images a folder holds, and what is known of each: its class, group and mask.

Three layouts are understood, in this order:

- `images.csv` with the columns path and label and, if wanted, group, mask, object and box; paths are relative to
  the folder, a box is "left top right bottom" in pixels.
- MVTec AD: `train/good`, `test/good` and `test/<defect>`, masks as `ground_truth/<defect>/<name>_mask.png`.
- `Positive/` (anomalous) and `Negative/` (normal), `Mask/` with masks of the same path and stem below it, and
  `Object/Positive/` and `Object/Negative/` with masks of the objects.

Anomalous images may be missing: then it is `Negative/`, `train/good` or such an images.csv alone.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from leanet.core.errors import InputError
from leanet.core.text import UNPRINTABLE, no_formula
from leanet.images.decoding import Box
from leanet.images.reading import SUFFIXES, is_image

CLASSES = ("Negative", "Positive")  # a folder's place is its label: 0 normal, 1 anomalous
MASKS, OBJECTS = "Mask", "Object"
COLUMNS = ("path", "label", "group", "mask", "object", "box")
TABLE = "images.csv"
WORDS = {"0": 0, "1": 1, "normal": 0, "anomalous": 1, "negative": 0, "positive": 1, "good": 0}
MOST_NAMED = 5  # mistakes that one line holds
LONGEST = 255  # bytes of a name that file systems take


@dataclass(frozen=True, slots=True)
class Item:
    """An image of a set; paths are relative to the set's folder, with `/`."""

    path: str
    label: int  # 1 anomalous, 0 normal
    group: str | None = None  # images of one group show one thing, such as a leaf, a plate or a patient
    mask: str | None = None  # where it is anomalous
    object: str | None = None  # a mask of where its object is
    box: Box | None = None  # what is cut out


def read(root: Path) -> list[Item]:
    """The images under `root`, sorted by path.

    Raises:
        InputError: the folder has none of the layouts, no normal image, images.csv does not fit, or a name is none
            that every table and program takes.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "is not there"
        raise InputError(f"{root}: {what}; expected a folder of images")
    if (root / TABLE).is_file():
        found = _table(root)
    elif (root / "train/good").is_dir():
        found = _mvtec(root)
    else:
        found = _classes(root)
    if not any(item.label == 0 for item in found):
        raise InputError(f"{root}: no normal image; expected some, which the colouriser learns from")
    if unfit := [name for name in (str(root), *files(found)) if UNPRINTABLE.search(name)]:
        raise InputError(
            f"{root}: {first_few(unfit)}: expected names of UTF-8 without control characters; rename them"
        )
    return sorted(found, key=lambda item: item.path)


def read_own(root: Path) -> list[Item]:
    """`read`, of a folder that its owner may have put together from links.

    Raises:
        InputError: as `read`; or a link leads out of the folder, where there may be what nobody meant to share.
    """
    items = read(root)
    home = Path(os.path.realpath(root))
    known: set[str] = set()
    for name in (*files(items), TABLE):
        *folders, _ = name.split("/")
        for place in ("/".join(folders[:count]) for count in range(1, len(folders) + 1)):
            if place not in known:
                known.add(place)
                _refuse_way_out(root, place, home)
        _refuse_way_out(root, name, home)
    return items


def files(items: Iterable[Item]) -> Iterator[str]:
    """The paths of images and masks."""
    return (path for item in items for path in (item.path, item.mask, item.object) if path)


def _refuse_way_out(root: Path, name: str, home: Path) -> None:
    place = os.path.join(root, name)
    if os.path.islink(place) and not Path(os.path.realpath(place)).is_relative_to(home):
        raise InputError(
            f"{place}: a link that leads out of {root}, to {os.readlink(place)}; put there what it leads to"
        )


def first_few(mistakes: list[str]) -> str:
    """The first few of `mistakes` as one line."""
    rest = f"; and {len(mistakes) - MOST_NAMED} more" if len(mistakes) > MOST_NAMED else ""
    return "; ".join(mistakes[:MOST_NAMED]) + rest


def _classes(root: Path) -> list[Item]:
    folders = {folder.name.casefold(): folder for folder in root.iterdir() if folder.is_dir()}
    masks, objects = ({_stem(file): file for file in _images(root / of, root / of)} for of in (MASKS, OBJECTS))
    found = []
    for label, name in enumerate(CLASSES):
        folder = folders.get(name.casefold())
        if folder is None and label and not (others := _others(folders)):
            continue  # normal images alone
        if folder is None:
            there = f", but {first_few(others)}" if label else ""
            raise InputError(
                f"{root}: no folder {name}/{there}; expected Positive/ (anomalous) and Negative/ (normal), "
                f"Negative/ alone, MVTec AD's train/good/ and test/, or {TABLE}"
            )
        files = _images(folder, folder)
        if not files and not label:
            raise InputError(f"{folder}: no image; expected files ending in " + ", ".join(sorted(SUFFIXES)))
        for file in files:
            mask = masks.get(_stem(file)) if label else None
            object_ = objects.get(f"{name}/{_stem(file)}")
            found.append(
                Item(
                    f"{folder.name}/{file}",
                    label,
                    mask=None if mask is None else f"{MASKS}/{mask}",
                    object=None if object_ is None else f"{OBJECTS}/{object_}",
                )
            )
    return found


def _others(folders: dict[str, Path]) -> list[str]:
    """Folders of images that no layout knows: one of them may be a Positive/ with a slip of the pen."""
    known = {name.casefold() for name in (*CLASSES, MASKS, OBJECTS)}
    return [
        f"{folder.name}/"
        for name, folder in sorted(folders.items())
        if name not in known and _images(folder, folder)
    ]


def _mvtec(root: Path) -> list[Item]:
    found = []
    for file in _images(root / "train/good", root) + _images(root / "test", root):
        defect = file.split("/")[1]
        if defect == "good":
            found.append(Item(file, 0))
            continue
        mask = f"ground_truth/{defect}/{PurePosixPath(file).stem}_mask.png"
        found.append(Item(file, 1, mask=mask if (root / mask).is_file() else None))
    return found


def _table(root: Path) -> list[Item]:
    file = root / TABLE
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            separator = ";" if ";" in stream.readline() else ","  # spreadsheets write either
            stream.seek(0)
            table = csv.DictReader(stream, delimiter=separator, restkey="", restval="", strict=True)
            columns = table.fieldnames
            rows = [(table.line_num, row) for row in table]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as a CSV file ({' '.join(str(error).split())})") from None
    if columns is None:
        raise InputError(f"{file}: cannot be read as a CSV file (it is empty)")
    if not {"path", "label"} <= set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
        raise InputError(
            f"{file}: has the columns {', '.join(columns)[:LONGEST]}; expected path, label and, if wanted, "
            + ", ".join(COLUMNS[2:])
        )
    found, wrong = [], []
    for line, row in rows:
        if any(row.pop("", [])):
            wrong.append(f"line {line}: more fields than the {len(columns)} columns")
        label = WORDS.get(row["label"].strip().lower())
        if label is None:
            wrong.append(f"line {line}: label is {row['label'][:LONGEST]!r}, expected 0 or normal, 1 or anomalous")
        for column in ("path", "mask", "object"):
            if (value := row.get(column)) and (fault := _path_fault(root, value)):
                wrong.append(f"line {line}: {column} is {value[:LONGEST]!r}, {fault}")
        if not row["path"]:
            wrong.append(f"line {line}: path is empty")
        box = _box(row.get("box", ""))
        if isinstance(box, str):
            wrong.append(f"line {line}: {box}")
            box = None
        path, mask, object_ = (_plain(row.get(column)) for column in ("path", "mask", "object"))
        found.append(Item(path or "", label or 0, row.get("group") or None, mask, object_, box))
    twice = [path for path, count in Counter(item.path for item in found).items() if count > 1 and path]
    wrong += [f"{path} is there twice" for path in twice]
    if wrong:
        raise InputError(f"{file}: {first_few(wrong)}")
    return found


def _box(said: str) -> Box | str | None:
    """A box as integers, None where there is none, or what is wrong with it."""
    if not said:
        return None
    numbers = said.split()
    if len(numbers) == 4 and all(number.isdecimal() for number in numbers):
        left, top, right, bottom = map(int, numbers)
        if left < right and top < bottom:
            return left, top, right, bottom
    return f"box is {said[:LONGEST]!r}, expected left top right bottom in pixels, such as 10 20 110 220"


def _path_fault(root: Path, value: str) -> str | None:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value:
        return "expected a path below the folder, with /"
    if any(len(os.fsencode(part)) > LONGEST for part in path.parts):
        return f"expected names of at most {LONGEST} bytes"
    return None if os.path.isfile(root / path) else "which is not there"


def _plain(path: str | None) -> str | None:
    """One spelling of a path of the table; tables of results, which have it as well, run no formula."""
    return no_formula(PurePosixPath(path).as_posix()) if path else None


def _images(folder: Path, root: Path) -> list[str]:
    """Those below `folder`, relative to `root`, sorted; as text, since Path.rglob holds a Path of each."""
    found = []
    for place, _, names in os.walk(folder):
        within = PurePosixPath(Path(place).relative_to(root).as_posix())
        files = ((within / name).as_posix() for name in names if os.path.isfile(f"{place}/{name}"))
        found += [file for file in files if is_image(file)]
    return sorted(found)


def _stem(file: str) -> str:
    return PurePosixPath(file).with_suffix("").as_posix()
