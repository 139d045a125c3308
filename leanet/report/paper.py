"""The paper's own figures: its Tables 1 to 9 as one tidy file, paper.csv beside this module.

A line a cell: table, row, column, then value with deviation and attention point where it is a number (F1;
parameters in millions; counts), or text where it is a description of layers. Rows and data sets go by the
names of leanet.attention.rows and params.yaml.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("paper.csv")
F1_TABLES = (3, 5, 6, 7, 8)
COUNT_TABLES = (2, 4)


@dataclass(frozen=True)
class Published:
    """An F1 as printed: mean and deviation over five folds, at the best of five attention points if any."""

    table: int
    mean: float
    deviation: float
    point: int | None

    @property
    def numbers(self) -> dict[str, float | int | None]:
        """All of it by name."""
        return vars(self).copy()

    def __str__(self) -> str:
        point = f" ({self.point})" if self.point else ""
        return f"{self.mean:.3f} ± {self.deviation:.3f}{point}"


@cache
def cells() -> pd.DataFrame:
    """All cells, with the columns table, row, column, value, deviation, point, text."""
    return pd.read_csv(FILE, dtype={"row": str, "text": str, "point": "Int64"})


@cache
def f1() -> dict[tuple[str, str], Published]:
    """The F1 of Tables 3 and 5 to 8 by (row, data set)."""
    table = cells()
    table = table[table["table"].isin(F1_TABLES) & (table["column"] != "Params")]
    return {
        (cell.row, cell.column): Published(
            cell.table, cell.value, cell.deviation, None if pd.isna(cell.point) else int(cell.point)
        )
        for cell in table.itertuples()
    }


def counts() -> dict[str, tuple[int, int]]:
    """Anomalous and normal images by data set (Table 2, Table 4)."""
    table = cells()
    table = table[table["table"].isin(COUNT_TABLES)].pivot(index="row", columns="column", values="value")
    return {row.Index: (int(row.Positive), int(row.Negative)) for row in table.itertuples()}


def parameters() -> dict[str, float]:
    """Millions of parameters by row, as Tables 3, 5 and 7 print them, at 256×256."""
    table = cells()
    printed = table[table["table"].isin(F1_TABLES) & (table["column"] == "Params")]
    return dict(zip(printed["row"], printed["value"], strict=True))
