"""The key of a training: the code that computes it, and nothing else."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Project

from leanet.attention.detect import cell
from leanet.color.colorize import colouriser
from leanet.run import code
from leanet.run.code import digest_of, reached

CELL, COLOURISER = ("leanet.attention.detect", "cell"), ("leanet.color.colorize", "colouriser")

# Of a file, a text and another in its place.
WORDS = {
    "leanet/training/loop.py": ("lower learning_rate", "take a lower learning_rate"),
    "leanet/core/errors.py": ('"""The one kind', '"""The only kind'),
    "leanet/core/settings.py": ("a whole number of at least 1", "a number of at least 1"),
    "leanet/attention/settings.py": ("a number above 0 and below 1", "a share"),
    "leanet/cli/prune.py": ("    pass\n", '    parser.add_argument("--dry-run", action="store_true")\n'),
    "leanet/detector/criterion.py": ("0 < level <= 1", "0.5 < level <= 1"),
    "leanet/evaluation/rates.py": ("LEVEL = 0.95", "LEVEL = 0.9"),
    "leanet/report/page.py": ("SIDE = 128", "SIDE = 96"),
    "leanet/attention/leanet.py": ("has no such attention point", "lacks this attention point"),
    "leanet/attention/detect.py": ("    dtype: torch.dtype,\n", '    dtype: "torch.dtype",  # a comment\n'),
    "leanet/training/checkpoint.py": ("SECONDS_BETWEEN_SYNCS = 10", "SECONDS_BETWEEN_SYNCS = 11"),
    "leanet/images/layout.py": ("MOST_NAMED = 5", "MOST_NAMED = 6"),
    "leanet/run/trainings.py": ("are there from before", "were there"),
}
LOSS = {"leanet/attention/leanet.py": ("total = total + ", "total = 2 * total + ")}
OF_CELLS = {
    "the loss": LOSS,
    "Eq. 2": {"leanet/attention/attention.py": ("torch.sigmoid(", "torch.tanh(")},
    "the views": {"leanet/training/recipe.py": ("repeat=3", "repeat=2")},
    "a constant": {"leanet/training/recipe.py": ("BRIGHTNESS = 0.2", "BRIGHTNESS = 0.3")},
    "a table": {"leanet/attention/caan.py": ("bneck(96, 5, 576, 96, True", "bneck(96, 3, 576, 96, True")},
    "the scale": {"leanet/attention/detect.py": ("return maps / map_scale", "return maps / map_scale**2")},
}
OF_COLOURISERS = {
    "the loss": {"leanet/color/colorize.py": ("F.mse_loss(", "F.l1_loss(")},
    "the network": {"leanet/color/unet.py": ("nn.LeakyReLU(0.2)", "nn.LeakyReLU(0.1)")},
    "the colours": {"leanet/color/lab.py": ("0.04045", "0.04046")},
    "Fancy PCA": {"leanet/color/fancy_pca.py": ("(alphas * self.eigenvalues)", "(alphas + self.eigenvalues)")},
}
OF_BOTH = {
    "the optimizer": {"leanet/training/loop.py": ("torch.optim.Adam(", "torch.optim.AdamW(")},
    "what a checkpoint restores": {"leanet/training/state.py": ("random.torch", "random.torch2")},
    "the seed": {"leanet/core/device.py": ("generate_state(1)[0]", "generate_state(2)[1]")},
}


def rewrite(root: Path, edits: dict[str, tuple[str, str]]) -> None:
    for name, (old, new) in edits.items():
        file = root / name
        assert old in file.read_text(), f"{name} lacks {old}"
        file.write_text(file.read_text().replace(old, new))


@pytest.fixture
def root(tmp_path) -> Path:
    """A copy of the code."""
    shutil.copytree(ROOT / "leanet", tmp_path / "leanet", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture(scope="module")
def before() -> list[str]:
    return [code.digest(function) for function in (cell, colouriser)]


def both(root: Path) -> list[str]:
    return [digest_of(name, root) for name in (CELL, COLOURISER)]


def test_the_key_is_of_the_code_wherever_it_lies(root, before):
    assert both(root) == before


@pytest.mark.parametrize("file", WORDS)
def test_words_hints_and_what_does_not_compute_change_no_key(root, before, file):
    rewrite(root, {file: WORDS[file]})
    assert both(root) == before


@pytest.mark.parametrize("what", OF_CELLS)
def test_what_computes_a_cell_changes_its_key_alone(root, before, what):
    rewrite(root, OF_CELLS[what])
    ours = both(root)
    assert ours[0] != before[0]
    assert ours[1] == before[1]


@pytest.mark.parametrize("what", OF_COLOURISERS)
def test_what_computes_a_colouriser_changes_its_key(root, before, what):
    rewrite(root, OF_COLOURISERS[what])
    assert both(root)[1] != before[1]


@pytest.mark.parametrize("what", OF_BOTH)
def test_what_computes_both_changes_both_keys(root, before, what):
    rewrite(root, OF_BOTH[what])
    assert all(now != then for now, then in zip(both(root), before, strict=True))


def test_no_code_that_only_runs_keeps_or_shows_is_in_a_key():
    for name in (CELL, COLOURISER):
        rooms = {module.split(".")[1] for module, _ in reached(name, ROOT)}
        assert rooms <= {"core", "images", "training", "color", "attention"}
        assert not any(
            module.endswith((".settings", ".checkpoint", ".paths")) for module, _ in reached(name, ROOT)
        )


MODULES = {
    "package/__init__.py": '"""A package."""',
    "package/a.py": """
from package import b as other, c
from package.c import LIMIT, Base
import package.d
import elsewhere

TABLE = {"one": other.one}
UNUSED = 1

class Kind(Base):
    field: int
    def method(self):
        return package.d.deep(self)

def start(x: Kind = None) -> "c.Hinted":
    from package.late import late
    def inner():
        return TABLE["one"](LIMIT) + late()
    if x:
        raise ValueError(c.words(x))
    return Kind, inner, elsewhere.thing
""",
    "package/b.py": "from package.c import two as one\nimport os\nos.environ.get('at import')\n",
    "package/c.py": "LIMIT = 1\nclass Base: pass\nclass Hinted: pass\ndef words(x): pass\ndef two(n): return n",
    "package/d.py": "def deep(x): return _deeper(x)\ndef _deeper(x): return x\ndef other(): pass\n",
    "package/late.py": "def late(): return 2\n",
}


def test_names_are_followed_through_every_way_of_importing(tmp_path):
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {f"{module}.{name}" for module, name in reached(("package.a", "start"), tmp_path) if name}
    ours = {"a.start", "a.Kind", "a.TABLE", "c.two", "c.LIMIT", "c.Base", "d.deep", "d._deeper", "late.late"}
    assert found == {f"package.{name}" for name in ours}
    assert "at import" in reached(("package.a", "start"), tmp_path)["package.b", ""]


def test_the_stage_finds_its_trainings_after_words_and_none_after_the_loss(finished, tmp_path):
    """Counted in the real stage."""
    project = finished.copy(tmp_path / "project")

    def said(project: Project) -> str:
        done = project.run("python", "-m", "stages.train_leanet", "leaf", "cnn-direct")
        assert done.returncode == 0, done.stderr
        return done.stderr

    rewrite(project.root, {file: WORDS[file] for file in ("leanet/training/loop.py", "leanet/run/trainings.py")})
    assert "train_leanet@leaf-cnn-direct: 4 of 4 trainings were there" in said(project)
    rewrite(project.root, LOSS)
    again = said(project)
    assert "trainings were there" not in again
    assert "train_leanet@leaf-cnn-direct: 8/8" in again  # four cells of two epochs
