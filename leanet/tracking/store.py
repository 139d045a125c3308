"""The MLflow store: where it is, how long it is waited for, and why it did not take the runs."""

import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

from leanet.core.addresses import without_password
from leanet.core.errors import InputError

EXPERIMENT = "leanet"
# Seconds that a stage waits in all for a store that hangs or is slow. In a run of the pipeline two stages do: the
# first that finds it so, and the report.
PATIENCE = 5
LATER = "; `leanet track` brings them in later"
PROMPT = 0.5  # an answer within so many seconds is no wait: a store that is well may be given any number of runs
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # seven take minutes, and may create a run twice
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines and two requests a run
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # whose server may be out of reach, too


def address() -> str:
    """`MLFLOW_TRACKING_URI`, or `mlflow.db` in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_root() / 'mlflow.db'}"


def artifacts() -> Path | None:
    """The folder of pictures and models, if they lie beside the database; None where a server keeps them."""
    return _root() / "mlruns" if address().startswith("sqlite:") else None


def reason(error: BaseException) -> str:
    """What began it, in one line: MLflow wraps a refused connection into four errors."""
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    return textwrap.shorten(without_password(f"{type(error).__name__}: {error}").removesuffix(": "), 200)


def refusal(error: BaseException, what: str = "the runs", later: str = LATER) -> str:
    """The line for the user; without the password that an address may have."""
    return without_password(f"MLflow at {address()} did not take {what} ({reason(error)})") + later


def check() -> None:
    """Make sure that the address of the store is one.

    Raises:
        InputError: it is not.
    """
    scheme, is_address, rest = address().partition("://")
    if not is_address and scheme != "databricks":
        shown = scheme.rpartition("@")[2]  # behind a password
        raise InputError(
            f"MLFLOW_TRACKING_URI is {shown}, expected an address such as http://HOST:5000 or sqlite:///mlflow.db"
        )
    host = re.split("[/?#]", rest)[0]
    if scheme.startswith("http") and "@" not in host and without_password(address()) != address():
        raise InputError(  # else a part of the password were taken for the host, and said
            f"MLFLOW_TRACKING_URI is {without_password(address())}, with / ? or # in its password; expected there "
            "%2F, %3F or %23"
        )


@contextmanager
def opened(patience: float | None) -> Iterator[tuple]:
    """A client and the id of the experiment; `patience`: seconds to wait in all, None: as long as MLflow does.

    Raises:
        InputError: the address is none, or the experiment was deleted.
    """
    check()
    from mlflow import MlflowClient

    with _alone(patience):
        connect = partial(MlflowClient, address())
        client = connect() if patience is None else _Impatient(connect, patience)
        yield client, _experiment(client)


class _Impatient:
    """An `MlflowClient` that has only so many seconds to wait for slow answers.

    MLflow's own limits hold for one piece of an answer, and none holds for names, locks and databases. So each
    call runs in a thread, which is left behind when time is up; it ends with the process.
    """

    def __init__(self, connect: Callable, patience: float):
        self._left = patience
        self._client = self._wait(connect)

    def __getattr__(self, name: str) -> Callable:
        return partial(self._wait, getattr(self._client, name))

    def _wait(self, call: Callable, *args, **kwargs):
        answer = Future()

        def ask() -> None:
            try:
                answer.set_result(call(*args, **kwargs))
            except Exception as error:
                answer.set_exception(error)

        began = time.monotonic()
        Thread(target=ask, daemon=True).start()
        try:
            return answer.result(max(self._left, PROMPT))
        except TimeoutError:
            raise TimeoutError("it takes too long to answer") from None
        finally:
            waited = time.monotonic() - began
            self._left -= waited if waited > PROMPT else 0


def _root() -> Path:
    # Experiments of DVC may run in a throwaway copy; DVC_ROOT is the project that they came from.
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


@contextmanager
def _alone(patience: float | None) -> Iterator[None]:
    """Keeps two processes from writing to one SQLite file at once, and makes it where there is none yet.

    MLflow makes it in dozens of steps, and can't go on with one that was cut off between two: so it gets its
    name when it is whole. All this is not hurried, since a busy machine takes seconds for it.
    """
    if not address().startswith("sqlite:///"):
        yield
        return
    from filelock import FileLock
    from mlflow import MlflowClient
    from sqlalchemy import make_url

    database = Path(make_url(address()).database)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=-1 if patience is None else patience):
        if database.exists():
            database.open("r+b").close()  # fails at once, where MLflow would try ten times in 100 seconds
        else:
            new = Path(f"{database}.new")
            new.write_bytes(b"")
            MlflowClient(f"sqlite:///{new}")
            new.replace(database)
        MlflowClient(address())
        yield


def _experiment(client) -> str:
    """The id of the experiment, made where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found and artifacts() and found.artifact_location != artifacts().as_uri():
        # The project was moved or copied with its store. MLflow would go on to write to the old place, which may
        # be another project by now: runs from there stay under a name of their own, and begin anew here.
        client.rename_experiment(
            found.experiment_id, f"{EXPERIMENT} {found.experiment_id}, {found.artifact_location}"
        )
        found = None
    if not found:
        try:
            return client.create_experiment(EXPERIMENT, artifacts() and artifacts().as_uri())
        except MlflowException:
            found = client.get_experiment_by_name(EXPERIMENT)
            if not found:  # or else another process was a moment faster
                raise
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"the experiment {EXPERIMENT} was deleted in MLflow; `mlflow experiments restore -x "
            f"{found.experiment_id}` brings it back, and `leanet track` the runs"
        )
    return found.experiment_id
