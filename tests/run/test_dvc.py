"""The pipeline as DVC sees it: what depends on what, and what a change makes it run again."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

from benchmarks.interrupted import COUNTING, epochs
from leanet.core import paths
from leanet.evaluation.baselines import BASELINES

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
        ("split.repeats", 2, {"split@leaf", "report"}),
        ("augment.std", 0.2, {"train_unet@leaf", "report", "package"}),
        ("train_unet.learning_rate", 0.002, {"train_unet@leaf", "package"}),
        ("train_leanet.map_scale", "own-maximum", {*TRAINED, "report", "package"}),
        ("train_leanet.epochs", 3, {*TRAINED, "report", "package"}),
        ("sweep.shares", [0.4], {"baselines@leaf", "sweep@leaf-cnn", "report"}),
        ("package.criterion", "recall 0.9", {"package"}),
    ],
)
def test_a_parameter_concerns_the_stages_that_read_it(finished, tmp_path, key, value, stages):
    project = finished.copy(tmp_path / "project")
    project.edit(key, value)
    assert project.changed() == {"check"} | stages


def test_a_changed_image_concerns_what_depends_on_it(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    source = project.root / "data/sources/leaf.yaml"
    source.write_text(source.read_text().replace("seed: 3", "seed: 4"))
    shutil.copy(ROOT / ".dvc/config", project.root / ".dvc/config")
    assert project.changed() == {"download@leaf"}
    assert project.repro("split@leaf") == {"download@leaf", "split@leaf"}
    # One copy on the disk of what DVC's cache holds, too.
    assert (project.root / paths.split("leaf") / "images.npy").stat().st_nlink == 2
    assert project.changed() == FROM_SPLIT - {"split@leaf"}


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
        "train_unet@leaf": ["colouriser fold2", "colouriser fold3"],
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
        second = subprocess.Popen(
            [sys.executable, "-m", "leanet", "repro"],
            cwd=project.root,
            env=os.environ | {"PATH": os.defpath, "DVC_NO_ANALYTICS": "1"},  # no environment is activated
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


def test_a_row_that_comes_and_goes_concerns_itself_and_leaves_nothing(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.edit("package.row", None)
    project.edit("rows", ["cnn", "cnn-direct", "cnn-resnet"])
    assert project.repro("report") == {"check", "train_leanet@leaf-cnn-resnet", "report"}
    assert project.repro("report") == set()

    project.edit("rows", ["cnn"])
    assert project.repro("report") == {"check", "report"}
    assert {row for row in project.metrics() if row.startswith("cnn")} == {"cnn"}
    assert [folder.name for folder in (project.root / "data/cv/leaf").glob("cnn*")] == ["cnn"]
    kept = project.root / "data/kept"
    trained = {key for row in ("direct", "resnet") for key in keys(kept / f"train_leanet@leaf-cnn-{row}.json")}
    assert project.run("python", "-m", "leanet", "prune").returncode == 0
    lists = {file.stem: keys(file) for file in kept.glob("*.json")}
    assert set(lists) == {"package", "sweep@leaf-cnn", "train_leanet@leaf-cnn", "train_unet@leaf"}
    left = {file.name.split(".")[0] for file in kept.glob("*.safetensors")}
    assert left == set().union(*lists.values())
    assert not left & (trained - lists["package"])
    # A machine that never had the rows agrees on every hash: nothing is left to run there.
    never = finished.copy(tmp_path / "never")
    never.edit("package.row", None)
    never.edit("rows", ["cnn"])
    shutil.rmtree(never.root / "data/cv/leaf/cnn-direct")
    (never.root / "dvc.lock").write_text((project.root / "dvc.lock").read_text())
    for name in ("report", "metrics", ".dvc/cache"):
        shutil.rmtree(never.root / name)
        shutil.copytree(project.root / name, never.root / name)
    assert never.repro("report") == set()


def keys(file: Path) -> set[str]:
    return set(json.loads(file.read_text()))


def test_report_says_what_its_metrics_say(finished):
    metrics = finished.metrics()
    assert set(metrics) == {"anomaly-map", "cnn", "cnn-direct", *BASELINES}
    table = (finished.root / "metrics/report.md").read_text()
    for row in ("cnn", "cnn-direct"):
        assert f"{metrics[row]['f1']:.3f} ± {metrics[row]['deviation']:.3f}" in table
    pictures = sorted(file.name for file in (finished.root / "report/pictures").iterdir())
    drawn = ["altered", "augment", "cnn-direct-point1", "cnn-direct-point5", "maps", "overview"]
    plots = ["confusion", "f1", "loss", "precision-recall", "sweep"]
    assert pictures == [*(f"leaf-{name}.png" for name in drawn), *(f"plot-leaf-{name}.png" for name in plots)]


def test_an_experiment_is_listed_compared_and_undone_without_training(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.run("git", "add", "-A")
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first"]
    assert project.run(*commit).returncode == 0
    files = [project.root / "data/cv/leaf/cnn-direct/predictions.csv", project.root / "metrics/rows/leaf/cnn.json"]
    before = [file.read_bytes() for file in files]
    ran = project.ran("dvc", "exp", "run", "-n", "shorter", "-S", "train_leanet.epochs=1", "report")
    assert ran == TRAINED | {"check", "report"}
    assert all(file.read_bytes() != old for file, old in zip(files, before, strict=True))

    shown = project.run("dvc", "exp", "show", "--csv").stdout
    assert "shorter" in shown
    assert "metrics/rows/leaf/cnn.json:f1" in shown
    shown = project.run("dvc", "metrics", "show").stdout.splitlines()
    assert {line.split()[0] for line in shown[1:]} >= {"metrics/rows/leaf/cnn-direct.json"}
    assert max(map(len, shown)) <= 100  # it fits on a screen
    changed = json.loads(project.run("dvc", "params", "diff", "--json").stdout)
    assert list(changed["params.yaml"]) == ["train_leanet.epochs"]
    assert "leaf/cnn.json" in project.run("dvc", "metrics", "diff", "--all").stdout
    plots = project.run("dvc", "plots", "show", "--out", "plots")
    assert plots.returncode == 0, plots.stderr
    page = (project.root / "plots/index.html").read_text()
    for name in ("leaf-cnn-direct-point5", "plot-leaf-f1", "plot-leaf-confusion", "plot-leaf-sweep"):
        assert f"{name}.png" in page
    assert "<script" not in page  # it needs no network

    project.edit("train_leanet.epochs", 2)
    # The report keeps its outputs in git, which switches the run-cache off for it alone.
    assert project.repro("report") == {"report"}
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rows", ["cnn", "cnn-dirct"], "params.yaml: rows has cnn-dirct, which is no row; near are cnn-direct"),
        ("datasets.leaf.negatives", 1, "1 normal image; expected at least 4, of 4 groups"),
    ],
)
def test_a_mistake_stops_the_pipeline_with_one_line(finished, tmp_path, key, value, said):
    project = finished.copy(tmp_path / "project")
    project.edit(key, value)
    done = project.run("dvc", "repro")
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
