"""YAML files as dataclasses: types, ranges and keys are checked, and what is wrong is one line.

Pydantic and ruamel.yaml are imported only where a file is read: settings can be built and pickled without them.
"""

import dataclasses
import difflib
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from leanet.core.errors import InputError

BYTES, VALUES, LEVELS, ALIASES = 2**16, 3000, 20, 8  # at most in a file: it is read within a second
EXPECTED = {  # by pydantic's names of errors
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "names and their settings",
}


class Rule(typing.NamedTuple):
    """What a value must satisfy beyond its type, and how to say so."""

    expected: str
    holds: typing.Callable[[Any], bool]

    def __get_pydantic_core_schema__(self, kind, handler):
        from pydantic_core import PydanticCustomError, core_schema

        def check(value):
            if not self.holds(value):
                raise PydanticCustomError("rule", "rule", {"expected": self.expected, "value": value})
            return value

        return core_schema.no_info_after_validator_function(check, handler(kind))


Count = Annotated[int, Rule("a whole number of at least 1", lambda n: n >= 1)]
Seed = Annotated[int, Rule("a whole number from 0 to 4294967295", lambda n: 0 <= n < 2**32)]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bf16"]


def parse(file: Path) -> object:
    """The YAML in `file`. It means what it means to DVC: YAML 1.2, where `yes` is a text.

    Raises:
        InputError: the file is missing, unreadable or no YAML, or has more of YAML than settings need.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        if not file.is_file():
            raise _error(file, ": is no file" if file.exists() else ": not found; run from the project's root")
        if file.stat().st_size > BYTES:
            raise _error(file, f": too large, expected at most {BYTES} bytes")
        text = file.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):
            raise _error(file, ": starts with a byte order mark; save it as UTF-8 without one")
        _check_events(YAML(typ="safe", pure=True).parse(text), file)
        tree = YAML(typ="safe").load(text)
        json.dumps(
            tree, default=str, ensure_ascii=False, skipkeys=True
        ).encode()  # fails if it has no end or no text
        return tree
    except OSError as error:
        raise _error(file, f": cannot be read ({error.strerror})") from None
    except (YAMLError, ValueError, TypeError, OverflowError) as error:  # ruamel.yaml raises all of them
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise _error(file, f":{line} not valid YAML ({_short(problem or str(error))})") from None


def _check_events(events, file: Path) -> None:
    """Refuse what settings do not need before anything is built of it: a few bytes can ask for very much."""
    level, aliases = -2, 0  # the stream and the document are no levels
    for number, event in enumerate(events):
        name, where = type(event).__name__, f": line {event.start_mark.line + 1}:"
        level += name.endswith("StartEvent") - name.endswith("EndEvent")
        aliases += getattr(event, "anchor", None) is not None
        if number > VALUES or level > LEVELS or aliases > ALIASES:
            most = f"{VALUES} values, {LEVELS} levels and {ALIASES} anchors and aliases (& and *)"
            raise _error(file, f"{where} too much, expected at most {most}")
        merges = getattr(event, "value", None) == "<<" and not event.style
        if merges or any(getattr(event, special, None) for special in ("tag", "version", "tags")):
            raise _error(file, f"{where} tags (!), merge keys (<<) and directives (%) are not allowed")


def section(tree: object, name: str, file: Path) -> object:
    """The section `name` of `tree`, as parsed from `file`; `execution` may be left out.

    Raises:
        InputError: it is missing.
    """
    if not isinstance(tree, dict) or (name not in tree and name != "execution"):
        raise _error(file, f": key {name!r} is missing")
    return tree.get(name, {})


def flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every value under its dotted key: split.folds, 5."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + str(name), value


def read(kind: Any, tree: object, file: Path, key: str = "") -> Any:
    """`tree` as a `kind`: a dataclass or another type. It was parsed from `file`, where its place is `key`.

    Raises:
        InputError: a key is unknown, missing, of a wrong type or out of range; the text names file, key, value
            and what was expected.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    _check_keys(tree, file, [key])
    # Strict mode takes dataclasses only from JSON; they take a config only from what they are in, here a tuple.
    adapter = TypeAdapter(tuple[kind], config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
    try:
        return adapter.validate_json(json.dumps([tree], default=str))[0]
    except ValidationError as error:
        faults = error.errors(include_url=False)
    # A misspelt key is unknown, and another one is missing: the former says more.
    ranks = {"unexpected_keyword_argument": 0, "missing": 1}
    first = min(faults, key=lambda fault: ranks.get(fault["type"], 2))
    steps, value = _find(tree, first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        name = steps.pop()
        known = _keys(kind, steps)
        said = f": unknown key {_show(name)}" + (_near(name, known) or "; known are " + ", ".join(known))
    elif first["type"] == "missing":
        said = f": key {first['loc'][-1]!r} is missing"
    elif first["type"] == "dataclass_type":
        said = ": expected the keys " + ", ".join(_keys(kind, steps))
    else:
        said = _expected([fault for fault in faults if _find(tree, fault["loc"])[0] == steps], value)
    raise _error(file, said, [key, *steps])


def _check_keys(tree: object, file: Path, place: list) -> None:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in items:
        if isinstance(tree, dict) and not isinstance(name, str):
            raise _error(file, f": key {_show(name)} is no text; put it in quotes", place)
        _check_keys(value, file, [*place, name])


def _find(tree: Any, loc: tuple) -> tuple[list, Any]:
    """The steps of `loc` that lead into `tree`, and the value there; others are pydantic's names of types."""
    steps = []
    for step in loc[1:]:  # the first leads into the tuple
        if isinstance(tree, list) or (isinstance(tree, dict) and step in tree):
            steps.append(step)
            tree = tree[step]
    return steps, tree


def _keys(kind: Any, steps: list) -> list[str]:
    """The keys of the dataclass at `steps` in `kind`."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return _keys(hints[steps[0]], steps[1:]) if steps else list(hints)
    rest = steps[1:] if typing.get_origin(kind) in (list, dict) else steps
    return next(filter(None, (_keys(part, rest) for part in typing.get_args(kind))), [])


def _expected(faults: list[dict], value: object) -> str:
    """What `value` is and should be; of a union, each type has a fault, and words come last."""
    types = [fault.get("ctx", {}).get("expected") or EXPECTED.get(fault["type"], fault["msg"]) for fault in faults]
    words = re.findall("'(.*?)'", types[-1])  # 'cpu', 'cuda' or 'mps'
    expected = " or ".join(types[:-1] + (words or types[-1:]))
    example = " such as 0.001" if expected == "a number" else ""
    value = faults[0].get("ctx", {}).get("value", value)  # as the rule saw it
    return f" is {_show(value)}, expected {expected}{example}{_near(value, words)}"


def _near(name: object, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7) if isinstance(name, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _show(value: object) -> str:
    return _short(repr(value) if isinstance(value, str) else str(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _error(file: Path, said: str, place: list = ()) -> InputError:
    names = [_short(step) for step in place if step and isinstance(step, str)]  # an item's number is not said
    return InputError(f"{file}: {'.'.join(names)}{said}" if names else f"{file}{said}")
