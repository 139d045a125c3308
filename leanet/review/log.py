"""What people said of images: a line for each word of theirs, and no line is ever changed.

An image is known by the SHA-256 of its file, so that it may be moved or renamed.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from filelock import FileLock

from leanet.core import files
from leanet.core.errors import InputError

NAME = "labels.jsonl"
CLASSES = ("normal", "anomalous")  # by their labels, 0 and 1
Label = Literal["normal", "anomalous", "unsure", "other"]  # other: not of this kind
LABELS = get_args(Label)


@dataclass(frozen=True)
class Said:
    """One word of one person on one image.

    at: when, ISO 8601 in UTC. file: its path in the folder that was looked through. image: its SHA-256. label: of
    LABELS; None takes back what the same person said of it. why: why it was shown (leanet.review.order.Why).
    detector: of its facts, twelve digits of the SHA-256. score, threshold: what that had said. place: where it is
    anomalous, outlines of (x, y) in shares of width and height.
    """

    at: str
    who: str
    file: str
    image: str
    label: str | None
    why: str
    detector: str
    score: float
    threshold: float
    place: list[list[tuple[float, float]]] | None = None

    @property
    def called(self) -> bool:
        """Whether the detector had called it anomalous."""
        return self.score > self.threshold


class Log:
    """A file of such lines, written by several at once, of this machine or another.

    A word is in the file, and on the disk, before `add` returns. What a kill or a full disk leaves of a line is no
    line, and the next one begins behind it.
    """

    def __init__(self, file: Path):
        """file: need not be there."""
        self.file = file
        self._lock = FileLock(file.with_name(f".{file.name}.lock"))

    def add(self, said: Said) -> None:
        """Append one word.

        Raises:
            OSError: it cannot be written; then nothing of it is there.
        """
        line = json.dumps(asdict(said), ensure_ascii=False).encode() + b"\n"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.file.open("ab+") as stream:
            end = stream.seek(0, os.SEEK_END)
            if end:
                stream.seek(end - 1)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            try:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(end)
                raise

    def read(self) -> list[Said]:
        """All words, in the order in which they came.

        Raises:
            InputError: a line that is whole is none of this log.
        """
        if not self.file.exists():
            return []
        *lines, rest = self.file.read_bytes().split(b"\n")
        found = [self._one(at, line) for at, line in enumerate([*lines, rest], start=1)]
        return [each for each in found if each]

    def _one(self, at: int, line: bytes) -> Said | None:
        try:
            tree = files.from_json(line)
        except ValueError:
            return None  # what a kill left of it, and nobody was told that it is there
        if not _is_word(tree):
            raise InputError(f"{self.file}: line {at} is no line of a review")
        return Said(**tree)


def _is_word(tree: object) -> bool:
    """Whether it is what `Log.add` writes, and no path leads out of the folder."""
    if not isinstance(tree, dict) or {field.name for field in fields(Said)} != tree.keys():
        return False
    texts = [tree[name] for name in ("at", "who", "file", "image", "why", "detector")]
    outlines = tree["place"] or []
    return (
        all(isinstance(text, str) for text in texts)
        and tree["label"] in (None, *LABELS)
        and not {"..", "/"} & set(PurePosixPath(tree["file"]).parts)
        and all(_is_share(tree[name]) for name in ("score", "threshold"))
        and isinstance(outlines, list)
        and all(isinstance(outline, list) and len(outline) > 2 for outline in outlines)
        and all(_is_point(point) for outline in outlines for point in outline)
    )


def _is_point(x: object) -> bool:
    return isinstance(x, list) and len(x) == 2 and all(map(_is_share, x))


def _is_share(x: object) -> bool:
    return type(x) in (int, float) and 0 <= x <= 1


def standing(said: Sequence[Said]) -> dict[str, dict[str, Said]]:
    """By image and person, the last word that was not taken back."""
    found: dict[str, dict[str, Said]] = {}
    for each in said:
        of_image = found.setdefault(each.image, {})
        if each.label is None:
            of_image.pop(each.who, None)
        else:
            of_image[each.who] = each
    return {image: by for image, by in found.items() if by}


def agreed(by: dict[str, Said]) -> Said | None:
    """What all who said something of an image say of it, the last of these words; None where they differ."""
    words = sorted(by.values(), key=lambda each: each.at)
    return words[-1] if len({each.label for each in words}) == 1 else None
