"""The answer of `leanet compare` as text, Markdown and JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from leanet.core.text import markdown as escaped
from leanet.evaluation.comparison import Comparison
from leanet.evaluation.scores import THRESHOLD, Figure
from leanet.report.table import Table
from leanet.report.tables import title
from leanet.revisions import changes
from leanet.revisions.revision import Revision
from leanet.revisions.versus import KINDS, SCORES, Difference, Versus, versus

MOST = 10  # names in a list of a text


@dataclass(frozen=True)
class Section:
    """A heading, lines below it, and a table."""

    title: str
    lines: list[str] = field(default_factory=list)
    table: Table | None = None


@dataclass(frozen=True)
class Compared:
    """Two states of the project."""

    before: Revision
    after: Revision

    @cached_property
    def params(self) -> dict[str, tuple[object, object]]:
        return changes.params(self.before, self.after)

    @cached_property
    def code(self) -> dict[str, list[str]]:
        return changes.code(self.before, self.after)

    @cached_property
    def sets(self) -> list[Versus]:
        return versus(self.before, self.after)

    @property
    def sections(self) -> list[Section]:
        """The whole answer."""
        return [*self.overview, *(part for set_ in self.sets for part in _sides(set_))]

    @property
    def overview(self) -> list[Section]:
        """What changed, then each data set, without its images."""
        both = (self.before, self.after)
        head = [*(f"{each}: {each.said}" for each in both), *(stale(each) for each in both if each.stale)]
        return [
            Section(f"{self.after} against {self.before}", head),
            Section("What changed", self.changed),
            *map(_set, self.sets),
        ]

    @property
    def changed(self) -> list[str]:
        """What differs besides results, a line each."""
        lines = [f"{key}: {_value(old)} → {_value(new)}" for key, (old, new) in self.params.items()]
        lines += [f"{path}, the code of {', '.join(stages)}" for path, stages in self.code.items()]
        for set_ in self.sets:
            lines += [f"{set_.dataset}: {line}" for line in _images(set_.images)]
        for name in set(self.before.params["datasets"]) ^ set(self.after.params["datasets"]):
            there = self.after if name in self.after.params["datasets"] else self.before
            lines.append(f"data set {name}: only in {there}")
        return lines or ["nothing: neither settings, nor code, nor images"]

    @property
    def tree(self) -> dict:
        """All of it for JSON."""
        return {
            "before": _revision(self.before),
            "after": _revision(self.after),
            "params": {key: {"before": old, "after": new} for key, (old, new) in self.params.items()},
            "code": self.code,
            "datasets": {set_.dataset: _tree(set_) for set_ in self.sets},
        }


def stale(revision: Revision) -> str:
    """That what is there was not made by what is there."""
    many = ", ".join(revision.stale[:MOST]) + (", …" if len(revision.stale) > MOST else "")
    return f"{revision} is out of date: `dvc repro` there would run {many} again"


def _names(names: Iterable[str]) -> str:
    """The first few of them, and how many more."""
    names = list(names)
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")


def _value(value: object) -> str:
    """A setting as people write it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def counted(images: int) -> str:
    return f"{images} image{'s' * (images != 1)}"


def _images(images: changes.Images) -> list[str]:
    """What became of the images of a data set, a line each."""
    lines = []
    for word, names in (("added", images.added), ("removed", images.removed)):
        if names:
            lines.append(f"{counted(len(names))} {word}: {_names(names)}")
    if count := len(images.relabelled):
        said = (
            f"{image[0]} (now {KINDS[image[1]]})"
            for image in images.relabelled[["path after", "label after"]].values
        )
        lines.append(f"{counted(count)} relabelled: {_names(said)}")
    return lines


def _set(set_: Versus) -> Section:
    rows = [
        {
            "row": title(each.row) if each.score == next(iter(SCORES)) else "",
            "score": SCORES[each.score],
            "before": each.before,
            "after": each.after,
            "difference": each.test.effect if isinstance(each.test, Comparison) else None,
            "verdict": each.verdict,
        }
        for each in set_.differences
        if each.row not in set_.unchanged
    ]
    lines = [set_.pairing]
    if set_.unchanged:
        lines.append(f"the same scores for every image: {'; '.join(map(title, set_.unchanged))}")
    if not rows:
        return Section(set_.dataset, lines)
    note = (
        "Verdicts: 95 % intervals of the mean difference over folds, by Nadeau & Bengio's corrected t; p by Holm"
    )
    if set_.primary:
        note += f", but for the average precision of {title(set_.primary)}, which was named beforehand"
    table = Table(set_.dataset, set_.dataset, note + ".", rows)
    return Section(set_.dataset, lines, table)


def _sides(set_: Versus) -> list[Section]:
    sections = []
    for row in set_.rows:
        sides = set_.sides(row)
        if len(sides):
            lines = [
                f"{image.path} ({KINDS[image.label]}): {image.before:.3f} → {image.after:.3f}, "
                + ("now right" if (image.after > THRESHOLD) == bool(image.label) else "now mistaken")
                for image in sides.head(MOST).itertuples()
            ]
            if len(sides) > MOST:
                lines.append(f"and {len(sides) - MOST} more")
            sections.append(Section(f"{set_.dataset}, {title(row)}: {counted(len(sides))} changed sides", lines))
    return sections


def plain(sections: list[Section]) -> str:
    """For a terminal."""
    blocks = []
    for section in sections:
        block = [section.title, *(f"  {line}" for line in section.lines)]
        if section.table:
            block += [
                "",
                *(f"  {line}" for line in section.table.plain.splitlines()),
                "",
                f"  {section.table.note}",
            ]
        blocks.append("\n".join(block))
    return "\n\n".join(blocks)


def markdown(sections: list[Section]) -> str:
    """For a pull request."""
    blocks = []
    for level, section in zip((2, *[3] * len(sections)), sections, strict=False):
        block = [f"{'#' * level} {escaped(section.title)}", ""]
        block += [f"- {escaped(line)}" for line in section.lines]
        if section.table:
            block += ["", section.table.markdown, "", section.table.note]
        blocks.append("\n".join(block))
    return "\n\n".join(blocks)


def _revision(revision: Revision) -> dict:
    return {"name": revision.name, "commit": revision.commit, "stale": revision.stale}


def _figure(figure: Figure | None) -> dict | None:
    return None if figure is None else figure.numbers


def _tree(set_: Versus) -> dict:
    relabelled = set_.images.relabelled
    return {
        "images": {
            "added": set_.images.added,
            "removed": set_.images.removed,
            "relabelled": {
                path: int(label)
                for path, label in zip(relabelled["path after"], relabelled["label after"], strict=True)
            },
        },
        "paired": set_.paired,
        "rows": {
            row: {each.score: _difference(each) for each in set_.differences if each.row == row}
            for row in set_.rows
        },
        "changed_sides": {
            row: set_.sides(row)[["path", "label", "before", "after"]].to_dict("records") for row in set_.rows
        },
    }


def _difference(each: Difference) -> dict:
    test = each.test.numbers | {"p": each.p} if isinstance(each.test, Comparison) else None
    return {
        "before": _figure(each.before),
        "after": _figure(each.after),
        "difference": test,
        "verdict": each.verdict,
    }


def several(revisions: list[Revision]) -> list[Section]:
    """More than two: all against the first, a table for each data set."""
    first, *others = revisions
    pairs = [Compared(first, each) for each in others]
    head = [
        *(f"{each}: {each.said}" for each in revisions),
        *(stale(each) for each in revisions if each.stale),
    ]
    changed = [f"{pair.after}: {_names(pair.changed)}" for pair in pairs]
    sections = [Section(f"{len(revisions)} states, each against {first}", head), Section("What changed", changed)]
    for name in first.params["datasets"]:
        found = {pair.after.name: set_ for pair in pairs for set_ in pair.sets if set_.dataset == name}
        if not found:
            continue
        lines = [
            _line(str(first), row, set_, 0) for set_ in [next(iter(found.values()))] for row in set_.scores[0]
        ]
        lines += [_line(after, row, set_, 1) for after, set_ in found.items() for row in set_.scores[1]]
        note = (
            "Verdict: of average precision, against the same row of the first. Where images or folds are others, "
            "figures are of what both have in common, or not paired: compare these two alone to see which."
        )
        sections.append(Section(name, [], Table(name, name, note, lines)))
    return sections


def _line(revision: str, row: str, set_: Versus, which: int) -> dict:
    scores = set_.scores[which][row]
    verdict = None
    if which:
        verdict = next(
            each.verdict for each in set_.differences if (each.row, each.score) == (row, next(iter(SCORES)))
        )
        verdict += "" if set_.paired or row not in set_.scores[0] else ", not paired"
    return (
        {"": revision, "row": title(row)}
        | {of: getattr(scores, key) for key, of in SCORES.items()}
        | {"verdict": verdict}
    )
