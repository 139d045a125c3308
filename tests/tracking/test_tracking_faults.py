"""Tracking in trouble: it costs a stage one line and a few seconds, and later every run is there once."""

import logging
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import mlflow
import pytest
from conftest import parameters
from loopback import Answer, Loopback
from mlflow.exceptions import MlflowException
from mlflow_store import Server, answers, runs_by_name

from leanet import cli
from leanet.tracking import live, store
from leanet.tracking import runs as tracking

pytestmark = pytest.mark.alone

LOOK = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={store.EXPERIMENT}"
WRITE = "/api/2.0/mlflow/runs/log-batch"
UNET = ["train_unet", "leaf"]
UNET_RUNS = {"train_unet@leaf", "train_unet@leaf colouriser fold0", "train_unet@leaf colouriser fold1"}
LATER = "; `leanet track` brings them in later\n"


@pytest.fixture
def command(tracked, monkeypatch, capfd):
    """`python -m leanet track …` in this process: exit status, what it wrote to stderr, and seconds."""

    def run(*stage: str) -> tuple[int, str, float]:
        monkeypatch.setattr(sys, "argv", ["leanet", "track", *stage])
        began, status, last = time.monotonic(), 0, ""
        try:
            cli.main()
        except SystemExit as end:
            status, last = 1, f"{end.code}\n"
        return status, capfd.readouterr().err + last, time.monotonic() - began

    yield run
    logging.disable(logging.NOTSET)


SERVER_FAULTS = {
    "hangs": (Answer(gate=threading.Event()), "TimeoutError"),
    "drips": (Answer(b" " * 100, drip=0.3), "TimeoutError"),
    "fails": (Answer(b"<html>\nInternal error", status=500), "too many 500 error responses"),
    "is another": (Answer(b"<html>\n<title>Sign in</title>"), "not in a valid JSON format.*Sign in"),
    "knows no such user": (Answer(b"Who are you?", status=401), "401.*Who are you?"),
    "forbids": (Answer(b'{"error_code": "PERMISSION_DENIED", "message": "no"}', status=403), "DENIED: no"),
    "is asked too much": (Answer(status=429, headers={"Retry-After": "3600"}), "too many 429 error responses"),
    "dies in its answer": (Answer(b"{}", cut=1), "IncompleteRead"),
}


@pytest.mark.parametrize("place", [LOOK, WRITE], ids=["at once", "in the middle"])
@pytest.mark.parametrize("fault", SERVER_FAULTS)
def test_a_server_that(command, monkeypatch, fault, place):
    answer, reason = SERVER_FAULTS[fault]
    monkeypatch.setattr(store, "PATIENCE", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "12")
    pages = answers()
    pages[place] = answer if place == LOOK else [Answer(pages[place]), answer]
    with Loopback(pages) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address("").replace("//", "//me:secret@"))
        status, said, seconds = command("report")
        assert (status, said.count("\n")) == (0, 1)
        assert said.startswith(f"warning: MLflow at {server.address('')} did not take the runs (")
        assert said.endswith(LATER)
        assert re.search(reason, said)
        assert len(server.asked[place]) == (1 if place == LOOK else 2)
        assert seconds < 45  # MLflow by itself waits for minutes

        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        if fault != "drips":  # by hand one may wait for it
            status, said, _ = command()
            assert (status, said.count("\n")) == (1, 1)
            assert said.startswith("leanet: MLflow at")
            assert said.endswith(LATER)


def test_a_server_that_is_slow_costs_no_more_than_one_that_hangs(command, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 1.5)
    with Loopback({path: Answer(body, drip=0.7 / (len(body) - 1)) for path, body in answers().items()}) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address(""))
        status, said, seconds = command("report")
        # Two answers and a half fit into its patience; on a busy machine fewer.
        assert 1 <= sum(map(len, server.asked.values())) <= 3
    assert (status, said.count("\n")) == (0, 1)
    assert seconds < 45  # MLflow by itself waits for minutes


def test_a_server_that_answers_steadily_may_take_longer_and_falter(tracked, monkeypatch):
    pages = {path: Answer(body, drip=0.15 / (len(body) - 1)) for path, body in answers().items()}
    steady = pages["/api/2.0/mlflow/runs/update"]
    pages["/api/2.0/mlflow/runs/update"] = [steady, steady, replace(steady, drip=0.7)]
    with Loopback(pages) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address(""))
        began = time.monotonic()
        assert tracking.track(parameters(), UNET, patience=1) == 1
        assert time.monotonic() - began > 1 + 0.7


def test_only_the_first_stage_and_the_report_wait_for_a_server(command, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.6)
    with Loopback(answers() | {LOOK: Answer(gate=threading.Event())}) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address(""))
        warned = [bool(command(*stage)[1]) for stage in (["split", "leaf"], ["augment", "leaf"], UNET, ["report"])]
        assert warned == [True, False, False, True]
        assert len(server.asked[LOOK]) == 2
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert command(*UNET)[:2] == (0, "")  # the next run of the pipeline
    assert runs_by_name()[1].keys() == UNET_RUNS


def test_the_process_ends_though_its_server_never_answers(tracked):
    with Loopback({LOOK: Answer(gate=threading.Event())}) as server:
        began = time.monotonic()
        done = tracked.run(
            *(sys.executable, "-m", "leanet", "track", "report"),
            LEANET_TRACKING="on",
            MLFLOW_TRACKING_URI=server.address(""),
            MLFLOW_HTTP_REQUEST_TIMEOUT="600",
        )
        assert time.monotonic() - began < 550  # of the 600 that MLflow was told to wait
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "", 1)


def no_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")


def no_such_kind_of_store(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "odd://store")


def no_database(_):
    Path("mlflow.db").write_bytes(b"no database" * 1000)


def a_folder_as_database(_):
    Path("mlflow.db").mkdir()


def a_file_as_folder_of_artifacts(_):
    Path("mlruns").touch()


def no_mlflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)


def a_cut_log(_):
    Path("logs/download@leaf.json").write_text('{"started": 1')


def control_c(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "opened", interrupt)


TROUBLE = {
    no_server: "ConnectionRefusedError: ",
    no_such_kind_of_store: "KeyError: 'odd'",
    no_database: "DatabaseError: file is not a database",
    a_folder_as_database: "IsADirectoryError: ",
    a_file_as_folder_of_artifacts: "NotADirectoryError: ",
    no_mlflow: "ModuleNotFoundError: ",
    a_cut_log: "JSONDecodeError: ",
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_is_one_line_and_fails_no_stage(command, monkeypatch, trouble):
    trouble(monkeypatch)
    for stage, status, began in ((["report"], 0, "warning"), ([], 1, "leanet")):
        ended, said, _ = command(*stage)
        assert (ended, said.count("\n")) == (status, 1)
        assert said.startswith(f"{began}: MLflow at {store.address()} did not take the runs ({TROUBLE[trouble]}")
        assert said.endswith(LATER)


ADDRESSES = (
    "http://me:secret@127.0.0.1:1",
    "http://me:se/cret@127.0.0.1:1",
    "https://me:se?cret@127.0.0.1:1",
    "http://me:secret@[::1",
    "me:secret@127.0.0.1:1",
    "postgresql://me:secret@127.0.0.1:1/db",
    "postgresql://me:se/cret@127.0.0.1:1/db?connect_timeout=1",
    "odd://me:secret@127.0.0.1",
)
COMMANDS = (
    "predict a.png --detector models:/leanet-leaf@champion",
    "register",
    "promote 1",
    "track",
    "track report",
)


@pytest.mark.parametrize("called", COMMANDS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_password_is_printed(tracked, monkeypatch, capfd, called, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setattr(sys, "argv", ["leanet", *called.split()])
    ended = ""
    try:
        cli.main()
    except SystemExit as end:
        ended = f"{end.code}\n"
    finally:
        logging.disable(logging.NOTSET)
    said = "".join(capfd.readouterr()) + ended
    assert re.match("(leanet|warning): .*(MLflow at|MLFLOW_TRACKING_URI is) ", said)
    assert said.count("\n") == 1
    assert not re.search("cret|me:", said)


def test_an_interruption_and_what_is_no_address_are_one_line(command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "127.0.0.1:9")
    expected = "expected an address such as http://HOST:5000 or sqlite:///mlflow.db"
    assert command()[:2] == (1, f"leanet: MLFLOW_TRACKING_URI is 127.0.0.1:9, {expected}\n")
    control_c(monkeypatch)
    assert command()[:2] == (1, f"leanet: interrupted{LATER}")
    assert command("report")[:2] == (0, f"warning: interrupted{LATER}")


def test_a_deleted_experiment_is_named_with_the_way_out(command):
    command("split", "leaf")
    client, runs = runs_by_name()
    client.delete_experiment(runs["split@leaf"].info.experiment_id)
    status, said, _ = command(*UNET)
    assert (status, said.count("\n")) == (0, 1)
    client.restore_experiment(re.search("`mlflow experiments restore -x (.+?)`", said)[1])
    Path("logs/untracked").unlink()
    assert command(*UNET)[:2] == (0, "")
    assert runs_by_name()[1].keys() == UNET_RUNS | {"split@leaf"}


def test_an_experiment_that_another_process_makes_first_is_taken(tracked, monkeypatch):
    tracking.track(parameters(), ["split", "leaf"])
    look = mlflow.MlflowClient.get_experiment_by_name
    seen = iter([None])
    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", lambda *a: next(seen, look(*a)))
    assert tracking.track(parameters(), UNET) == 1


def test_a_database_cut_off_as_it_was_made_is_made_anew(tracked, monkeypatch):
    def stop(_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", stop)
        with pytest.raises(Killed):
            tracking.track(parameters(), UNET)
    assert not Path("mlflow.db").exists()
    assert tracking.track(parameters(), UNET) == 1
    assert runs_by_name()[1].keys() == UNET_RUNS


def test_a_database_that_another_process_holds_is_one_line(command, monkeypatch):
    command("split", "leaf")
    monkeypatch.setattr(store, "PATIENCE", 1)
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        status, said, seconds = command("report")
    assert (status, said.count("\n")) == (0, 1)
    assert seconds < 45  # MLflow by itself waits for minutes


class Killed(BaseException):
    """As kill -9 leaves no time to clean up, nothing may catch it."""


class Watched:
    """An MlflowClient whose every call goes through `around(call, …)`."""

    def __init__(self, client, around):
        self.client, self.around = client, around

    def __getattr__(self, name):
        return partial(self.around, getattr(self.client, name))


@pytest.fixture
def watch(tracked, monkeypatch):
    """Has tracking done with watched clients, and without locks: as at a server that several projects share."""
    tracking.track(parameters(), ["split", "leaf"])
    for room, lock in ((store, "_alone"), (live, "turn")):
        monkeypatch.setattr(room, lock, lambda _: nullcontext())
    connect = mlflow.MlflowClient

    def begin(around):
        monkeypatch.setattr(mlflow, "MlflowClient", lambda address: Watched(connect(address), around))

    return begin


def forget_unet_runs() -> None:
    """Delete them, after a look whether each is there once and in its place."""
    client, runs = runs_by_name()
    assert runs.keys() == UNET_RUNS | {"split@leaf"}
    parent = runs["train_unet@leaf"].info.run_id
    for name in UNET_RUNS:
        run = runs[name]
        assert run.data.tags.get("mlflow.parentRunId") == (None if run.info.run_id == parent else parent)
        client.delete_run(run.info.run_id)


@pytest.mark.parametrize("error", [Killed(), MlflowException("the answer is lost")], ids=["killed", "lost"])
def test_wherever_it_is_cut_off_the_next_call_leaves_each_run_once(watch, error):
    left = 0

    def around(call, *args, **kwargs):
        nonlocal left
        answer = call(*args, **kwargs)
        left -= 1
        if left == 0:
            raise error
        return answer

    watch(around)
    for calls in range(1, 100):
        left = calls
        try:
            tracking.track(parameters(), UNET)
            break  # it has fewer calls
        except type(error):
            tracking.track(parameters(), UNET)
        forget_unet_runs()
    assert calls > 10


def test_two_writers_leave_each_run_once_however_their_calls_fall(watch):
    turn, done = threading.Condition(), {}

    def around(call, *args, **kwargs):
        me = threading.current_thread().name
        other = {"ahead": "behind", "behind": "ahead"}[me]
        with turn:
            turn.wait_for(lambda: done[other] is None or (done[me], me) < (done[other], other), 5)
            try:
                return call(*args, **kwargs)
            finally:
                done[me] += 1
                turn.notify_all()

    def write() -> None:
        tracking.track(parameters(), UNET)
        with turn:
            done[threading.current_thread().name] = None
            turn.notify_all()

    watch(around)
    for lead in range(16):
        done |= {"ahead": -lead, "behind": 0}
        both = [threading.Thread(target=write, name=name) for name in done]
        for writer in both:
            writer.start()
        for writer in both:
            writer.join()
        assert done == {"ahead": None, "behind": None}
        forget_unet_runs()


def track_twice_at_once(**environment: str) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "leanet", "track"],
            env=os.environ | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [(process.communicate()[1], process.returncode) for process in both] == [("", 0)] * 2


def test_two_processes_at_once_make_one_database_with_every_run_once(tracked):
    track_twice_at_once()
    assert len([name for name in runs_by_name()[1] if " " not in name]) == 11


@pytest.fixture
def server(tmp_path):
    """A real MLflow server."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def has_begun(server: Server, stage: str) -> bool:
    """Whether a run of this stage is there and not finished; read past the server from its database."""
    query = "select 1 from runs where name = ? and status = 'RUNNING'"
    with closing(sqlite3.connect(server.database)) as database:
        return bool(database.execute(query, [stage]).fetchone())


def test_a_server_killed_in_mid_run_has_every_run_once_in_the_end(command, server, monkeypatch):
    def around(call, *args, **kwargs):
        if call.__name__ == "log_batch":
            server.kill()
        return call(*args, **kwargs)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    server.wait()
    connect = mlflow.MlflowClient
    with monkeypatch.context() as killing:
        killing.setattr(mlflow, "MlflowClient", lambda address: Watched(connect(address), around))
        status, said, _ = command("sweep", "leaf", "cnn")
    assert (status, said.count("\n")) == (0, 1)
    assert said.startswith(f"warning: MLflow at {server.address} did not take the runs")
    assert has_begun(server, "sweep@leaf-cnn")

    server.start()
    server.wait()
    track_twice_at_once()
    _, runs = runs_by_name(server.address)
    assert len([name for name in runs if " " not in name]) == 11
    assert {"sweep@leaf-cnn fold 0 point 0 share 0.5", "sweep@leaf-cnn fold 1 point 0 share 0.5"} < runs.keys()
