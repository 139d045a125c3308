"""The servers of a team, each a process of its own on this machine for as long as a test needs it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from glob import glob
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

# The S3 server believes any.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "team", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3(log: Path) -> Iterator[str]:
    """An S3 server with an empty bucket `team`; its address."""
    for package in ("moto", "dvc_s3"):
        _need(find_spec(package), package)
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, *f"-m moto.server -H 127.0.0.1 -p {port}".split()]
    with _running(command, log, lambda: requests.get(address, timeout=5)):
        requests.put(f"{address}/team", timeout=5).raise_for_status()
        yield address


@contextmanager
def postgresql() -> Iterator[str]:
    """A database server with nothing in it, on a socket in its own folder; its address for SQLAlchemy.

    It refuses to run as root, who becomes nobody for it. Nobody cannot enter pytest's folders, and the path of
    a socket may have 107 letters at most: hence a folder elsewhere.
    """
    _need(find_spec("psycopg2"), "psycopg2")
    # Debian keeps the programs of each version apart from the PATH.
    places = os.pathsep.join([os.environ["PATH"], *sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True)])
    programs = (shutil.which(name, path=places) for name in ("initdb", "postgres"))
    initdb, postgres = (_need(program, "PostgreSQL") for program in programs)
    import psycopg2

    with tempfile.TemporaryDirectory(prefix="leanet-") as folder:
        account = {"cwd": folder}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            account |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        create = [initdb, *f"-D {folder}/data -U leanet -A trust -E UTF8 --locale=C --no-sync".split()]
        created = subprocess.run(create, capture_output=True, text=True, **account)
        assert created.returncode == 0, created.stderr

        def connect() -> None:
            psycopg2.connect(host=folder, user="leanet", dbname="postgres").close()

        # No network, and none of the waiting for the disk that a database which is to last needs.
        serve = [postgres, *f"-D {folder}/data -k {folder} -c listen_addresses= -c fsync=off".split()]
        with _running(serve, Path(folder) / "log", connect, stop=signal.SIGINT, **account):
            yield f"postgresql+psycopg2://leanet@/postgres?host={folder}"


@contextmanager
def mlflow_model(address: str, log: Path, **environment) -> Iterator[str]:
    """A model of MLflow's, served by its own command; where it answers."""
    port = _free_port()
    command = [sys.executable, *f"-m mlflow models serve -m {address} --env-manager local -p {port}".split()]
    answers = f"http://127.0.0.1:{port}"
    ping = partial(requests.get, f"{answers}/ping", timeout=5)
    with _running(command, log, lambda: ping().raise_for_status(), env=os.environ | environment):
        yield answers


@contextmanager
def detector(
    root: Path, log: Path, *options: str, first: str = "", **environment: str
) -> Iterator[tuple[str, subprocess.Popen]]:
    """The detector of the project in `root`, served by its own command; where it answers, and its process.

    first: what its Python runs before.
    """
    port = _free_port()
    main = ["-c", f"{first}\nfrom leanet import cli\ncli.main()"] if first else ["-m", "leanet"]
    command = [sys.executable, *main, *f"serve --port {port} --device cpu".split(), *options]
    address = f"http://127.0.0.1:{port}"
    ask = partial(requests.get, f"{address}/health", timeout=5)
    with _running(command, log, ask, cwd=root, env=os.environ | environment) as process:
        yield address, process


@contextmanager
def mlflow(store: str, folder: Path) -> Iterator[str]:
    """An MLflow server of two processes over a database, with its artefacts in `folder`; its address."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    folder.mkdir()
    command = [sys.executable, *f"-m mlflow server --host 127.0.0.1 --port {port} --workers 2".split()]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    lean = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with _running(command, folder / "log", lambda: requests.get(address, timeout=5), env=lean, cwd=folder):
        yield address


def _need(found: object, name: str) -> object:
    """Skip the test if this was not found; where CI has set LEANET_SERVERS=required, fail."""
    if not found:
        assert os.environ.get("LEANET_SERVERS") != "required", f"{name} is missing"
        pytest.skip(f"no {name} here: its server was not started")
    return found


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@contextmanager
def _running(
    command: list[str], log: Path, ask: Callable[[], object], stop: int = signal.SIGTERM, **options
) -> Iterator[subprocess.Popen]:
    """The process of a server from when `ask` no longer raises, until it and its children have stopped."""
    with log.open("w") as said:
        options |= {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said, "start_new_session": True}
        server = subprocess.Popen(command, **options)
    try:
        _wait(server, ask, log)
        yield server
    finally:
        for number in (stop, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(server.pid, number)
                server.wait(20)


def _wait(server: subprocess.Popen, ask: Callable[[], object], log: Path) -> None:
    end = time.monotonic() + 600
    while True:
        try:
            ask()
            return
        except Exception:
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{server.args} does not answer: {log.read_text()}") from None
            time.sleep(0.1)
