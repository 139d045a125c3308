"""The result in words: what the primary row finds, whether what surrounds the object tells, what is undecided."""

from leanet.evaluation.baselines import BASELINES, BORDER_HISTOGRAM, LAB_HISTOGRAM
from leanet.evaluation.comparison import Comparison, holm
from leanet.evaluation.counts import Counts
from leanet.evaluation.scores import Figure
from leanet.evaluation.shortcuts import border_tells
from leanet.report.results import Results, plain
from leanet.report.tables import named

LEVEL = 0.05


def summary(results: Results) -> str:
    """The result in one sentence, of the primary row (leanet.report.results.Results.primary)."""
    if not results.trained:
        return _from_normals(results)
    row = results.primary
    others = [
        (f"plain {named(results, plain(row))}", plain(row)),
        ("counting colours", LAB_HISTOGRAM),
        ("the border alone", BORDER_HISTOGRAM),
    ]
    told = [
        f"{name} finds {_finds(results.counts[other])}"
        for name, other in others
        if other in results.counts and other != row
    ]
    own = results.counts[row]
    found = f"{named(results, row)} finds {own.found.hits} of {own.found.total} anomalous images"
    alarms = f"raises {_alarms(own) or 'no false alarm'} on {own.alarms.total} normal ones"
    return "; ".join([f"{found} and {alarms}", *told]) + "."


def _from_normals(results: Results) -> str:
    """The result where no row of networks is there."""
    own = results.counts[results.primary]
    alarms = f"The anomaly map alone raises {_alarms(own) or 'no false alarm'} on {own.alarms.total} normal images"
    if not own.found.total:
        return f"{alarms}; how many anomalies it finds cannot be known, since there is no anomalous image."
    return f"{alarms}, and finds {own.found}; more cannot be known from so few anomalous images."


def _finds(counts: Counts) -> str:
    hits, total = counts.found.hits, counts.found.total
    return f"{f'all {hits}' if hits == total else hits or 'none'}, with {_alarms(counts) or 'no false alarm'}"


def _alarms(counts: Counts) -> str:
    """False alarms in words; nothing for none."""
    hits = counts.alarms.hits
    return f"{hits} false {'alarm' if hits == 1 else 'alarms'}" if hits else ""


def remarks(results: Results) -> list[str]:
    """What else the tables say, a sentence each: of shortcuts, and of the differences between rows."""
    if not results.trained:
        return []
    said = [border_shortcut(results.scores[BORDER_HISTOGRAM].auroc)]
    primary = results.primary
    asked = [
        (row, f"plain {named(results, plain(row))}", results.against_plain(row))
        for row in results.scores
        if row not in BASELINES and plain(row) != row
    ]
    asked.append((primary, "counting colours", results.against_histogram(primary)))
    asked = [each for each in asked if isinstance(each[2], Comparison)]
    beforehand = [row == primary and other != "counting colours" for row, other, _ in asked]
    rest = iter(holm([each[2].p for each, first in zip(asked, beforehand, strict=True) if not first]))
    for (row, other, comparison), first in zip(asked, beforehand, strict=True):
        p, how = (comparison.p, "named beforehand") if first else (next(rest), "by Holm")
        said.append(difference(named(results, row), other, comparison, p, how))
    return [line for line in said if line]


def difference(row: str, other: str, comparison: Comparison, p: float | None, how: str) -> str:
    """What may be said of a difference of F1; p: corrected as `how` says, None where all folds differ alike."""
    low, high = f"{comparison.low:+.2f}", f"{comparison.high:+.2f}"
    if p is None and not comparison.effect:
        return f"{row} has the same F1 as {other} in every fold."
    if p is None:
        return f"{row} differs from {other} by {comparison.effect:+.3f} in every fold."
    test = f"p = {p:.2f}, {how}" if p >= 0.01 else f"p < 0.01, {how}"
    if p >= LEVEL:
        return f"Undecided: {row} against {other}, a difference of F1 between {low} and {high} ({test})."
    word = "above" if comparison.effect > 0 else "below"
    return f"{row} is {word} {other} by {abs(comparison.effect):.2f}, between {low} and {high} ({test})."


def border_shortcut(auroc: Figure) -> str | None:
    """What to say of the border's AUROC; None where its interval holds 0.5, which is chance."""
    if not border_tells(auroc):
        return None
    low, high = auroc.interval
    return (
        "What surrounds the objects, or the outermost pixels, alone tells the classes apart: "
        f"AUROC {auroc.mean:.2f} [{low:.2f}, {high:.2f}], where chance is 0.5. "
        "All figures may be of the camera, not of the object. A remedy: split.background: fill "
        "(docs/shortcuts.md)."
    )
