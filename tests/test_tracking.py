import json
import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from leanet.errors import InputError
from leanet.params import load
from leanet.tracking import EXPERIMENT, track


@pytest.fixture
def tracked(finished, tmp_path, monkeypatch):
    """A finished project to track into a store of its own, as the working directory."""
    project = finished.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return project


def runs_by_name():
    # By its whole path: MLflow keeps one store open for each address.
    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment], max_results=1000)
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names)), "a run is there twice"
    return client, dict(zip(names, runs, strict=True))


def test_files_are_replayed_into_runs_once(tracked):
    assert track(load(), []) == 10
    client, runs = runs_by_name()
    assert track(load(), []) == 0
    assert runs_by_name()[1].keys() == runs.keys()

    row = runs["train_leanet@leaf-cnn-direct"]
    metrics = json.loads((tracked.root / "metrics/report.json").read_text())["leaf"]["cnn-direct"]
    assert row.data.metrics["f1.mean"] == pytest.approx(metrics["f1"], abs=1e-4)
    assert row.data.params["train_leanet.points"] == "[1, 5]"
    assert row.data.tags["dvc.stage"] == "train_leanet@leaf-cnn-direct"
    dataset = row.inputs.dataset_inputs[0].dataset
    assert (dataset.name, json.loads(dataset.profile)) == ("leaf", {"positives": 6, "negatives": 10})

    cell = runs["train_leanet@leaf-cnn-direct fold 1 point 5"]
    assert cell.data.tags["mlflow.parentRunId"] == row.info.run_id
    assert [point.step for point in client.get_metric_history(cell.info.run_id, "loss")] == [1, 2]
    pictures = [file.path for file in client.list_artifacts(runs["anomaly_maps@leaf"].info.run_id)]
    assert pictures == ["maps.png"]
    assert "overview.png" in [file.path for file in client.list_artifacts(runs["split@leaf"].info.run_id)]


def test_a_new_result_is_a_new_run(tracked):
    track(load(), [])
    tracked.edit("train_leanet.learning_rate", 0.01)
    assert track(load(), ["train_leanet", "leaf", "cnn"]) == 1
    assert track(load(), ["train_leanet", "leaf", "cnn"]) == 0


def test_what_was_cut_off_is_logged_anew(tracked):
    track(load(), ["split", "leaf"])
    client, runs = runs_by_name()
    client.set_terminated(runs["split@leaf"].info.run_id, status="FAILED")
    assert track(load(), ["split", "leaf"]) == 1
    assert len(runs_by_name()[1]) == 1


def test_a_run_is_logged_as_it_ends(tracked):
    tracked.edit("train_leanet.points", [2, 5])
    ran = tracked.repro(LEANET_TRACKING="on")
    _, runs = runs_by_name()
    assert {run for run in runs if " " not in run} > ran  # and what ran before it was on


def test_a_long_stage_is_logged_as_it_ends_and_a_short_one_with_the_report(tracked):
    log = tracked.root / "logs/split@leaf.json"
    for seconds in (299, 300):
        assert not Path("mlflow.db").exists()
        log.write_text(json.dumps({"started": 0, "seconds": seconds, "experiment": None}))
        assert (
            tracked.run("python", "-m", "leanet", "track", "split", "leaf", LEANET_TRACKING="on").returncode == 0
        )
    assert list(runs_by_name()[1]) == ["split@leaf"]


def test_a_server_that_is_down_costs_a_warning_and_no_training(tracked):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    down = {"LEANET_TRACKING": "on", "MLFLOW_TRACKING_URI": address}
    in_stage = tracked.run("python", "-m", "leanet", "track", "report", **down)
    assert in_stage.returncode == 0
    assert "warning: MLflow at" in in_stage.stderr
    by_hand = tracked.run("python", "-m", "leanet", "track", **down)
    assert by_hand.returncode == 1
    assert "`python -m leanet track` tries again" in by_hand.stderr
    assert "Traceback" not in in_stage.stderr + by_hand.stderr


def test_off_logs_nothing(tracked, monkeypatch):
    monkeypatch.setenv("LEANET_TRACKING", "off")
    assert track(load(), []) == 0
    assert not (tracked.root / "mlflow.db").exists()


def test_without_mlflow_one_line_says_so(tracked, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(InputError, match="MLflow is not installed"):
        track(load(), [])
