"""From a commit to its runs in MLflow, and from a run to what it came from."""

import json
import subprocess

import pytest
from conftest import Project, parameters
from mlflow_store import runs_by_name

from leanet import cli
from leanet.run import lock
from leanet.tracking import commits, store
from leanet.tracking.runs import track

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")


@pytest.fixture
def committed(tracked) -> Project:
    for command in (("add", "-A"), ("commit", "-qm", "results")):
        assert tracked.run(*GIT, *command).returncode == 0
    return tracked


def leanet(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["leanet", *words])
    cli.main()


def found(locked: dict) -> dict[str, str]:
    with store.opened(None) as (client, experiment):
        return {address: run.info.run_id for address, run in commits.runs_of(client, experiment, locked).items()}


def test_a_commit_leads_to_its_runs_and_a_run_to_its_inputs(committed, monkeypatch, capsys):
    track(parameters(), [])
    _, runs = runs_by_name()
    expected = {name: run.info.run_id for name, run in runs.items() if " " not in name}
    assert found(lock.here()) == expected
    assert len(expected) == 11

    leanet(monkeypatch, "runs")
    said = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert said == expected

    run = runs["train_leanet@leaf-cnn"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert run.data.tags["mlflow.source.git.commit"] == head
    known = json.loads(run.data.tags[commits.LOCK])
    entry = lock.here()["train_leanet@leaf-cnn"]
    assert known["outs"] == {"data/cv/leaf/cnn": entry["outs"][0]["md5"]}
    assert known["deps"]["data/maps/leaf"] == lock.here()["anomaly_maps@leaf"]["outs"][0]["md5"]


def test_results_that_are_others_have_no_runs_here(committed):
    track(parameters(), ["train_leanet", "leaf", "cnn"])
    locked = lock.here()
    assert set(found(locked)) == {"train_leanet@leaf-cnn"}
    locked["train_leanet@leaf-cnn"]["outs"][0]["md5"] = "0" * 32
    assert found(locked) == {}


def test_a_stage_that_dvc_has_not_noted_yet_is_known_by_the_next_time(committed, monkeypatch):
    """Within a stage, dvc.lock still has its entry of the time before."""
    monkeypatch.setenv("DVC_STAGE", "report")
    track(parameters(), [])
    assert set(lock.here()) - set(found(lock.here())) == {"check", "report"}
    monkeypatch.delenv("DVC_STAGE")
    assert track(parameters(), []) == 0
    assert set(lock.here()) - set(found(lock.here())) == {"check"}


def test_the_page_of_a_comparison_is_kept_with_the_report(committed, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="MLflow has no run of workspace's report; `leanet track`"):
        leanet(monkeypatch, "compare", "--track")
    track(parameters(), [])
    leanet(monkeypatch, "compare", "--track")
    client, runs = runs_by_name()
    assert "compare-HEAD.html" in {file.path for file in client.list_artifacts(runs["report"].info.run_id)}
