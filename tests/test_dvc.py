"""The pipeline as DVC sees it: what depends on what, and what a change makes it run again."""

import ast
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from benchmarks.interrupted import COUNTING, epochs
from leanet.execution.code import imported_modules
from leanet.rows import BASELINES

STAGES = (
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


def stage_definitions() -> dict[str, dict]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_modules_it_imports(name):
    listed = [dep for dep in stage_definitions()[name]["deps"] if dep.endswith(".py")]
    assert sorted(listed) == sorted(imported_modules(ROOT / f"stages/{name}.py", ROOT))


def test_the_stages_are_those_of_the_paper_in_its_order():
    assert tuple(stage_definitions()) == STAGES


def test_packages_are_no_dependencies_because_they_hold_nothing():
    for package in ROOT.glob("leanet/*/**/__init__.py"):  # leanet itself hands out the Detector, to no stage
        body = ast.parse(package.read_text()).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def test_scripts_are_small():
    for script in ROOT.glob("stages/*.py"):
        assert len(script.read_text().splitlines()) <= 100, script


ROWS = {"train_leanet@leaf-cnn", "train_leanet@leaf-cnn-direct"}
TRAINED = {*ROWS, "sweep@leaf-cnn"}
FROM_UNET = {"train_unet@leaf", "anomaly_maps@leaf", "baselines@leaf", *TRAINED, "report", "package"}
FROM_SPLIT = {"split@leaf", "augment@leaf", *FROM_UNET}


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("device", "auto", set()),
        ("execution.workers", 2, set()),
        ("precision", "bf16", {"train_unet@leaf", "anomaly_maps@leaf", *TRAINED, "package"}),
        ("recipe", "paper", {"train_unet@leaf", *TRAINED, "report", "package"}),
        ("datasets.leaf.negatives", 8, {"split@leaf", "report", "package"}),
        ("split.repeats", 2, {"split@leaf", "report", "package"}),
        ("augment.std", 0.2, {"augment@leaf", "train_unet@leaf"}),
        ("train_unet.learning_rate", 0.002, {"train_unet@leaf"}),
        ("train_leanet.map_scale", "own-maximum", {*TRAINED, "package"}),
        ("train_leanet.epochs", 3, {*TRAINED, "report", "package"}),
        ("sweep.shares", [0.4], {"baselines@leaf", "sweep@leaf-cnn", "report"}),
        ("package.criterion", "recall 0.9", {"package"}),
    ],
)
def test_a_parameter_concerns_the_stages_that_read_it(finished, tmp_path, key, value, stages):
    project = finished.copy(tmp_path / "project")
    project.edit(key, value)
    assert project.changed() == stages


@pytest.mark.parametrize(
    ("key", "value", "runs"),
    [
        ("sweep.rows", [], {"report"}),
        ("rows", ["cnn", "cnn-direct", "cnn-resnet"], {"train_leanet@leaf-cnn-resnet", "report", "package"}),
    ],
)
def test_a_parameter_reruns_what_depends_on_it_and_nothing_else(finished, tmp_path, key, value, runs):
    project = finished.copy(tmp_path / "project")
    project.edit(key, value)
    assert project.repro() == runs
    assert project.repro() == set()


def test_a_changed_image_and_a_changed_module_concern_what_depends_on_them(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    tables = project.root / "leanet/report/tables.py"
    tables.write_text(tables.read_text() + "# a comment\n")
    assert project.repro() == {"report"}
    source = project.root / "data/sources/leaf.yaml"
    source.write_text(source.read_text().replace("seed: 3", "seed: 4"))
    assert project.changed() == {"download@leaf"}
    assert project.repro("split@leaf") == {"download@leaf", "split@leaf"}
    assert project.changed() == FROM_SPLIT - {"split@leaf"}


def test_how_pictures_look_retrains_nothing(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    pictures = project.root / "leanet/pictures.py"
    pictures.write_text(pictures.read_text().replace("inferno", "viridis"))
    assert project.repro() == {"augment@leaf", "anomaly_maps@leaf", "report"}


def test_what_is_added_is_all_that_is_trained(finished, tmp_path):
    """A second cross-validation, an attention point, a share of positives: each cell by each of its two epochs."""
    project = finished.copy(tmp_path / "project")
    (project.root / "sitecustomize.py").write_text(COUNTING)
    before = pd.read_csv(project.root / "data/cv/leaf/cnn-direct/predictions.csv")
    project.edit("split.repeats", 2)
    project.edit("train_leanet.points", [1, 3, 5])
    project.edit("sweep.shares", [0.7, 0.5])
    project.repro("sweep@leaf-cnn", *ROWS, PYTHONPATH=str(project.root), EPOCHS=str(project.root / "epochs.log"))
    added = {
        "train_unet@leaf": ["fold 2", "fold 3"],
        "train_leanet@leaf-cnn": [f"fold {fold} point 0 share 1" for fold in (2, 3)],
        "train_leanet@leaf-cnn-direct": [f"fold {fold} point 3 share 1" for fold in (0, 1)]
        + [f"fold {fold} point {point} share 1" for fold in (2, 3) for point in (1, 3, 5)],
        "sweep@leaf-cnn": [f"fold {fold} point 0 share 0.7" for fold in (0, 1)]
        + [f"fold {fold} point 0 share {share}" for fold in (2, 3) for share in (0.7, 0.5)],
    }
    trained = epochs(project.root)
    assert trained == {f"{address} {cell}": 2 for address, cells in added.items() for cell in cells}
    after = pd.read_csv(project.root / "data/cv/leaf/cnn-direct/predictions.csv")
    same = after[after["fold"].isin([0, 1]) & after["point"].isin([1, 5])]
    assert same.reset_index(drop=True).equals(before)


def test_a_second_run_waits_for_the_first(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    with (project.root / "logs/repro.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        second = subprocess.Popen(
            [sys.executable, "-m", "leanet", "repro"],
            cwd=project.root,
            env=os.environ | {"PATH": tools, "DVC_NO_ANALYTICS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = second.stderr.readline()
        assert said == f"leanet repro: waits for the one that runs in {project.root} already\n"
    assert "Data and pipelines are up to date." in second.communicate()[0]
    assert second.returncode == 0


def test_a_lock_that_a_full_disk_cut_off_stops_no_run(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    lock = project.root / ".dvc/tmp/rwlock"
    lock.write_text('{"data/split/leaf": {"read": [')
    assert project.run("dvc", "repro").returncode != 0
    assert "up to date" in project.run("python", "-m", "leanet", "repro").stdout


def test_a_removed_row_leaves_nothing_in_the_report(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.edit("rows", ["cnn"])
    project.repro()
    assert "cnn-direct" not in (project.root / "metrics/report.json").read_text()
    assert not (project.root / "data/cv/leaf/cnn-direct").exists()
    # Its four trainings, and the list of them.
    assert project.run("python", "-m", "leanet", "prune").stdout.startswith("5 files of trainings that no result")
    # A machine that never had the row agrees on every hash: nothing is left to run there.
    never = finished.copy(tmp_path / "never")
    never.edit("rows", ["cnn"])
    shutil.rmtree(never.root / "data/cv/leaf/cnn-direct")
    (never.root / "dvc.lock").write_text((project.root / "dvc.lock").read_text())
    for name in ("report", "metrics", ".dvc/cache"):
        shutil.rmtree(never.root / name)
        shutil.copytree(project.root / name, never.root / name)
    assert never.repro() == set()


def test_report_says_what_its_metrics_say(finished):
    metrics = json.loads((finished.root / "metrics/report.json").read_text())["leaf"]
    assert set(metrics) == {"anomaly_map", "cnn", "cnn-direct", *BASELINES}
    table = (finished.root / "metrics/report.md").read_text()
    for row in ("cnn", "cnn-direct"):
        assert f"{metrics[row]['f1']:.3f} ± {metrics[row]['deviation']:.3f}" in table
    pictures = sorted(file.name for file in (finished.root / "report/pictures").iterdir())
    assert pictures == ["leaf-cnn-direct-point1.png", "leaf-cnn-direct-point5.png"]
    assert (finished.root / "data/previews/leaf/maps.png").stat().st_size > 1000


def test_an_experiment_is_listed_compared_and_undone_without_training(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.run("git", "add", "-A")
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first"]
    assert project.run(*commit).returncode == 0
    files = [project.root / "data/cv/leaf/cnn-direct/predictions.csv", project.root / "metrics/report.json"]
    before = [file.read_bytes() for file in files]
    ran = project.ran("dvc", "exp", "run", "-n", "shorter", "-S", "train_leanet.epochs=1")
    assert ran == {*TRAINED, "report", "package"}
    assert all(file.read_bytes() != old for file, old in zip(files, before, strict=True))

    shown = project.run("dvc", "exp", "show", "--csv").stdout
    assert "shorter" in shown
    assert "leaf.cnn.f1" in shown
    shown = project.run("dvc", "metrics", "show", "--json")
    assert "cnn-direct" in json.loads(shown.stdout)[""]["data"]["metrics/report.json"]["data"]["leaf"]
    changed = json.loads(project.run("dvc", "params", "diff", "--json").stdout)
    assert list(changed["params.yaml"]) == ["train_leanet.epochs"]
    assert "leaf.cnn.auroc" in project.run("dvc", "metrics", "diff", "--all").stdout
    plots = project.run("dvc", "plots", "show", "--out", "plots")
    assert plots.returncode == 0, plots.stderr
    assert "leaf-cnn-direct-point5.png" in (project.root / "plots/index.html").read_text()

    project.edit("train_leanet.epochs", 2)
    # The report keeps its outputs in git, which switches the run-cache off for it alone.
    assert project.repro() == {"report"}
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rows", ["cnn", "cnn-dirct"], "params.yaml: rows has cnn-dirct, which is no row; near are cnn-direct"),
        ("split.folds", 9, "split.folds is 9, but there are only 6 anomalous images"),
    ],
)
def test_a_mistake_stops_the_pipeline_with_one_line(finished, tmp_path, key, value, said):
    project = finished.copy(tmp_path / "project")
    project.edit(key, value)
    done = project.run("dvc", "repro")
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
