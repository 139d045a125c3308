"""The F1 table, its metrics for DVC and MLflow, and what it says in words."""

from leanet import rows
from leanet.scores import Figure, RowScores

NAMES = {
    "resnet18": "ResNet18",
    "cnn": "basic CNN",
    "direct": "Direct Attention",
    "mobilenet": "MobileNet-like CAAN",
    "resnet": "ResNet-based CAAN",
}


def title(row: str) -> str:
    """A row's name as the paper's tables print it."""
    return " + ".join(NAMES[part] for part in rows.parts(row) if part)


STATISTIC_NAMES = {"mean": "mean", "p99": "99th percentile"}


def metrics(map_figures: dict[str, dict[str, Figure]], scores: dict[str, RowScores]) -> dict:
    """The figures of one data set as a tree of numbers, for metrics that DVC and people compare."""
    maps = {
        statistic: {name: figure.numbers for name, figure in figures.items()}
        for statistic, figures in map_figures.items()
    }
    return {"anomaly_map": maps, **{row: row_scores.numbers for row, row_scores in scores.items()}}


def markdown(
    dataset: str, counts: str, map_figures: dict[str, dict[str, Figure]], scores: dict[str, RowScores]
) -> str:
    """The table of one data set, and what to make of it."""
    lines = [
        f"## {dataset} ({counts})",
        "",
        "| row | F1, paper protocol (point) | F1 | against plain | precision | recall | AUROC "
        "| average precision |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for statistic, figures in map_figures.items():
        ranking = f"{figures['auroc']} | {figures['average_precision']}"
        lines.append(f"| anomaly map alone, {STATISTIC_NAMES[statistic]} | – | – | – | – | – | {ranking} |")
    for row, s in scores.items():
        point = f" ({s.paper_point})" if s.paper_point else ""
        cells = [
            title(row),
            f"{s.paper_f1}{point}",
            f"{s.f1}",
            _against_plain(row, scores),
            *(f"{figure.mean:.3f}" for figure in (s.precision, s.recall)),
            str(s.auroc),
            str(s.average_precision),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_remarks(scores), ""])


def _against_plain(row: str, scores: dict[str, RowScores]) -> str:
    adn, external = rows.parts(row)
    if not external or adn not in scores:
        return "–"
    return f"{scores[row].f1.mean - scores[adn].f1.mean:+.3f}"


def _remarks(scores: dict[str, RowScores]) -> list[str]:
    """Where attention helps and where it does not, fold by fold."""
    remarks = []
    for row, row_scores in scores.items():
        adn, external = rows.parts(row)
        if external and adn in scores:
            pairs = list(zip(row_scores.f1.folds, scores[adn].f1.folds, strict=True))
            better, worse = (sum(pair[i] > pair[1 - i] for pair in pairs) for i in (0, 1))
            gain = row_scores.f1.mean - scores[adn].f1.mean
            remarks.append(
                f"- {title(row)}: {gain:+.3f} F1 against plain {title(adn)}, "
                f"better in {better} of {len(pairs)} folds, worse in {worse}."
            )
    return remarks
