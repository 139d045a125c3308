"""Settings from YAML: what is no plain, small file of settings is one line, before anything is built of it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from ruamel.yaml import YAML

from leanet.core.errors import InputError
from leanet.core.settings import Count, parse, read

LAUGHS = "a: &a [ha, ha]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@dataclass(frozen=True)
class Inner:
    """Settings within settings."""

    count: Count
    names: list[str]


@dataclass(frozen=True)
class Outer:
    """Settings as a file has them."""

    inner: Inner
    mode: Literal["on", "off"]
    rate: float
    by_name: dict[str, Inner]


GOOD = "inner: {count: 3, names: [a, b]}\nmode: on\nrate: 1\nby_name: {x: {count: 1, names: []}}\n"


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("params.yaml")


def refused(file: Path, text: str | bytes) -> str:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    started = time.monotonic()
    with pytest.raises(InputError) as error:
        read(Outer, parse(file), file)
    assert time.monotonic() - started < 60  # billions of values would take years
    said = str(error.value)
    assert said.startswith("params.yaml")
    assert said.isprintable()
    assert len(said) < 300
    return said


def test_what_is_in_order_is_read_as_dvc_reads_it(file):
    """YAML 1.2, in which `on` is a text and no truth."""
    file.write_text(GOOD)
    tree = YAML(typ="safe", pure=True).load(GOOD)
    outer = read(Outer, parse(file), file)
    assert outer == Outer(Inner(3, ["a", "b"]), "on", 1.0, {"x": Inner(1, [])})
    assert parse(file) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "mode: off\n", "not valid YAML (found duplicate key"),
        (GOOD.replace("count: 3", "count: " + "9" * 5000), "not valid YAML (Exceeds the limit (4300 digits)"),
        (GOOD.replace("rate: 1", "rate: " + "9" * 5000), "params.yaml"),
        (GOOD.replace("rate: 1", "rate: 1e999"), "rate is inf, expected a number"),
        (GOOD.replace("rate: 1", "rate: .nan"), "rate is nan, expected a number"),
        (GOOD.replace("rate: 1", "rate: no"), "rate is 'no', expected a number such as 0.001"),
        (GOOD.replace("mode: on", "mode: onn"), "mode is 'onn', expected on or off; did you mean on?"),
        (GOOD.replace("count: 3", "count: 3.0"), "inner.count is 3.0, expected a whole number"),
        (GOOD.replace("count: 3", "count: '3'"), "inner.count is '3', expected a whole number"),
        (GOOD.replace("count: 1", "count: 0"), "by_name.x.count is 0, expected a whole number of at least 1"),
        (GOOD.replace("{x:", "{1:"), "by_name: key 1 is no text; put it in quotes"),
        (GOOD.replace("[a, b]", "[a, 1]"), "inner.names is 1, expected a text"),
        ("[" * 50_000, "too much, expected at most"),
        ("a: " + "[" * 15 + "]" * 15, "unknown key 'a'"),
        (LAUGHS, "too much, expected at most"),
        ("a: &a [*a]\n", "params.yaml"),
        ("x: [" + "1," * 4000 + "]", "too much, expected at most"),
        ("x: " + "y" * 70_000, "too large, expected at most 65536 bytes"),
        (GOOD + "extra: !!python/object/apply:os.system ['true']\n", "tags (!)"),
        (GOOD.replace("rate: 1", "rate: !!binary gA=="), "tags (!)"),
        ("%YAML 1.1\n---\n" + GOOD, "directives (%) are not allowed"),
        ("base: &b {count: 1, names: []}\ninner:\n  <<: *b\n", "merge keys (<<)"),
        (GOOD + "---\n" + GOOD, "not valid YAML"),
        (GOOD.encode("utf-16"), "not valid YAML"),
        ("\ufeff" + GOOD, "starts with a byte order mark"),
        (b"rate: \xff\n", "not valid YAML"),
        (b"rate: \x00\n", "not valid YAML"),
        ("", "expected the keys inner, mode, rate, by_name"),
        ("- 1\n", "expected the keys inner, mode, rate, by_name"),
        (GOOD + '"\\e[2J\\n": 1\n', "unknown key"),
        (GOOD + "? [a, b]\n: 1\n", "params.yaml"),
        (GOOD.replace("rate: 1", "rate: 2024-01-01"), "rate is 2024-01-01, expected a number"),
    ],
)
def test_what_is_not_in_order_is_one_line(file, text, said):
    assert said in refused(file, text)


def test_what_is_no_file_is_one_line(file):
    with pytest.raises(InputError, match="params.yaml: not found; run from the project's root"):
        parse(file)
    file.mkdir()
    with pytest.raises(InputError, match="params.yaml: is no file"):
        parse(file)
