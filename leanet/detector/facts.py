"""What a detector says of itself: each key that anything in use reads, and what it must be.

Written out by hand, not as settings are: pydantic alone would take as long to load as judging an image.
"""

import reprlib
from dataclasses import fields
from pathlib import Path

from leanet.core.errors import InputError
from leanet.core.settings import Rule
from leanet.detector.calibration import Calibration
from leanet.detector.criterion import Criterion
from leanet.detector.threshold import Threshold
from leanet.images.settings import Preparation

MENDED = "copy it anew; in its project, `dvc checkout` or `dvc repro package` mends it"
UNSAID = {  # by detectors that were made before these were settings
    "kind": "ensemble",
    "unet_width": 64,
    "preparation": vars(Preparation(border=0.05, white_balance=False, background="keep")),
    "border": None,
}


def _is_number(x: object) -> bool:
    return type(x) in (int, float) and abs(x) <= 1e9  # neither NaN nor true


def _is_share(x: object) -> bool:
    return _is_number(x) and 0 <= x <= 1


def _is_count(x: object, least: int = 1) -> bool:
    return type(x) is int and least <= x <= 10**9


def _is_text(x: object) -> bool:
    return isinstance(x, str)


def _is_line(x: object) -> bool:
    return isinstance(x, str) and x.isprintable() and len(x) < 1000


def _is_list(x: object, of: type) -> bool:
    return isinstance(x, list) and all(isinstance(each, of) for each in x)


def _is_file(name: str) -> bool:
    return name.replace("_", "").replace(".", "").isalnum() and not name.startswith(".")


def _is_criterion(x: object) -> bool:
    try:
        return bool(_is_text(x) and Criterion.parse(x))
    except InputError:
        return False


def _one_of(*words: str) -> Rule:
    return Rule(" or ".join(words), lambda x: _is_text(x) and x in words)


def _keys(kind: type) -> Rule:
    names = [field.name for field in fields(kind)]
    return Rule(f"the keys {', '.join(names)}", lambda x: isinstance(x, dict) and x.keys() <= set(names))


def _or_null(rule: Rule) -> Rule:
    return Rule(f"null, or {rule.expected}", lambda x: x is None or rule.holds(x))


SIDES = (32, 64, 128, 256, 512, 1024)
NUMBER, SHARE = Rule("a number", _is_number), Rule("a number from 0 to 1", _is_share)
COUNT = Rule("a whole number of at least 1", _is_count)
TRUTH = Rule("true or false", lambda x: isinstance(x, bool))
CRITERION = Rule("best-f1, recall R, false-alarms A or conformal A", _is_criterion)
RATE = Rule(
    "estimate, low and high from 0 to 1",
    lambda x: (
        isinstance(x, dict)
        and {"estimate", "low", "high"} <= x.keys() <= {"estimate", "low", "high", "networks"}
        and all(map(_is_share, (x["estimate"], x["low"], x["high"])))
        and _is_number(x.get("networks", 0))
    ),
)
RULES = {
    "kind": _one_of("light", "ensemble"),
    "dataset": Rule("a name of letters, digits and _", lambda x: _is_text(x) and x.replace("_", "").isalnum()),
    "row": Rule("a row's name", _is_text),
    "side": Rule("a power of two from 32 to 1024", lambda x: type(x) is int and x in SIDES),
    "border": _or_null(SHARE),
    "preparation": _keys(Preparation),
    "preparation.border": Rule("a number above 0 and below 0.5", lambda x: _is_number(x) and 0 < x < 0.5),
    "preparation.white_balance": TRUTH,
    "preparation.background": _one_of("keep", "find", "fill"),
    "calibration": _keys(Calibration),
    "calibration.slope": NUMBER,
    "calibration.intercept": NUMBER,
    "calibration.prevalence": _or_null(
        Rule("a number above 0 and below 1", lambda x: _is_number(x) and 1e-9 <= x <= 1 - 1e-9)
    ),
    "images": Rule("a list of paths", lambda x: _is_list(x, str)),
    "provenance": Rule("names and what they are", lambda x: isinstance(x, dict)),
    "provenance.git_commit": Rule("a text", _is_text),
    "files": Rule(
        "files of this folder, each with its SHA-256",
        lambda x: isinstance(x, dict) and all(_is_file(name) and _is_text(sum_) for name, sum_ in x.items()),
    ),
}
OF_THRESHOLD = {
    "threshold": Rule(
        f"{_keys(Threshold).expected}, promised a line or null",
        lambda x: _keys(Threshold).holds(x) and (x.get("promised") is None or _is_line(x["promised"])),
    ),
    "threshold.criterion": CRITERION,
    "threshold.value": SHARE,
    "threshold.false_alarms": RATE,
    # None of them is known without anomalous images.
    **{f"threshold.{rate}": _or_null(RATE) for rate in ("recall", "precision", "f1")},
    "threshold.f1_held_out": _or_null(SHARE),
    "threshold.positives": Rule("a whole number of at least 0", lambda x: _is_count(x, least=0)),
    "threshold.negatives": COUNT,
}
OF_CRITERION = {"criterion": CRITERION}  # of detectors that were made before thresholds were kept
OF_ENSEMBLE = {
    "unet_width": Rule("a whole number from 1 to 1024", lambda x: _is_count(x) and x <= 1024),
    "point": Rule("a whole number from 0 to 5", lambda x: _is_count(x, least=0) and x <= 5),
    "recipe": _one_of("fast", "paper"),
    "map_scale": Rule(
        "a number above 0, or own-maximum", lambda x: x == "own-maximum" or (_is_number(x) and x > 0)
    ),
    "pretrained": TRUTH,
    "attends": TRUTH,
    "members": Rule(
        "pairs of files",
        lambda x: _is_list(x, list) and x != [] and all(len(m) == 2 and _is_list(m, str) for m in x),
    ),
}


def check(facts: dict, file: Path) -> None:
    """Make sure that `facts`, as read from `file`, have each key, and with it what is expected.

    Raises:
        InputError: one is missing, or is something else.
    """
    of_threshold = OF_THRESHOLD if "threshold" in facts else OF_CRITERION
    for key, rule in (RULES | of_threshold | (OF_ENSEMBLE if facts["kind"] == "ensemble" else {})).items():
        value = facts
        for step in key.split("."):  # what it leads through was checked before
            if step not in value:
                raise InputError(f"{file}: key {key!r} is missing, expected {rule.expected}; {MENDED}")
            value = value[step]
        if not rule.holds(value):
            raise InputError(f"{file}: {key} is {reprlib.repr(value)}, expected {rule.expected}; {MENDED}")
