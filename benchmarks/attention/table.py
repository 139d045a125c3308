"""Figures of what was run: average precision, log-loss and F1 of each variant, and how it differs from plain."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, log_loss

from benchmarks.attention.trials import FOLDS
from leanet.evaluation.comparison import compare
from leanet.evaluation.scores import best_threshold

# How an image is scored, from the margins of ADN (f) and external network (g).
SAYS = {
    "": lambda f, g: f,
    " + vote": lambda f, g: f + g / 2,
    " + full vote": lambda f, g: f + g,
    ", vote alone": lambda f, g: g,
}


def file_of(folder: Path, set_: str, seed: int, fold: int, count: int, variant: str) -> Path:
    return folder / set_ / f"{seed}-{fold}-{count}-{variant.replace(' ', '_')}.npz"


def figures(scored: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, list[float]]:
    """Of replicates, each its labels and margins. The threshold of one is tuned on the others."""
    found: dict[str, list[float]] = {"AP": [], "log-loss": [], "F1 at 0.5": [], "F1 tuned": []}
    for i, (labels, said) in enumerate(scored):
        others = [each for j, each in enumerate(scored) if j != i] or [(labels, said)]
        _, threshold = best_threshold(*map(np.concatenate, zip(*others, strict=True)))
        found["AP"].append(average_precision_score(labels, said))
        found["log-loss"].append(log_loss(labels, expit(said).astype(float)))
        found["F1 at 0.5"].append(f1_score(labels, said > 0, zero_division=0))
        found["F1 tuned"].append(f1_score(labels, said > threshold, zero_division=0))
    return found


def rows(folder: Path, set_: str, count: int, seeds: list[int], variants: list[str]) -> Iterator[tuple[str, dict]]:
    """Rows that are there for all seeds, with their figures by replicate, and mean seconds."""
    for variant in variants:
        found = []
        for seed in seeds:
            for fold in range(FOLDS):
                if (file := file_of(folder, set_, seed, fold, count, variant)).exists():
                    with np.load(file) as arrays:
                        found.append(dict(arrays))
        if not found:
            continue
        for name, say in SAYS.items():
            if name and "g" not in found[0]:
                continue
            scored = [(each["labels"], say(each["f"], each.get("g"))) for each in found]
            yield variant + name, figures(scored) | {"seconds": [float(each["seconds"]) for each in found]}


def table(folder: Path, sets: list[str], counts: list[int], seeds: list[int], variants: list[str]) -> str:
    """In Markdown."""
    lines = []
    for set_ in sets:
        for count in counts:
            found = dict(rows(folder, set_, count, seeds, variants))
            if "plain" not in found:
                continue
            replicates = len(found["plain"]["AP"])
            lines += [
                f"\n{set_}, {count} training positives, {replicates} replicates\n",
                "| row | AP | less plain's | log-loss | F1 tuned | F1 at 0.5 | seconds |",
                "|---|---|---|---|---|---|---|",
            ]
            for name, each in found.items():
                means = {key: np.mean(values) for key, values in each.items()}
                less = ""
                if name != "plain" and len(each["AP"]) == replicates > 1:
                    less = str(compare(each["AP"], found["plain"]["AP"], folds_per_repeat=FOLDS))
                lines.append(
                    f"| {name} | {means['AP']:.3f} | {less} | {means['log-loss']:.3f} | {means['F1 tuned']:.3f} "
                    f"| {means['F1 at 0.5']:.3f} | {means['seconds']:.0f} |"
                )
    return "\n".join(lines)
