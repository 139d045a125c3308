"""Published data sets: where they are, what they hold, and under which terms (sections 4-1, Table 2)."""

import difflib
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.core.settings import Count, Rule, parse, read
from leanet.images import archives, figshare
from leanet.images.download import Remote, download, record
from leanet.images.layout import CLASSES, MASKS
from leanet.images.reading import is_image


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


Pattern = Annotated[str, Rule("a regular expression", _is_pattern)]


@dataclass(frozen=True)
class Archive:
    """One archive with the set's images in it."""

    file: str  # its name in data/downloads
    addresses: list[str]  # the same bytes at each; with `figshare`, an article in figshare's API
    page: str  # for people
    size: Count | None = None  # bytes
    sha256: str | None = None
    md5: str | None = None
    figshare: Pattern | None = None  # that one file of the article has in its name


@dataclass(frozen=True)
class Counts:
    """Images of both classes."""

    positives: Count
    negatives: Count


@dataclass(frozen=True)
class Licence:
    """Under which terms the images may be used."""

    name: str
    page: str
    ask: bool  # whether the user must agree to them first


@dataclass(frozen=True)
class Entry:
    """A published set. Folders are matched by the end of their path in the archive, since prefixes differ."""

    title: str
    images: str  # what they show
    archives: list[Archive]  # tried in turn: any one of them has all images
    positive: dict[str, Count]  # folders of anomalous images, and how many are in each
    negative: dict[str, Count]  # of normal ones
    paper: Counts  # Table 2: how many the paper took
    licence: Licence
    citation: str
    masks: str | None = None  # folder of masks <last part of the image's folder>/<image's stem>_mask
    unverified: list[str] | None = None  # what no reliable source says

    @property
    def counts(self) -> tuple[int, int]:
        """Normal and anomalous images in the archive."""
        return sum(self.negative.values()), sum(self.positive.values())

    @property
    def available(self) -> dict[str, int]:
        """Images of both classes in the archive."""
        negatives, positives = self.counts
        return {"positives": positives, "negatives": negatives}


def descriptions() -> dict[str, Path]:
    """The files of data/sources that describe data sets, by the sets' names.

    Raises:
        InputError: there is no such folder.
    """
    if not paths.SOURCES.is_dir():
        raise InputError(f"{paths.SOURCES}: not found; run from the project's root")
    return {file.stem: file for file in sorted(paths.SOURCES.glob("*.yaml"))}


def entries() -> dict[str, Entry]:
    """All published sets of data/sources, by name."""
    trees = {file: parse(file) for file in descriptions().values()}
    return {file.stem: read(Entry, tree, file) for file, tree in trees.items() if describes_one(tree)}


def entry(name: str) -> Entry:
    """The published set `name`.

    Raises:
        InputError: there is none.
    """
    known = entries()
    if name not in known:
        raise InputError(f"there is no published set {name}{near(name, known)}")
    return known[name]


def near(name: str, known: Iterable[str]) -> str:
    """What to say of a set that is not among the `known`."""
    if close := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}, or give a folder"


def describes_one(tree: object) -> bool:
    """Whether the content of a YAML file is the description of a published set."""
    return isinstance(tree, dict) and "archives" in tree


def accept(entry: Entry) -> None:
    """Remember that the user agrees to the licence of `entry`."""
    paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
    with paths.ACCEPTED.open("a", encoding="utf-8") as file:
        file.write(f"{entry.licence.page}\n")


def is_accepted(entry: Entry) -> bool:
    """Whether the licence of `entry` asks for nothing, or the user has agreed to it."""
    if not entry.licence.ask:
        return True
    return (
        paths.ACCEPTED.exists() and entry.licence.page in paths.ACCEPTED.read_text(encoding="utf-8").splitlines()
    )


def fetch(name: str, entry: Entry, to: Path) -> None:
    """Download the set and unpack its images to the empty folder `to`, as Positive/, Negative/ and Mask/.

    Raises:
        InputError: the licence is not accepted, no archive can be had, or it does not hold what is expected.
    """
    if not is_accepted(entry):
        _ask(name, entry)
    remote = _download(entry)
    archive = paths.DOWNLOADS / remote.file
    try:
        archives.unpack(archive, to, lambda member: _place(entry, member))
        _check(name, entry, archive, to)
    except InputError as error:
        raise InputError(f"{error}; if it is a wrong file, remove {archive} to download it again") from None
    record(remote, paths.DOWNLOADS, paths.FIRST_SEEN)


def _ask(name: str, entry: Entry) -> None:
    terms = f"{entry.title} is under {entry.licence.name}, see {entry.licence.page}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(f"{terms}; if you agree to it, run `leanet datasets --accept {name}` first")
    print(f"{terms}. Do you agree to it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError(f"{entry.title}: not downloaded, since its licence was not agreed to")
    accept(entry)


def _download(entry: Entry) -> Remote:
    """The archive that is there, right or the user's to mend, or else the first that can be had."""
    there = [archive for archive in entry.archives if (paths.DOWNLOADS / archive.file).exists()]
    reasons = []
    for archive in there or entry.archives:
        try:
            remote = _remote(archive)
            download(remote, paths.DOWNLOADS, paths.FIRST_SEEN)
            return remote
        except InputError as reason:
            reasons.append(str(reason))
    raise InputError("; or ".join(reasons))


def _remote(archive: Archive) -> Remote:
    addresses, size, md5 = archive.addresses, archive.size, archive.md5
    if archive.figshare and not (paths.DOWNLOADS / archive.file).exists():
        address, size, md5 = figshare.listed(addresses[0], archive.figshare)
        addresses = [address]
    return Remote(archive.file, tuple(addresses), archive.page, size, archive.sha256, md5)


def _place(entry: Entry, member: str) -> str | None:
    """Where a file of the archive belongs below the set's folder; None if it is no image of the set."""
    if not is_image(member):
        return None
    path = PurePosixPath(member)
    for label, folders in enumerate((entry.negative, entry.positive)):
        for folder in folders:
            if _ends_with(path.parent, folder):
                return f"{CLASSES[label]}/{folder}/{path.name}"
    if entry.masks and path.stem.endswith("_mask"):
        for folder in entry.positive:
            defect = PurePosixPath(folder).name
            if _ends_with(path.parent, f"{entry.masks}/{defect}"):
                return f"{MASKS}/{folder}/{path.stem.removesuffix('_mask')}{path.suffix}"
    return None


def _ends_with(folder: PurePosixPath, end: str) -> bool:
    parts = PurePosixPath(end).parts
    return folder.parts[-len(parts) :] == parts


def _check(name: str, entry: Entry, archive: Path, to: Path) -> None:
    wrong = []
    for label, folders in enumerate((entry.negative, entry.positive)):
        root = to / CLASSES[label]
        found = Counter(file.parent.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
        wrong += [
            f"{found[folder]} images in {folder}, expected {count}"
            for folder, count in folders.items()
            if found[folder] != count
        ]
    if not wrong:
        return
    said = f"{archive}: {'; '.join(wrong)} (by {paths.SOURCES / name}.yaml)"
    if "counts" not in (entry.unverified or []):
        changed = "if the publisher has changed the set, change the counts there"
        raise InputError(f"{said}; {changed if any(to.iterdir()) else 'is it the archive of another set?'}")
    print(f"warning: {said}, which no reliable source says", file=sys.stderr)
