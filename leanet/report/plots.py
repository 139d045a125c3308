"""Plots for `dvc plots show` and `diff`, as pictures: a page of DVC's own plots loads a script from elsewhere."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from leanet.evaluation.counts import pooled_curve
from leanet.report.results import Results
from leanet.report.tables import proportion, title

WIDTH = 6.4  # inches


def draw(results: Results, to: Path) -> None:
    """Draw all plots of a data set into the folder `to`; those that have nothing to show are left out."""
    for name, heading, plot in (
        ("f1", "F1", _f1),
        ("precision-recall", "precision and recall", _precision_recall),
        ("loss", "loss", _loss),
        ("confusion", "all test folds together", _confusion),
        ("sweep", "fewer anomalous images (Fig. 4)", _sweep),
    ):
        figure = Figure(figsize=(WIDTH, 4), dpi=100, layout="constrained")
        if plot(results, figure):
            figure.suptitle(f"{results.dataset}: {heading}", fontsize=10)
            figure.savefig(to / f"plot-{results.dataset}-{name}.png")


def _f1(results: Results, figure: Figure) -> bool:
    """F1 of each row with its 95 % interval."""
    shown = [(title(row), s.f1) for row, s in results.scores.items() if not s.f1.undefined]
    figure.set_size_inches(WIDTH, 1 + 0.3 * len(shown))
    axis = figure.subplots()
    for place, (_, f1) in enumerate(reversed(shown)):
        axis.plot(f1.interval, (place, place), color="0.5", linewidth=3)
        axis.plot(f1.mean, place, "o", color="tab:blue")
    axis.set_yticks(range(len(shown)), [name for name, _ in reversed(shown)], fontsize=8)
    axis.set(xlabel="F1, mean over test folds, with its 95 % interval", xlim=(0, 1.02))
    return bool(shown)


def _precision_recall(results: Results, figure: Figure) -> bool:
    axis = figure.subplots()
    for row, table in results.predictions.items():
        if table["label"].nunique() == 2:
            axis.plot(*pooled_curve(table, results.folds), label=title(row))
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    return _with_legend(axis)


def _loss(results: Results, figure: Figure) -> bool:
    axis = figure.subplots()
    for row, history in results.history.items():
        mean = history.groupby("epoch")["loss"].mean()
        axis.plot(mean.index, mean, label=title(row))
    axis.set(xlabel="epoch", ylabel="training loss (Eq. 1), mean over cells")
    return _with_legend(axis)


def _confusion(results: Results, figure: Figure) -> bool:
    """How many images of each class each row calls what, in the first repeat."""
    figure.set_size_inches(WIDTH, 2 * -(-len(results.counts) // 3))
    axes = figure.subplots(-(-len(results.counts) // 3), 3, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (row, counts) in zip(axes.flat, results.counts.items(), strict=False):
        found, alarms = counts.found, counts.alarms
        table = np.array([[found.hits, found.total - found.hits], [alarms.hits, alarms.total - alarms.hits]])
        axis.imshow(table / np.maximum(1, table.sum(axis=1, keepdims=True)), cmap="Blues", vmin=0, vmax=1.5)
        for (down, across), count in np.ndenumerate(table):
            axis.text(across, down, str(count), ha="center", va="center")
        axis.axis("on")
        axis.set_xticks((0, 1), ("called\nanomalous", "called\nnormal"), fontsize=7)
        axis.set_yticks((0, 1), ("anomalous", "normal"), fontsize=7)
        axis.set_title(title(row), fontsize=6)
    return bool(results.counts)


def _sweep(results: Results, figure: Figure) -> bool:
    """F1 with fewer anomalous images (Fig. 4)."""
    axis = figure.subplots()
    for row, curve in results.sweep.items():
        points = [(proportion(results, share), f1.mean) for share, f1 in sorted(curve.items()) if not f1.undefined]
        if points:
            axis.plot(*zip(*points, strict=True), "o-", label=title(row))
    axis.set(xlabel="share of anomalous images in the set", ylabel="F1", ylim=(0, 1.02))
    return _with_legend(axis)


def _with_legend(axis) -> bool:
    """Whether there is something to show; with its names."""
    if axis.lines:
        axis.legend(fontsize=7)
    return bool(axis.lines)
