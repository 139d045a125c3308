"""The model card: what a detector is, what it can do and where it ends, for whoever finds its folder."""

import textwrap

from leanet.attention.rows import MAP_ONE_CLASS
from leanet.detector.detector import Detector
from leanet.detector.threshold import Threshold


def card(detector: Detector) -> str:
    """In Markdown, with the header that model hubs read.

    Mitchell et al. 2019, "Model Cards for Model Reporting".
    """
    facts, at = detector.facts, detector.threshold
    came = facts["provenance"]
    images = came["images"]
    alone = facts["row"] == MAP_ONE_CLASS
    attends = f" at attention point {facts['point']}" if facts["attends"] else ""
    if facts["kind"] == "light":
        what = f"one network ({facts['row']}{attends}) with a colouriser, trained on all images"
        measured_on = "networks that were trained alike, each on all folds but one"
        networks = (
            ", and that one network differs from the next: the log-odds of recall by a deviation of "
            f"{at.recall.networks:.2f}, those of false alarms by {at.false_alarms.networks:.2f}"
        )
    else:
        several = "colourisers" if alone else f"networks ({facts['row']}{attends}) with a colouriser each"
        what = f"the mean of {len(facts['members'])} {several}, one a fold"
        measured_on, networks = "its single networks", ", not how much one network differs from the next"
    counts = f"{images['positives']} of {images['positives'] + images['negatives']} images"
    seen = " and what the network attends to" if facts["attends"] else ""
    what += ", that judges by how unlike those of normal images the anomaly map is" if alone else ""
    score = "a score, how unlike the normal images it is" if alone else "the probability that it is anomalous"
    about = (
        f"An image goes in; out come {score}, a label, the anomaly map (ΔE₀₀ between the image and its recoloured "
        f"self){seen}. It is {what}, by LEA-Net (Katafuchi & Tokunaga, arXiv 2109.05493)."
    )
    prevalence = f" F1 and precision hold where {counts} are anomalous." if at.f1 else ""
    how_far = (
        f"Threshold {at.value:.4f}, by the criterion {at.criterion}. Intervals are of 95 % and know how many "
        f"images there were{networks}.{prevalence} The figures are those "
        f"of {measured_on}; the detector itself was never measured on images of its own: all were used."
    )
    doubts = "".join(f"\n**{doubt[0].upper()}{doubt[1:]}.**\n" for doubt in detector.doubts)
    versions = ", ".join(f"{name} {version}" for name, version in came["versions"].items())
    lock = "".join(f"| `{path}` | `{digest}` |\n" for path, digest in came["dvc_lock"].items())
    return f"""---
library_name: leanet
pipeline_tag: image-classification
tags: [anomaly-detection, color, lea-net]
---

# Color anomaly detector for {facts["dataset"]}: {facts["row"]}

{textwrap.fill(about, 110, break_on_hyphens=False)}

    leanet predict my-images/ --detector THIS-FOLDER

## Trained on

{images["positives"]} anomalous and {images["negatives"]} normal images of {facts["dataset"]}, resized to
{facts["side"]}×{facts["side"]}.

## How well it finds anomalies

Of images that the network had not seen, cross-validated:

{_table(facts["cross_validation"]["f1"], at)}
{textwrap.fill(how_far, 110, break_on_hyphens=False)}
{doubts}
## How it was chosen

{_choice(facts)}

## The probability

{textwrap.fill(_probability(detector.calibration.prevalence), 110)}

## Where it ends

{textwrap.fill(_ends(alone), 110)}

## Where it comes from

Code of commit `{came["git_commit"] or "none"}`, the last that changed it{
        ", with uncommitted changes" if came["git_dirty"] else ""
    }; {versions}.

| input | hash in dvc.lock |
|---|---|
{lock}"""


def _ends(alone: bool) -> str:
    knows = (
        "what is normal in these images, and no anomalous one" if alone else "what is anomalous in these images"
    )
    return (
        f"It knows {knows}. `predict` warns when new images are of other light or colour; it does not know any "
        "other change. Anomalies of shape without colour are not what the maps show."
    )


def _probability(prevalence: float | None) -> str:
    if prevalence is None:
        return (
            "There is none: no anomalous image was there to fit it to. The score is a sigmoid of how many "
            "deviations the map is above the mean of normal ones, "
            "0.5 where it is as unlike as the most unlike of them."
        )
    return (
        "Platt's sigmoid of the networks' margins, fitted to the same unseen images. It holds where anomalies are "
        f"as frequent as there ({prevalence:.1%}); `--prevalence` gives it for another share. The report has the "
        "scores before it, so that its 0.5 is another line than the threshold above."
    )


def _choice(facts: dict) -> str:
    """Which others there were, and that the figures of the chosen one flatter it."""
    if facts["row"] == MAP_ONE_CLASS:
        return (
            "There was nothing to choose by: a network that learns to tell both classes apart takes anomalous "
            "images, of two groups or more."
        )
    rows = [(row, each, f"{each['parameters']:,}") for row, each in facts["candidates"].items()]
    rows += [(f"{name} (baseline, no network)", each, "") for name, each in facts["baselines"].items()]
    said = [
        "Average precision, cross-validated, mean ± deviation of the folds:",
        "| row | average precision | parameters |\n|---|---|---|\n"
        + "\n".join(f"| {row} | {_figure(each['average_precision'])} | {size} |" for row, each, size in rows),
    ]
    if len(facts["candidates"]) > 1:
        said.append(
            "The row is the one with fewest parameters of those within one standard error of the best. It was "
            "chosen on the very figures that this card gives, which flatters them."
        )
    if len(facts["points"]) > 1:
        said.append(
            f"Attention point {facts['point']} is the best by F1 of {', '.join(map(str, facts['points']))}, on "
            "the test folds themselves: that flatters the figures, too."
        )
    said += [
        f"**The baseline {name} does better**: by {each['difference']} in average precision on the same folds."
        for name, each in facts["baselines"].items()
        if each["better"]
    ]
    return "\n\n".join(said)


def _figure(numbers: dict[str, float | str]) -> str:
    if "undefined" in numbers:
        return f"undefined ({numbers['undefined']})"
    return f"{numbers['mean']:.3f} ± {numbers['deviation']:.3f}"


def _table(of_row: dict[str, float | str], at: Threshold) -> str:
    of_all = "" if "undefined" in of_row else f"| F1 of the row, at the larger output | {_figure(of_row)} |\n"
    held_out = f"| F1, each fold at a threshold from the others | {at.f1_held_out:.3f} |\n" if at.f1 else ""
    return (
        "| | |\n|---|---|\n"
        + of_all
        + "".join(
            f"| {name}, at the threshold below | {'unknown' if rate is None else rate} |\n"
            for name, rate in (
                ("recall", at.recall),
                ("false alarms", at.false_alarms),
                ("precision", at.precision),
                ("F1", at.f1),
            )
        )
        + held_out
    )
