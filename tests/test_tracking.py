"""What is logged to MLflow, and when; tests/test_tracking_faults.py has what becomes of it in trouble."""

import json
from pathlib import Path

import pytest
from mlflow_store import runs_by_name

from leanet.errors import InputError
from leanet.params import load
from leanet.tracking import track


def test_files_are_replayed_into_runs_once(tracked):
    assert track(load(), []) == 11
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
    tracked.edit("sweep.rows", [])
    assert tracked.repro(LEANET_TRACKING="on") == {"report"}
    _, runs = runs_by_name()
    assert len([run for run in runs if " " not in run]) == 10  # it, and what ran before tracking was on


def test_a_long_stage_is_logged_as_it_ends_and_a_short_one_with_the_report(tracked):
    log = tracked.root / "logs/split@leaf.json"
    for seconds in (299, 300):
        assert not Path("mlflow.db").exists()
        log.write_text(json.dumps({"started": 0, "seconds": seconds, "experiment": None}))
        assert (
            tracked.run("python", "-m", "leanet", "track", "split", "leaf", LEANET_TRACKING="on").returncode == 0
        )
    assert list(runs_by_name()[1]) == ["split@leaf"]


def test_off_logs_nothing(tracked):
    done = tracked.run("python", "-m", "leanet", "track", LEANET_TRACKING="off")
    assert done.stdout == "LEANET_TRACKING is off: nothing is logged\n"
    assert not (tracked.root / "mlflow.db").exists()


def test_a_stage_that_is_not_there_is_said(tracked):
    with pytest.raises(InputError, match="params.yaml has no stage train_leanet leaf vgg16"):
        track(load(), ["train_leanet", "leaf", "vgg16"])
