"""The tables of the report: the same rows as Markdown, as CSV and on the page."""

from leanet.attention import rows
from leanet.core.text import markdown as escaped
from leanet.evaluation.baselines import BASELINES, BORDER_HISTOGRAM, LAB_HISTOGRAM, MAP_ONE_CLASS, MAP_THRESHOLD
from leanet.evaluation.comparison import Comparison
from leanet.evaluation.scores import Figure, Undefined, changed, score_cells
from leanet.report import paper
from leanet.report.results import Results, plain
from leanet.report.table import Table

NAMES = {
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    rows.CNN: "basic CNN",
    "map-input": " (AnomalyMap input)",
    "4ch-input": " (4ch input)",
    "attentioned-input": " (Attentioned input)",
    "direct": " + Direct Attention",
    "mobilenet": " + MobileNet-like CAAN",
    "resnet": " + ResNet-based CAAN",
    "contrast": " + contrast CAAN",
    "painted": " + contrast CAAN, painted first",
    LAB_HISTOGRAM: "L*a*b* histogram, random forest",
    BORDER_HISTOGRAM: "the border alone, L*a*b* histogram",
    MAP_THRESHOLD: "anomaly map alone, threshold",
    MAP_ONE_CLASS: "anomaly map alone, one class",
}
NOT_RUN = "not run"


def title(row: str) -> str:
    """A row's name as the paper's tables print it."""
    if row in BASELINES:
        return NAMES[row]
    adn, kind, external = rows.parts(row)
    return NAMES.get(adn, adn) + NAMES.get(kind or external, "")


def named(results: Results, row: str) -> str:
    """A row's name; one with a CAAN says that its own output counts as well, where it does (recipe fast)."""
    caan = row not in BASELINES and rows.parts(row).external in rows.CAANS
    return title(row) + (" with its vote" if caan and results.recipe == "fast" else "")


def tables(results: Results) -> list[Table]:
    """All tables of one data set; those that have no rows are left out."""
    every = (
        counts_table,
        f1_table,
        looks_table,
        paper_table,
        points_table,
        sweep_table,
        map_table,
        suspects_table,
    )
    return [table for table in (make(results) for make in every) if table.rows]


def counts_table(results: Results) -> Table:
    """How many images each row finds: the table to read first."""
    lines = [
        {
            "row": named(results, row),
            "anomalous images found": counts.found,
            "false alarms": counts.alarms,
            "F1, all folds together": counts.f1,
            "average precision": results.scores[row].average_precision,
        }
        for row, counts in results.counts.items()
    ]
    return Table(
        "counts",
        "What is found",
        "Every image is judged once, by a network that has not seen it, at the threshold 0.5. In brackets the "
        "95 % interval of the share; images of one group count as one. Average precision needs no threshold: 1 "
        "where all anomalous images rank above all normal ones; mean ± spread over folds.",
        lines,
    )


def f1_table(results: Results) -> Table:
    """The table that is the answer."""
    lines = []
    for row, s in results.scores.items() if results.positives else ():
        lines.append(
            {
                "row": named(results, row),
                "F1": s.f1,
                "95 % interval": _interval(s.f1),
                "F1, tuned threshold": s.tuned_f1,
                "against plain": results.against_plain(row),
                "against histogram": results.against_histogram(row),
                "F1, paper protocol": s.paper_f1,
                "point": s.paper_point or None,
                "precision": s.precision,
                "recall": s.recall,
                "AUROC": s.auroc,
                "average precision": s.average_precision,
            }
        )
    return Table(
        "f1",
        "F1 of the anomalous class, mean ± spread over test folds",
        "Each fold at the attention point that is best on the other folds; paper protocol: at the point "
        "(beside it) that is best on the very folds it is scored on. Tuned threshold: the one that is best on the "
        "other folds, in place of 0.5. Against: mean difference over the same folds, its 95 % interval and p by "
        "Nadeau & Bengio's corrected t.",
        lines,
    )


def _interval(figure: Figure) -> str | Undefined:
    interval = figure.interval
    if isinstance(interval, Undefined):
        return interval
    low, high = interval
    return f"{low:.3f} to {high:.3f}" if low < high else "none: all folds alike"


def looks_table(results: Results) -> Table:
    """Whether networks look at the object: what altered images do to their scores."""
    lines = []
    for row, altered in results.altered.items():
        of_kind = dict(iter(altered.groupby("kind")))
        blurred = score_cells(of_kind["blurred"])["auroc"]
        lines.append(
            {
                "row": named(results, row),
                "AUROC": results.scores[row].auroc,
                "AUROC, object blurred away": Figure(tuple(blurred.sort_index(level="fold")), results.folds),
                "verdicts changed by other surroundings": changed(results.predictions[row], of_kind["exchanged"]),
            }
        )
    return Table(
        "looks",
        "Where the networks look",
        "Test images altered, at most 50 of a class and fold. Object blurred away: only its surroundings are "
        "left; who looks at the object is then at chance, 0.5. Other surroundings: those of an image of the other "
        "class; no verdict should change. Where objects are not known (split.background: keep), the outermost "
        "pixels stand for the surroundings: the background within them stays, and few changed verdicts then say "
        "little.",
        lines,
    )


def paper_table(results: Results) -> Table:
    """Ours beside the paper's, for a data set that the paper has too, by its name."""
    published = {row: figure for (row, dataset), figure in paper.f1().items() if dataset == results.dataset}
    lines = []
    for row, theirs in published.items():
        ours = results.scores[row].paper_f1 if row in results.scores else None
        difference = None if ours is None or ours.undefined else ours.mean - theirs.mean
        lines.append(
            {
                "row": title(row),
                f"ours, recipe {results.recipe}": NOT_RUN if ours is None else ours,
                "point": results.scores[row].paper_point or None if ours else None,
                "the paper": theirs,
                "difference": difference,
                "in their deviations": None if difference is None else _ratio(difference, theirs.deviation),
                "table": theirs.table,
            }
        )
    return Table(
        "paper",
        "Beside the paper",
        "F1 by the paper's protocol on both sides: attention at the best of the points that were run, chosen on "
        "the test folds. The paper's own images are 256×256, its recipe is what `recipe: paper` follows."
        + _counts(results),
        lines,
    )


def _counts(results: Results) -> str:
    """A warning where the sets are not of one size."""
    positives, negatives = paper.counts().get(results.dataset, (results.positives, results.negatives))
    if (positives, negatives) == (results.positives, results.negatives):
        return ""
    return (
        f" Its set has {positives} anomalous and {negatives} normal images, this one {results.positives} and "
        f"{results.negatives}: another task, be it under the same name."
    )


def _ratio(difference: float, deviation: float) -> float | None:
    return difference / deviation if deviation else None


def points_table(results: Results) -> Table:
    """F1 at every attention point that was run."""
    lines = [
        {"row": named(results, row), **{f"point {point}": figure for point, figure in by_point.items()}}
        for row, by_point in results.points.items()
        if len(by_point) > 1
    ]
    return Table(
        "points",
        "F1 by attention point",
        "From 1 (fine) to 5 (coarse). The best of a line, picked after looking, is the paper's protocol.",
        lines,
    )


def sweep_table(results: Results) -> Table:
    """F1 with fewer training positives (Fig. 4)."""

    def against(row: str, other: str | None, share: float) -> Comparison | Undefined | None:
        if row == other or other not in results.sweep:
            return None
        return results.sweep[row][share].against(results.sweep[other][share])

    lines = [
        {
            "row": named(results, row),
            "share of positives": float(share),
            "anomalous, of the whole set": proportion(results, share),
            "F1": figure,
            "against plain": against(row, plain(row), share),
            "against histogram": against(row, LAB_HISTOGRAM, share),
        }
        for row, curve in results.sweep.items()
        for share, figure in sorted(curve.items(), reverse=True)
    ]
    return Table(
        "sweep",
        "Fewer anomalous images in training",
        "The share of each fold's training positives that is kept; test folds are whole. One attention point, "
        "named beforehand (params.yaml sweep.point).",
        lines,
    )


def proportion(results: Results, share: float) -> float:
    """The anomalous images that are kept, of all images before any was dropped: the horizontal axis of Fig. 4."""
    return share * results.positives / len(results.manifest)


def map_table(results: Results) -> Table:
    """How well the maps find the place, where there is ground truth."""
    figures = results.localization
    line = {"pixel AUROC": figures["pixel_auroc"], "AUPRO, up to 30 % false": figures["aupro"]}
    return Table(
        "localization",
        "How well the anomaly map finds the place",
        "Against ground-truth masks, on test images.",
        [line],
    )


def suspects_table(results: Results) -> Table:
    """Images to look at once more."""
    lines = [
        {"image": image.path, "label": "anomalous" if image.label else "normal", "score": round(image.score, 3)}
        for image in results.suspects.itertuples()
    ]
    return Table(
        "suspects",
        "Labels that may be wrong",
        "Look at these images again, the likeliest first. Networks and the colour histogram that never saw them "
        "say the other class as surely as of images of that class (confident learning). Score: their mean, 1 is "
        "anomalous. Most may be right, and only hard.",
        lines,
    )


def metrics(results: Results) -> dict:
    """The few figures of each row that DVC shows side by side; all others are in the tables."""
    tree: dict = {}
    for row, scores in results.scores.items():
        deviation = scores.f1.numbers.get("deviation")
        tree[row] = {"f1": _mean(scores.f1), "deviation": deviation, "auroc": _mean(scores.auroc)}
    tree["anomaly-map"] = {name: _mean(figure) for name, figure in results.localization.items()}
    return tree


def _mean(figure: Figure) -> float | str:
    return str(figure.undefined) if figure.undefined else figure.numbers["mean"]


def markdown(results: Results, made: list[Table], said: list[str]) -> str:
    """One data set's tables; said: the result in words, the sentence that comes first at its head."""
    summary, *remarks = said
    first, *others = (f"### {table.title}\n\n{table.note}\n\n{table.markdown}\n" for table in made)
    heading = f"## {results.dataset} ({results.positives} anomalous, {results.negatives} normal images)\n"
    found = results.findings["remarks"]
    found = [*(f"- {escaped(line)}" for line in found), ""] if found else []
    told = [*(f"- {line}" for line in remarks), ""] if remarks else []
    return "\n".join([heading, f"**{summary}**\n", *told, *found, first, *others])
