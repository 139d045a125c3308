"""A table: the same rows as Markdown, as CSV, as text and on a page."""

from dataclasses import dataclass

import pandas as pd

from leanet.core.text import markdown as escaped
from leanet.evaluation.scores import Undefined


@dataclass(frozen=True)
class Table:
    """A table in words and numbers.

    name: of its file. note: how to read it. rows: by column; a value is a text, a number, None for "does not
    apply", or something with a text and `numbers` of its own (Figure, Comparison, Published).
    """

    name: str
    title: str
    note: str
    rows: list[dict[str, object]]

    @property
    def columns(self) -> list[str]:
        """Of all rows: an ADN may lack a point that another has."""
        return list(dict.fromkeys(column for row in self.rows for column in row))

    @property
    def markdown(self) -> str:
        lines = [[_cell(row.get(column)) for column in self.columns] for row in self.rows]
        lines = [self.columns, ["---"] * len(self.columns), *lines]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    @property
    def plain(self) -> str:
        """For a terminal: columns as wide as what is in them."""
        lines = [self.columns, *([text(row.get(column)) for column in self.columns] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
        return "\n".join("  ".join(line).rstrip() for line in padded)

    @property
    def frame(self) -> pd.DataFrame:
        """For CSV: what is mean and deviation in one cell of the text is a column each."""
        flat = []
        for row in self.rows:
            line = {}
            for column, value in row.items():
                if hasattr(value, "numbers"):
                    line.update({f"{column}: {name}": number for name, number in value.numbers.items()})
                else:
                    line[column] = value.reason if isinstance(value, Undefined) else value
            flat.append(line)
        return pd.DataFrame(flat)

    @property
    def cells(self) -> list[list[dict[str, object]]]:
        """For the page: each cell's text, and what it sorts by."""
        values = ([row.get(column) for column in self.columns] for row in self.rows)
        return [[{"text": text(value), "by": _sort_key(value)} for value in line] for line in values]


def text(value: object) -> str:
    """A cell as people read it."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    """The same in Markdown, where names of images are not to be more than names."""
    return escaped(value) if isinstance(value, str) else text(value)


def _sort_key(value: object) -> object:
    for name in ("mean", "effect"):
        number = getattr(value, name, None)
        if isinstance(number, float):
            return number
    return value if isinstance(value, (int, float)) else None
