"""`leanet predict`: judge files, and say so in lines that people or programs read."""

import csv
import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path
from typing import TextIO

import numpy as np

from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.core.text import no_formula, printable
from leanet.detector.aside import Aside
from leanet.detector.calibration import at_prevalence
from leanet.detector.criterion import Criterion
from leanet.detector.detector import Detector
from leanet.detector.reading import find

UNREADABLE, ANOMALOUS = 3, 4  # exit statuses; 0 is well, 1 a mistake, 2 no such option

Line = dict[str, object]  # file and error, or file, score, anomalous and map_p99


def predict(
    named: list[str],
    *,
    detector: str,
    device: str,
    layout: str,
    criterion: str | None,
    prevalence: float | None,
    overlays: Path | None,
    fail_on_anomaly: bool,
    aside: Aside | None = None,
    out: TextIO = sys.stdout,
) -> int:
    """Judge the images that `named` means (leanet.detector.reading.find), a line each to `out`.

    layout: table, csv or jsonl. criterion: in place of the detector's own. overlays: a folder for pictures.
    aside: where unlike images go.
    Returns the exit status: with `fail_on_anomaly`, ANOMALOUS if an image is; else UNREADABLE if some could not be
    read; else 0.

    Raises:
        InputError: nothing can be judged: what is named, an option or the detector is not as it must be, or no
            image could be read.
    """
    other = asked(criterion, prevalence)
    files = find(named)
    if not files:
        raise InputError("no image is named")
    if overlays:
        try:
            overlays.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--overlays {overlays}: no folder can be made there ({error.strerror})") from None
    judge = Detector.load(detector, device)
    if other:
        judge.threshold = judge.threshold_for(other)
    introduce(judge, prevalence)
    write = LAYOUTS[layout](out, max(len(printable(str(file))) for file in files))
    names = overlay_names(files) if overlays else repeat(None)
    seen, unreadable = [], 0
    called: list[bool] = []
    place = zip(files, names, strict=False)
    # Where the lines go to a terminal, they are the progress.
    with nullcontext() if out.isatty() else Progress(len(files), "predict") as progress:
        for judged, faults in judge.stream(files, prevalence=prevalence):
            of_each = judged.scores, judged.labels, judged.statistics, judged.maps, _each(judged.attention)
            found = zip(*of_each, judge.unlike(judged.features) if aside else repeat(False), strict=False)
            for fault, (file, name) in zip(faults, place, strict=False):
                if fault:
                    unreadable += 1
                    write({"file": str(file), "error": str(fault).removeprefix(printable(f"{file}: "))})
                else:
                    score, label, statistics, map_, attention, unlike = next(found)
                    if unlike:
                        aside.put(file)
                    write(
                        {
                            "file": str(file),
                            "score": round(float(score), 4),
                            "anomalous": bool(label),
                            "map_p99": round(float(statistics[-1]), 2),
                        }
                    )
                    if overlays:
                        from leanet.detector import overlay

                        overlay.save(overlays / name, file, map_, attention)
            if progress:
                progress.step(len(faults))
            seen.append(judged.statistics)
            called += judged.labels.tolist()
    good = len(files) - unreadable
    if aside:
        print(aside, file=sys.stderr)
    return conclude(judge, np.concatenate(seen), good, sum(called), unreadable, fail_on_anomaly)


def overlay_names(files: list[Path]) -> list[Path]:
    """Where the overlays of each file belong below their folder: no two at one place, and none outside."""
    # Links and .. are followed: what is left of the paths tells the files apart.
    real = [Path(os.path.realpath(file.parent), file.name) for file in files]
    root = os.path.commonpath([file.parent for file in real])
    return [file.relative_to(root) for file in real]


def asked(criterion: str | None, prevalence: float | None) -> Criterion | None:
    """The criterion that is asked for, if any.

    Raises:
        InputError: it is none, or the prevalence no share.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise InputError(f"--prevalence {prevalence:g}, expected a share of images between 0 and 1, both excluded")
    return Criterion.parse(criterion) if criterion else None


def introduce(judge: Detector, prevalence: float | None) -> None:
    """Say what to expect of a detector, where so many images are anomalous."""
    print(judge.threshold.summary, file=sys.stderr)
    if prevalence is not None:
        there = at_prevalence(np.array(judge.threshold.value), judge.calibration.prevalence, prevalence)
        print(
            f"note: scores are those of a prevalence of {prevalence:g}: there the same threshold is {there:.4g}; "
            "recall and false alarms stay, F1 does not",
            file=sys.stderr,
        )
    for doubt in judge.doubts:
        print(f"note: {doubt}", file=sys.stderr)


def conclude(
    judge: Detector, statistics: np.ndarray, good: int, anomalous: int, unreadable: int, fail_on_anomaly: bool
) -> int:
    """Say whether images of these statistics (N, 4) are of a kind that the detector knows, and what was found.

    Returns the exit status, as `predict` has it.

    Raises:
        InputError: no image could be read.
    """
    far = [each for each in judge.drift(statistics) if each.is_far]
    for each in far:
        print(f"warning: these images are not of the kind that the detector knows: {each}", file=sys.stderr)
    if far and not judge.known["labels"].any():
        print("note: many anomalous images would look like that, too: the detector knows none", file=sys.stderr)
    if not good:
        raise InputError(f"none of {unreadable} could be read")
    print(
        f"{good} image{'s' * (good != 1)} judged, {anomalous} anomalous, {unreadable} unreadable", file=sys.stderr
    )
    if fail_on_anomaly and anomalous:
        return ANOMALOUS
    return UNREADABLE if unreadable else 0


def _each(attention: np.ndarray | None):
    while attention is None:
        yield None
    yield from attention


def _table(out: TextIO, width: int) -> Callable[[Line], None]:
    """For people; what cannot be read goes to stderr. Names have escapes where a terminal would obey them."""
    print(f"{'file':{width}}   score  label", file=out)

    def write(line: Line) -> None:
        file = printable(line["file"])
        if "error" in line:
            print(f"{file}: {line['error']}", file=sys.stderr)
        else:
            label = "anomalous" if line["anomalous"] else "normal"
            print(f"{file:{width}}  {line['score']:6.4f}  {label}", file=out, flush=True)

    return write


def _csv(out: TextIO, _: int) -> Callable[[Line], None]:
    table = csv.DictWriter(out, ["file", "score", "anomalous", "map_p99", "error"], lineterminator="\n")
    table.writeheader()
    return lambda line: table.writerow(line | {"file": no_formula(printable(line["file"]))})


def _json_lines(out: TextIO, _: int) -> Callable[[Line], None]:
    return lambda line: print(json.dumps(line), file=out, flush=True)


LAYOUTS = {"table": _table, "csv": _csv, "jsonl": _json_lines}
