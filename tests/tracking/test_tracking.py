"""What is logged to MLflow, and when; tests/test_tracking_faults.py has what becomes of it in trouble."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import parameters
from mlflow import MlflowClient
from mlflow_store import runs_by_name

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.images import imageset
from leanet.packaging.registry import register
from leanet.run import stage
from leanet.tracking.runs import track
from leanet.tracking.store import EXPERIMENT

CNN = ["train_leanet", "leaf", "cnn"]


def test_files_are_replayed_into_runs_once(tracked):
    assert track(parameters(), []) == 11
    client, runs = runs_by_name()
    assert track(parameters(), []) == 0
    assert runs_by_name()[1].keys() == runs.keys()

    row = runs["train_leanet@leaf-cnn-direct"]
    metrics = tracked.metrics()["cnn-direct"]
    assert row.data.metrics["f1.mean"] == pytest.approx(metrics["f1"], abs=1e-4)
    assert row.data.params["train_leanet.points"] == "[1, 5]"
    assert row.data.tags["dvc.stage"] == "train_leanet@leaf-cnn-direct"
    dataset = row.inputs.dataset_inputs[0].dataset
    assert (dataset.name, json.loads(dataset.profile)) == ("leaf", {"positives": 6, "negatives": 10})

    cell = runs["train_leanet@leaf-cnn-direct fold 1 point 5"]
    assert cell.data.tags["mlflow.parentRunId"] == row.info.run_id
    assert [point.step for point in client.get_metric_history(cell.info.run_id, "loss")] == [1, 2]
    pictures = {file.path for file in client.list_artifacts(runs["report"].info.run_id)}
    assert {"index.html", "leaf-maps.png", "leaf-overview.png", "leaf-cnn-direct-point5.png"} <= pictures


def test_a_new_result_is_a_new_run(tracked):
    track(parameters(), [])
    tracked.edit("train_leanet.learning_rate", 0.01)
    assert track(parameters(), ["train_leanet", "leaf", "cnn"]) == 1
    assert track(parameters(), ["train_leanet", "leaf", "cnn"]) == 0


def test_what_was_cut_off_is_logged_anew(tracked):
    track(parameters(), ["split", "leaf"])
    client, runs = runs_by_name()
    client.set_terminated(runs["split@leaf"].info.run_id, status="FAILED")
    assert track(parameters(), ["split", "leaf"]) == 1
    assert len(runs_by_name()[1]) == 1


@pytest.mark.parametrize("command", ["dvc repro", "python -m leanet repro"])
def test_a_run_is_logged_as_it_ends(tracked, command):
    tracked.edit("sweep.rows", [])
    assert tracked.ran(*command.split(), LEANET_TRACKING="on") == {"check", "report"}
    _, runs = runs_by_name()
    assert len([run for run in runs if " " not in run]) == 10  # it, and what ran before tracking was on


def test_a_result_that_dvc_restored_is_not_logged_as_the_last_run(tracked):
    """The log of the last run tells of another result: neither its time nor its experiment is that of this one."""
    log = tracked.root / "logs/train_leanet@leaf-cnn.json"
    facts = json.loads(log.read_text())
    log.write_text(json.dumps(facts | {"experiment": "trial", "started": 1, "seconds": 99}))
    track(parameters(), CNN)
    log.write_text(json.dumps(facts | {"experiment": "trial", "started": 1, "seconds": 99, "result": "another"}))
    tracked.edit("train_leanet.learning_rate", 0.01)
    track(parameters(), CNN)
    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    query = "tags.mlflow.runName = 'train_leanet@leaf-cnn'"
    first, last = client.search_runs([experiment], query, order_by=["attribute.start_time"])
    assert (first.data.tags["dvc.experiment"], first.info.start_time) == ("trial", 1000)
    assert (last.data.tags["dvc.experiment"], last.info.start_time == last.info.end_time) == ("", True)
    assert last.info.start_time > 10**12


def test_what_is_to_run_again_is_not_logged_with_settings_that_it_never_had(tracked, monkeypatch):
    """As between the report and the package of a run with other settings, or before any `dvc repro`."""
    tracked.edit("train_leanet.learning_rate", 0.01)
    track(parameters(), [])
    stages = {run.partition(" ")[0] for run in runs_by_name()[1]}
    assert "train_unet@leaf" in stages
    assert stages.isdisjoint({"train_leanet@leaf-cnn", "train_leanet@leaf-cnn-direct", "report", "package"})
    monkeypatch.setenv("DVC_STAGE", "report")  # it has just ended, and DVC notes it after that
    assert track(parameters(), []) == 1


def test_new_maps_are_a_new_result(tracked):
    assert track(parameters(), ["anomaly_maps", "leaf"]) == 1
    maps = tracked.root / "data/maps/leaf"
    array = np.load(maps / "fold0.npy")
    np.save(maps / "fold0.npy", array + 1)
    imageset.seal(maps)
    assert track(parameters(), ["anomaly_maps", "leaf"]) == 1


@pytest.mark.parametrize(("seconds", "logged"), [(299, []), (300, ["augment leaf"])])
def test_a_long_stage_is_logged_as_it_ends_and_a_short_one_with_the_report(tracked, monkeypatch, seconds, logged):
    asked, now = [], iter([0.0, float(seconds)])
    monkeypatch.setenv("DVC_STAGE", "augment@leaf")
    monkeypatch.setattr("sys.argv", ["augment", "leaf"])
    monkeypatch.setattr(stage, "time", SimpleNamespace(time=lambda: next(now), sleep=time.sleep))
    monkeypatch.setattr(stage.subprocess, "run", lambda command: asked.append(" ".join(command[4:])))
    stage.run("augment", lambda dataset: None)
    assert asked == logged


@pytest.mark.parametrize(("command", "what"), [("track", "logged"), ("register", "registered")])
def test_off_writes_nothing(tracked, command, what):
    done = tracked.run("python", "-m", "leanet", command, LEANET_TRACKING="off")
    assert (done.returncode, done.stdout) == (0, f"LEANET_TRACKING is off: nothing is {what}\n")
    assert not (tracked.root / "mlflow.db").exists()


def test_a_stage_that_is_not_there_is_said(tracked):
    with pytest.raises(InputError, match="params.yaml has no stage train_leanet leaf vgg16"):
        track(parameters(), ["train_leanet", "leaf", "vgg16"])


def test_a_project_that_was_copied_with_its_store_logs_to_its_own_place(tracked, tmp_path, monkeypatch):
    track(parameters(), ["split", "leaf"])
    track(parameters(), ["report"])
    assert [register(paths.DETECTOR).version for _ in range(2)] == ["1", "1"]
    before = {file: file.read_bytes() for file in (tracked.root / "mlruns").rglob("*") if file.is_file()}
    copy = tracked.copy(tmp_path / "copy")
    monkeypatch.chdir(copy.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # which MLflow has set: another process would not know of it
    assert track(parameters(), ["report"]) == 1
    assert track(parameters(), ["report"]) == 0
    assert [register(paths.DETECTOR).version for _ in range(2)] == ["2", "2"]
    client, runs = runs_by_name()
    assert runs.keys() == {"report"}
    assert client.list_artifacts(runs["report"].info.run_id)
    assert runs["report"].info.artifact_uri.startswith((copy.root / "mlruns").as_uri())
    left = [each for each in client.search_experiments() if each.name.startswith(f"{EXPERIMENT} ")]
    assert len(left) == 1
    assert len(client.search_runs([left[0].experiment_id])) == 2
    assert {file: file.read_bytes() for file in (tracked.root / "mlruns").rglob("*") if file.is_file()} == before
