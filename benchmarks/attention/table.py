"""Tables and a picture of what was run: figures of each row, and how it differs from plain."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.attention.results import FIGURES
from benchmarks.attention.trials import FOLDS
from leanet.evaluation.comparison import Comparison, compare

PLAIN = ("plain", "ADN")
PICTURED = {
    ("contrast", "ADN"): "contrast, scored by the ADN that attends",
    ("contrast", "vote"): "contrast, scored by ADN and CAAN",
    ("contrast", "CAAN"): "contrast, scored by the CAAN alone",
    ("caan, M = 0", "vote"): "M = 0 (no attention), scored by ADN and CAAN",
}


def settings(results: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Set, training positives, and the figures there: a line a row, seed and fold, indexed by the latter."""
    for (set_, positives), found in results.groupby(["set", "positives"], sort=False):
        yield set_, positives, found.set_index(["seed", "fold"]).sort_index()


def of(found: pd.DataFrame, row: tuple[str, str], figure: str) -> pd.Series:
    """A figure of a row, by seed and fold."""
    return found.loc[(found["variant"] == row[0]) & (found["score"] == row[1]), figure]


def less_plain(found: pd.DataFrame, row: tuple[str, str], figure: str) -> Comparison | None:
    """How a row differs from plain on the seeds and folds that both have; None where those are too few."""
    of_row, of_plain = of(found, row, figure), of(found, PLAIN, figure)
    both = of_row.index.intersection(of_plain.index)
    if row == PLAIN or len(both) < 2:
        return None
    return compare(list(of_row[both]), list(of_plain[both]), FOLDS)


def overview(results: pd.DataFrame) -> str:
    """Mean average precision of each row by setting, in Markdown."""
    every = list(settings(results))
    lines = [
        f"| row | by | {' | '.join(f'{set_}, {positives}' for set_, positives, _ in every)} |",
        f"|{'---|' * (2 + len(every))}",
    ]
    for row, _ in results.groupby(["variant", "score"], sort=False):
        cells = list(row)
        for _, _, found in every:
            values = of(found, row, "AP")
            cells.append(f"{values.mean():.3f}" if len(values) else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table(results: pd.DataFrame) -> str:
    """All figures by setting, in Markdown."""
    lines = []
    for set_, positives, found in settings(results):
        lines += [
            f"\n{set_}, {positives} training positives a fold\n",
            "| row | by | runs | AP | less plain's | log-loss | less plain's | F1 tuned | F1 at 0.5 | seconds |",
            f"|{'---|' * 10}",
        ]
        for row, of_row in found.groupby(["variant", "score"], sort=False):
            means = of_row[[*FIGURES, "seconds"]].mean()
            cells = [*row, str(len(of_row))]
            for figure in ("AP", "log-loss"):
                cells += [f"{means[figure]:.3f}", str(less_plain(found, row, figure) or "")]
            cells += [f"{means['F1 tuned']:.3f}", f"{means['F1 at 0.5']:.3f}", f"{means['seconds']:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(results: pd.DataFrame, file: Path) -> None:
    """Average precision less plain's with its 95 % interval, by setting: a forest plot."""
    from matplotlib.figure import Figure

    every = list(settings(results))
    figure = Figure(figsize=(7, 1.2 + 0.75 * len(every)), layout="constrained")
    axes = figure.subplots()
    for number, (row, label) in enumerate(PICTURED.items()):
        for place, (_, _, found) in enumerate(every):
            if (found_ := less_plain(found, row, "AP")) is None:
                continue
            y = -place - 0.17 * (number - 1.5)
            axes.plot([found_.low, found_.high], [y, y], color=f"C{number}", linewidth=1.5)
            axes.plot(found_.effect, y, "o", color=f"C{number}", markersize=4, label=label)
            label = None  # once in the legend
    axes.axvline(0, color="0.6", linewidth=1)
    axes.set_yticks(
        [-place for place in range(len(every))], [f"{set_}, {count} positives" for set_, count, _ in every]
    )
    axes.set_xlabel("average precision less that of plain ResNet18, 95 % interval")
    figure.legend(fontsize=8, loc="outside upper center", ncols=2)
    figure.savefig(file, dpi=110)
