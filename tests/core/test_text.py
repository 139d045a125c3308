"""Names and texts from outside, where they are shown."""

from pathlib import Path

import pytest

from leanet.core.errors import InputError
from leanet.core.text import markdown, no_formula, printable


def test_what_is_not_to_be_printed_is_an_escape():
    assert printable("a\x1b[2J\r\n\x9b\u2028\u202egnp.exe\udcff") == (r"a\x1b[2J\r\n\x9b\u2028\u202egnp.exe\udcff")
    plain = "Bildschirm\xadfoto 10.00\u202fAM 葉 👩\u200d🔬 שלום.png"
    assert printable(plain) == plain == str(InputError(plain))
    assert str(InputError("a\nb")) == r"a\nb"


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", r"\<b>", "a|b", "![x](y)", "`<b>`"])
def test_a_name_in_markdown_is_no_markup(name):
    shown = markdown(name)
    for at, letter in enumerate(shown):
        if letter in "<[|`":
            before = shown[:at]
            assert (len(before) - len(before.rstrip("\\"))) % 2 == 1  # of an even number, none is for it
    assert markdown("a b_1.png, AUROC 0.5 (p > 0.1) * ] &") == "a b_1.png, AUROC 0.5 (p > 0.1) * ] &"


@pytest.mark.parametrize("name", ["=cmd|' C calc'!A0", "+1.png", "-1.png", "@SUM(A1)", "＝1+1"])
def test_a_path_is_no_formula_and_the_same_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("it")
    shown = no_formula(name)
    assert shown[0] == "."
    assert Path(shown).read_text() == "it"
    assert no_formula("a=b/-1.png") == "a=b/-1.png"
