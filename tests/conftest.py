"""A tiny pipeline for tests: few small leaves, two folds, one epoch."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import yaml
from filelock import FileLock
from warm import Warm

from leanet.core import settings
from leanet.run import stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and all they start

ROOT = Path(__file__).parent.parent
WARM = "LEANET_TEST_WARM"

TINY_SOURCE = {"draw": "leaf", "positives": 6, "negatives": 10, "side": 48, "seed": 3}
TINY = {
    "datasets": {"leaf": {"source": "data/sources/leaf.yaml", "positives": None, "negatives": None}},
    "rows": ["cnn", "cnn-direct"],
    "device": "cpu",
    "precision": "float32",
    "recipe": "fast",
    "split": {
        "image_size": 32,
        "folds": 2,
        "repeats": 1,
        "groups": "together",
        "undecodable": "stop",
        "border": 0.05,
        "white_balance": False,
        "background": "keep",
        "seed": 1,
    },
    "augment": {"std": 0.1},
    "train_unet": {
        "epochs": 2,
        "patience": 2,
        "batch_size": 4,
        "learning_rate": 0.001,
        "betas": [0.9, 0.999],
        "dropout": 0.5,
        "width": 8,
        "out_of_sample": False,
        "seed": 1,
    },
    "train_leanet": {
        "points": [1, 5],
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 0.001,
        "learning_rate_vgg": 0.001,
        "pretrained": False,
        "map_scale": 30,
        "seed": 1,
    },
    "sweep": {"rows": ["cnn"], "shares": [0.5], "point": 5},
    "package": {"kind": "ensemble", "dataset": None, "row": "cnn-direct", "point": 5, "criterion": "best-f1"},
    "execution": {"workers": 1},
}


def pytest_configure(config: pytest.Config) -> None:
    """What workers share: a core for each, and the Python that their commands are forks of."""
    if config.getoption("numprocesses", None):
        os.environ["OMP_NUM_THREADS"] = "1"  # threads of several processes would wait for one another, spinning
        os.environ[WARM] = str(_warm().folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last those that need a finished project: one of several workers makes it while the others are busy.

    Of those that run alone first: it is there by then, and they take longest.
    """
    items.sort(key=lambda item: ("finished" in item.fixturenames) != bool(item.get_closest_marker("alone")))


@dataclass(frozen=True)
class Project:
    """A copy of the project with the tiny settings."""

    root: Path

    def edit(self, path: str, value: object) -> None:
        """Set one dotted key of params.yaml."""
        file = self.root / "params.yaml"
        tree = yaml.safe_load(file.read_text())
        *sections, key = path.split(".")
        part = tree
        for section in sections:
            part = part[section]
        part[key] = value
        file.write_text(yaml.safe_dump(tree, sort_keys=False))

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a command in the project, with this environment's Python and tools first on the path."""
        warm = os.environ.get(WARM) or str(_warm().folder)
        tools = os.pathsep.join([warm, str(Path(sys.executable).parent), os.environ["PATH"]])
        settings = {"LEANET_TRACKING": "off", "DVC_NO_ANALYTICS": "1", **environment}
        env = os.environ | {"PATH": tools} | settings
        env.pop("DVC_ROOT", None)
        return subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def repro(self, *stages: str, **environment: str) -> set[str]:
        """`dvc repro`, of all stages or of these and what they depend on; those that it ran."""
        return self.ran("dvc", "repro", *stages, **environment)

    def ran(self, *command: str, **environment: str) -> set[str]:
        """The stages that a command of DVC's ran."""
        done = self.run(*command, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return {line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")}

    def metrics(self, dataset: str = "leaf") -> dict[str, dict]:
        """What the report has for DVC to show, by row."""
        folder = self.root / "metrics/rows" / dataset
        return {file.stem: json.loads(file.read_text()) for file in folder.iterdir()}

    def changed(self) -> set[str]:
        """The stages that `dvc status` finds changed: those whose own inputs, or outputs, did."""
        return set(json.loads(self.run("dvc", "status", "--json").stdout))

    def copy(self, to: Path) -> "Project":
        """The project as it stands, with its outputs and DVC's cache."""
        shutil.copytree(self.root, to, symlinks=True, copy_function=_link_or_copy)
        return Project(to)


@cache
def _warm() -> Warm:
    return Warm()


def _link_or_copy(source: str, target: str) -> None:
    """Copy a file; of what is never written in place, hundreds of MiB, make another name."""
    if any(place in source for place in ("/.dvc/cache/", "/models/detector/", ".weights.safetensors")):
        try:
            os.link(source, target)
            return
        except OSError:  # another disk
            pass
    shutil.copy2(source, target)


def make_tiny(root: Path) -> Project:
    """A copy of the project's own files in `root`."""
    root.mkdir(parents=True)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    for name in ("leanet", "stages", "settings"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    source = root / "data/sources/leaf.yaml"
    source.parent.mkdir(parents=True)
    source.write_text(yaml.safe_dump(TINY_SOURCE))
    (root / "metrics").mkdir()
    (root / "params.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    return Project(root)


def parameters() -> dict:
    """The content of params.yaml, here."""
    return settings.parse(Path("params.yaml"))


def call(script: ModuleType, *names: str) -> dict | None:
    """Run a stage's `main` in this process, here, with what it is handed."""
    return script.main(**stage.handed(script.__name__.removeprefix("stages."), script.main, names))


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Project:
    """A tiny project, nothing run yet, as the working directory."""
    project = make_tiny(tmp_path / "project")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A tiny project after one `dvc repro`, in a git repository; shared, so copy it before a change."""

    def make(root: Path) -> None:
        project = make_tiny(root)
        for tool in ("git", "dvc"):
            assert project.run(tool, "init", "-q").returncode == 0
        assert len(project.repro()) == 12

    return _once(tmp_path_factory, "finished", make)


@pytest.fixture(scope="session")
def attending(finished, tmp_path_factory) -> Project:
    """The same with a light detector, to register from, and to judge by; not to be changed otherwise."""

    def make(root: Path) -> None:
        project = finished.copy(root)
        project.edit("package.kind", "light")
        assert project.run("python", "-m", "stages.package").returncode == 0

    return _once(tmp_path_factory, "attending", make)


@pytest.fixture(scope="session")
def ensemble(finished, tmp_path_factory) -> Project:
    """A finished project to judge by: its detector is of all folds' networks; not to be changed."""
    return _once(tmp_path_factory, "ensemble", finished.copy)


def _once(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Project:
    """A project that is made once for all workers, and for both halves of `make test`, which names a folder."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    base = Path(os.environ.get("LEANET_TEST_PROJECTS", base))
    root = base / name / "project"
    with FileLock(base / f"{name}.lock"):
        if not root.exists():
            made = root.with_suffix(".new")
            make(made)
            made.rename(root)
    return Project(root)


@pytest.fixture
def tracked(finished, tmp_path, monkeypatch) -> Project:
    """A finished project to track into a store of its own, as the working directory."""
    project = finished.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return project


@contextmanager
def chromium(*arguments: str) -> Iterator["Browser"]:
    """Debian's chromium; where CI has set LEANET_BROWSER=required, its absence is a failure."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        assert os.environ.get("LEANET_BROWSER") != "required", "chromium is missing"
        pytest.skip("no chromium here: the page was not opened")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *arguments])
        yield opened
        opened.close()


@pytest.fixture
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def potato() -> Path:
    """The real PlantVillage Potato images, where they are."""
    folder = Path(os.environ.get("LEANET_REAL_DATA", ROOT.parent / "shared/data")) / "potato"
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; LEANET_REAL_DATA can name their folder")
    return folder
