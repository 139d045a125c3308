"""The house: what may import what, and what a stage depends on."""

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, TINY

from leanet.run import pipeline

STAGES = (
    "check",
    "download",
    "split",
    "augment",
    "train_unet",
    "anomaly_maps",
    "baselines",
    "train_leanet",
    "sweep",
    "report",
    "package",
)
SCRIPTS = STAGES[1:]
# A room may import those before it.
ROOMS = (
    "core",
    "images",
    "training",
    "color",
    "attention",
    "evaluation",
    "report",
    "run",
    "revisions",
    "search",
    "tracking",
    "detector",
    "service",
    "review",
    "packaging",
    "cli",
)
NO_RESULT_DEPENDS_ON = {"device", "execution"}


def imports(file: Path) -> set[str]:
    """The modules of this project that a file names in its imports, as paths from the root."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {f"{name.replace('.', '/')}.py" for name in names}
    return {name for name in found if (ROOT / name).is_file()}


@cache
def imported(script: str) -> set[str]:
    """All that a script imports, directly or not."""
    found, waiting = set(), [script]
    while waiting:
        for name in imports(ROOT / waiting.pop()) - found:
            found.add(name)
            waiting.append(name)
    return found


def definitions() -> dict[str, dict]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def test_the_stages_are_those_of_the_paper_in_its_order():
    assert tuple(definitions()) == STAGES


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_imports_lies_within_the_folders_that_its_stage_names(name):
    folders = {dep for dep in definitions()[name]["deps"] if dep.startswith("leanet/")}
    modules = imported(f"stages/{name}.py")
    assert {str(Path(module).parent) for module in modules} == folders
    assert f"stages/{name}.py" in definitions()[name]["deps"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_stage_depends_on_the_sections_that_its_script_is_handed(name):
    handed = set(inspect.signature(importlib.import_module(f"stages.{name}").main).parameters)
    sections = {key.partition(".")[0] for key in definitions()[name].get("params", [])}
    assert sections == handed - {"dataset", "row"} - NO_RESULT_DEPENDS_ON


def test_the_first_stage_looks_at_every_section():
    assert sorted(definitions()["check"]["params"]) == sorted(TINY)


def test_every_room_is_in_order_and_imports_go_one_way():
    assert {folder.name for folder in (ROOT / "leanet").glob("*/") if folder.name != "__pycache__"} == set(ROOMS)
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for at, room in enumerate(ROOMS)
        for file in (ROOT / "leanet" / room).rglob("*.py")
        for name in imports(file)
        if name.startswith("leanet/") and name.count("/") > 1 and ROOMS.index(name.split("/")[1]) > at
    ]
    assert wrong == []


def test_training_knows_neither_images_nor_networks():
    for file in (ROOT / "leanet/training").glob("*.py"):
        assert {name.split("/")[1] for name in imports(file)} <= {"core", "training"}


def test_only_the_command_line_reads_the_whole_of_params_yaml():
    files = [file for folder in ("leanet", "stages") for file in (ROOT / folder).rglob("*.py")]
    readers = [file for file in files if "leanet/cli/params.py" in imports(file)]
    assert {file.relative_to(ROOT).parts[:2] for file in readers} == {("leanet", "cli")}


def test_packages_hold_nothing_but_their_description():
    for package in ROOT.glob("leanet/*/__init__.py"):
        if package.parent.name != "cli":
            body = ast.parse(package.read_text()).body
            assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


@pytest.mark.parametrize(("file", "most"), [("dvc.yaml", 170), ("README.md", 130)])
def test_what_one_reads_first_is_short(file, most):
    assert len((ROOT / file).read_text().splitlines()) <= most


def test_scripts_are_small():
    for script in ROOT.glob("stages/*.py"):
        assert len(script.read_text().splitlines()) <= 80, script


def test_the_stages_as_spelled_out_here_are_those_that_dvc_sees(finished, monkeypatch):
    """DVC's own reading of dvc.yaml is the oracle."""
    from dvc.repo import Repo

    def place(out) -> str:
        return out.fs.relpath(out.fs_path, str(finished.root))

    theirs = {}
    monkeypatch.chdir(finished.root)
    with Repo() as repo:
        for stage in repo.index.stages:
            params = [key for dep in stage.deps if hasattr(dep, "params") for key in dep.params]
            deps = sorted(place(dep) for dep in stage.deps if not hasattr(dep, "params"))
            theirs[stage.addressing] = (sorted(params), deps, sorted(map(place, stage.outs)))
    ours = {
        stage.address: (
            sorted(stage.params),
            sorted(dep.as_posix() for dep in stage.deps),
            sorted(out.as_posix() for out in stage.outs),
        )
        for stage in pipeline.stages(TINY, ROOT / "dvc.yaml")
    }
    assert ours == theirs
