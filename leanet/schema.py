"""YAML files as dataclasses: types, ranges and keys are checked, and what is wrong is one line."""

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Annotated, Literal

import yaml

from leanet.errors import InputError


class Rule(typing.NamedTuple):
    """What a value must satisfy beyond its type, and how to say so."""

    expected: str
    holds: typing.Callable[[typing.Any], bool]


Count = Annotated[int, Rule("a whole number of at least 1", lambda n: n >= 1)]
Seed = Annotated[int, Rule("a whole number from 0 to 4294967295", lambda n: 0 <= n < 2**32)]


def parse(file: Path) -> object:
    """The YAML in `file`.

    Raises:
        InputError: it is missing, or no YAML.
    """
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: not found; run from the project's root") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: not valid YAML (its bytes are no UTF-8 text)") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise InputError(f"{file}:{line} not valid YAML ({getattr(error, 'problem', error)})") from None


def read(kind: type, tree: object, file: Path) -> typing.Any:
    """`tree`, as parsed from `file`, as the dataclass `kind`; a field with a default may be left out.

    Raises:
        InputError: a key is unknown, missing, of a wrong type or out of range; the text names file, key, value
            and what was expected.
    """
    return _read(kind, tree, "", file)


def _read(kind, value, key: str, file: Path):
    """`value` as `kind`; errors name it by `key`, the dotted path to it."""
    where = f"{file}: {key}" if key else f"{file}"
    if dataclasses.is_dataclass(kind):
        return _read_section(kind, value, key, file)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        value = _read(args[0], value, key, file)
        if not args[1].holds(value):
            raise InputError(f"{where} is {value}, expected {args[1].expected}")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise InputError(f"{where} is {value!r}, expected a list")
        return [_read(args[0], item, key, file) for item in value]
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where} is {value!r}, expected names and their settings")
        return {str(name): _read(args[1], item, f"{key}.{name}", file) for name, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        words = [word for choice in args for word in typing.get_args(choice)]  # of a Literal beside another type
        if value in words:
            return value
        if words and isinstance(value, str):
            raise InputError(f"{where} is {value!r}, expected a number or " + " or ".join(words))
        return _read(args[0], value, key, file)
    if origin is Literal:
        if value not in args:
            raise InputError(f"{where} is {value!r}, expected " + " or ".join(map(str, args)))
        return value
    accepted = {int: int, float: (int, float), str: str, bool: bool}[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        name = {int: "a whole number", float: "a number such as 0.001", str: "a text", bool: "true or false"}[kind]
        raise InputError(f"{where} is {value!r}, expected {name}")
    return kind(value)


def _read_section(kind, value, key: str, file: Path):
    where = f"{file}: {key}" if key else f"{file}"
    hints = typing.get_type_hints(kind, include_extras=True)
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected the keys " + ", ".join(hints))
    for name in value:
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, n=1)
            hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(hints)
            raise InputError(f"{where}: unknown key {name!r}; {hint}")
    for field in dataclasses.fields(kind):
        if field.name not in value and field.default is dataclasses.MISSING:
            raise InputError(f"{where}: key {field.name!r} is missing")
    prefix = f"{key}." if key else ""
    return kind(**{name: _read(hints[name], item, prefix + name, file) for name, item in value.items()})
