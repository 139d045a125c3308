"""The F1 table, its metrics for DVC and MLflow, and what it says in words."""

from dataclasses import asdict

import pandas as pd

from leanet import rows
from leanet.scores import Figure, RowScores, ranking_scores

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


def metrics(map_predictions: pd.DataFrame, scores: dict[str, RowScores]) -> dict:
    """The figures of one data set as a tree of numbers, rounded to what the data can tell."""
    ranking = ranking_scores(map_predictions)
    tree: dict = {"anomaly_map": {name: _numbers(Figure.over(ranking[name])) for name in ranking.columns}}
    for row, row_scores in scores.items():
        tree[row] = {
            name: _numbers(value) if isinstance(value, dict) else value
            for name, value in asdict(row_scores).items()
        }
    return tree


def _numbers(figure: Figure | dict) -> dict[str, float]:
    values = asdict(figure) if isinstance(figure, Figure) else figure
    return {name: round(value, 4) for name, value in values.items()}


def markdown(dataset: str, counts: str, map_predictions: pd.DataFrame, scores: dict[str, RowScores]) -> str:
    """The table of one data set, and what to make of it."""
    ranking = ranking_scores(map_predictions)
    lines = [
        f"## {dataset} ({counts})",
        "",
        "| row | F1, paper protocol (point) | F1 | against plain | precision | recall | AUROC | average precision |",
        "|---|---|---|---|---|---|---|---|",
        "| anomaly map alone | – | – | – | – | – | "
        + " | ".join(str(Figure.over(ranking[name])) for name in ("auroc", "average_precision"))
        + " |",
    ]
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
    """Where attention helps and where it does not, said in words."""
    remarks = []
    for row, row_scores in scores.items():
        adn, external = rows.parts(row)
        if external and adn in scores:
            gain = row_scores.f1.mean - scores[adn].f1.mean
            verdict = "beats" if gain > 0 else "loses to" if gain < 0 else "equals"
            by = f" by {abs(gain):.3f}" if gain else ""
            remarks.append(f"- {title(row)} {verdict} plain {title(adn)}{by} F1.")
    return remarks
