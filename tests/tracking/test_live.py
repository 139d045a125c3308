"""Runs that are logged while a stage trains, and what becomes of them when it has ended, or has not."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, parameters
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow_store import Server, runs_by_name

from leanet.core import paths
from leanet.evaluation import predictions
from leanet.run import live as spools
from leanet.run.live import Spool
from leanet.tracking import live, store
from leanet.tracking.live import Followed
from leanet.tracking.runs import track
from leanet.tracking.store import EXPERIMENT
from leanet.training.job import Epoch, Job

ADDRESS = "train_leanet@leaf-cnn-direct"
STAGE = ["train_leanet", "leaf", "cnn-direct"]
NAMES = [{"fold": fold, "point": point} for fold in (0, 1) for point in (1, 5)]


@pytest.fixture
def jobs(tracked) -> dict[str, Job]:
    """The trainings of the stage by key, as they were when its result was made."""
    keys = json.loads(paths.needed(ADDRESS).read_text())
    return {key: Job(name, print, {}, {}, epochs=2) for key, name in zip(keys, NAMES, strict=True)}


def say(spool: Spool, job: Job, number: int) -> None:
    """An epoch as the training had it."""
    history = predictions.read_history(paths.cv("leaf", "cnn-direct"))
    of_training = history[(history["fold"] == job.name["fold"]) & (history["point"] == job.name["point"])]
    spool.epoch(job, Epoch(number, of_training["loss"].iloc[number - 1], 0.001, 50.0))


def followed() -> Followed:
    file = spools.file(ADDRESS)
    return Followed(file, spools.header(file))


def log(each: Followed) -> None:
    with store.opened(None) as (client, experiment):
        each.log(client, experiment)


def found() -> tuple[MlflowClient, dict[str, Run]]:
    client = MlflowClient(store.address())
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return client, {run.info.run_name: run for run in runs}


def losses(client: MlflowClient, run: Run) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss"))


def eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.2)


def test_what_is_seen_while_it_trains_is_completed_by_its_result(jobs):
    spool = Spool(ADDRESS, jobs)
    first, second, *_ = jobs.values()
    say(spool, first, 1)
    say(spool, second, 1)
    watching = followed()
    log(watching)
    say(spool, second, 2)
    spool.ended(second)
    log(watching)
    client, runs = found()
    assert set(runs) == {ADDRESS, f"{ADDRESS} fold 0 point 1", f"{ADDRESS} fold 0 point 5"}
    assert {name: run.info.status for name, run in runs.items()} == {
        ADDRESS: "RUNNING",
        f"{ADDRESS} fold 0 point 1": "RUNNING",
        f"{ADDRESS} fold 0 point 5": "FINISHED",
    }
    assert [step for step, _ in losses(client, runs[f"{ADDRESS} fold 0 point 5"])] == [1, 2]
    assert runs[f"{ADDRESS} fold 0 point 1"].data.metrics["images_per_second"] == 50

    assert track(parameters(), STAGE) == 1  # the rest of the lines never came
    client, done = runs_by_name()
    assert {name: run.info.run_id for name, run in done.items()}.items() >= {
        name: run.info.run_id for name, run in runs.items()
    }.items()
    history = predictions.read_history(paths.cv("leaf", "cnn-direct"))
    for job in jobs.values():
        name = f"{ADDRESS} " + live.called(job.name, {})
        of_training = history[(history["fold"] == job.name["fold"]) & (history["point"] == job.name["point"])]
        expected = list(zip(of_training["epoch"], of_training["loss"], strict=True))
        assert losses(client, done[name]) == expected
        assert "auroc" in done[name].data.metrics
    assert done[ADDRESS].data.params["train_leanet.points"] == "[1, 5]"
    assert not spools.file(ADDRESS).exists()
    assert track(parameters(), STAGE) == 0


def test_a_stage_that_was_killed_is_said_to_be_and_goes_on_in_its_run(jobs, monkeypatch):
    spool = Spool(ADDRESS, jobs)
    job = next(iter(jobs.values()))
    say(spool, job, 1)
    monkeypatch.setattr(live, "is_running", lambda process: False)
    log(followed())
    assert {run.info.status for run in found()[1].values()} == {"KILLED"}

    monkeypatch.setattr(live, "is_running", lambda process: True)
    spools.file(ADDRESS).write_bytes(spools.file(ADDRESS).read_bytes() + b'{"name": {"fo')  # as it wrote
    say(Spool(ADDRESS, jobs), job, 2)
    log(followed())
    client, runs = found()
    assert {run.info.status for run in runs.values()} == {"RUNNING"}
    assert len(runs) == 2
    assert [step for step, _ in losses(client, runs[f"{ADDRESS} fold 0 point 1"])] == [1, 2]


def test_a_run_of_settings_that_were_given_up_is_left_as_killed(jobs):
    others = {f"another-{key}": job for key, job in jobs.items()}
    spool = Spool(ADDRESS, others)
    say(spool, next(iter(others.values())), 1)
    log(followed())
    begun = found()[1][ADDRESS].info.run_id
    assert track(parameters(), STAGE) == 1
    client, _ = found()
    assert client.get_run(begun).info.status == "KILLED"
    finished = [run for run in client.search_runs(["1"]) if run.info.status == "FINISHED"]
    assert len(finished) == 5
    assert begun not in {run.info.run_id for run in finished}


def test_a_stage_that_trains_twice_is_one_run(jobs):
    """As `package` does: a colouriser, then a network on its maps."""
    following = None
    for key, job in list(jobs.items())[:2]:
        spool = Spool(ADDRESS, {key: job})
        say(spool, job, 1)
        following = following or followed()
        log(following)
        spool.ended(job)
        spool.close()
        log(following)
    _, runs = found()
    names = [ADDRESS, f"{ADDRESS} fold 0 point 1", f"{ADDRESS} fold 0 point 5"]
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(names, "FINISHED")
    track(parameters(), STAGE)
    _, finished = runs_by_name()
    assert {runs[name].info.run_id for name in names} == {finished[name].info.run_id for name in names}


def test_a_result_that_is_there_already_is_there_once(jobs):
    track(parameters(), STAGE)
    before = {run.info.run_id for run in runs_by_name()[1].values()}
    spool = Spool(ADDRESS, jobs)  # the same trainings, done again
    say(spool, next(iter(jobs.values())), 1)
    log(followed())
    assert track(parameters(), STAGE) == 0
    assert {run.info.run_id for run in runs_by_name()[1].values()} == before


def test_who_has_the_store_need_not_wait_for_who_waits_for_it(jobs, monkeypatch):
    """`leanet track` has the store, then its turn; beside it, what follows a stage that trains."""
    spool = Spool(ADDRESS, jobs)
    say(spool, next(iter(jobs.values())), 1)
    asks, opened = threading.Event(), store.opened

    def ask(patience: float | None):
        asks.set()
        return opened(patience)

    with store.opened(None):
        monkeypatch.setattr(store, "opened", ask)
        following = threading.Thread(target=live._look, args=({},))
        following.start()
        assert asks.wait(60)
        with live.turn(5):
            pass
    following.join()
    assert len(found()[1]) == 2  # of the stage, and of its training


def test_names_sort_as_numbers_do(jobs):
    many = {str(fold): Job({"fold": fold, "share": 0.25}, print, {}, {}, epochs=1) for fold in (9, 10)}
    spool = Spool(ADDRESS, many)
    for job in many.values():
        spool.epoch(job, Epoch(1, 0.5, 0.001, 50.0))
    log(followed())
    assert sorted(found()[1])[1:] == [f"{ADDRESS} fold 09 share 0.25", f"{ADDRESS} fold 10 share 0.25"]


def test_epochs_before_the_training_proper_are_not_logged(jobs):
    spool = Spool(ADDRESS, jobs)
    spool.epoch(next(iter(jobs.values())), Epoch(0, 0.5, 0.001, 50.0))
    assert len(spools.file(ADDRESS).read_text().splitlines()) == 1


def test_a_full_disk_costs_no_training(jobs, monkeypatch):
    spool = Spool(ADDRESS, jobs)
    monkeypatch.setattr(spool, "_write", lambda line: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
    say(spool, next(iter(jobs.values())), 1)
    paths.LOGS.joinpath("live").chmod(0o500)
    spools.file(ADDRESS).unlink()
    Path(spools.FOLDER).rename("elsewhere")
    Path(spools.FOLDER).write_text("no folder")
    say(Spool(ADDRESS, jobs), next(iter(jobs.values())), 1)


@pytest.mark.alone
def test_a_server_that_is_killed_in_the_middle_has_all_of_it_once(jobs, tracked: Project, tmp_path, monkeypatch):
    server = Server(tmp_path)
    server.start()
    server.wait()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    spool = Spool(ADDRESS, jobs)
    job = next(iter(jobs.values()))
    numbers = iter(range(1, 1000))

    def say_next() -> None:
        spool.epoch(job, Epoch(next(numbers), 0.5, 0.001, 50.0))

    def seen() -> list[int]:
        runs = found()[1]
        return [step for step, _ in losses(found()[0], runs[f"{ADDRESS} fold 0 point 1"])] if len(runs) > 1 else []

    say_next()
    following = subprocess.Popen([sys.executable, "-m", "leanet.tracking.live"], cwd=tracked.root)
    try:
        eventually(lambda: seen() == [1])
        server.kill()
        for _ in range(3):
            say_next()
        time.sleep(1)  # it tries, and gets no answer
        say_next()
        server.start()
        server.wait()
        eventually(lambda: seen() == [1, 2, 3, 4, 5])
        following.kill()  # and another goes on
        following.wait()
        say_next()
        following = subprocess.Popen([sys.executable, "-m", "leanet.tracking.live"], cwd=tracked.root)
        eventually(lambda: seen() == [1, 2, 3, 4, 5, 6])
        second = subprocess.run([sys.executable, "-m", "leanet.tracking.live"], cwd=tracked.root, timeout=600)
        assert second.returncode == 0  # it leaves the work to the one that is there
    finally:
        following.kill()
        following.wait()
        server.kill()
