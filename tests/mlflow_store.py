"""MLflow stores for tests: what is in one, a server that can be killed, and answers like a server's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from leanet.tracking.store import EXPERIMENT


def runs_by_name(address: str | None = None) -> tuple[MlflowClient, dict[str, Run]]:
    """The runs of a store, `mlflow.db` here if none is named; each is there once, and finished."""
    # By its whole path: MLflow keeps one store open for each address.
    client = MlflowClient(address or f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment], max_results=1000)
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names)), "a run is there twice"
    assert {run.info.status for run in runs} <= {"FINISHED"}, "a run is there in part"
    return client, dict(zip(names, runs, strict=True))


class Server:
    """A real `mlflow server` on loopback with its database in `folder`."""

    def __init__(self, folder: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.database = folder / "server.db"
        self.folder = folder

    def start(self) -> None:
        """Begin to start it, which takes seconds."""
        self.process = subprocess.Popen(
            (
                *(sys.executable, "-m", "mlflow", "server", "--workers=1", f"--port={self.port}"),
                f"--backend-store-uri=sqlite:///{self.database}",
                f"--artifacts-destination={self.folder / 'artifacts'}",
            ),
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 600
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "mlflow server does not start"
                assert self.process.poll() is None, "mlflow server ended"
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """kill -9, with its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def answers() -> dict[str, bytes]:
    """{path: body} of an MLflow server that takes whatever it is given, for `Loopback`."""
    experiment = {"experiment": {"experiment_id": "1", "name": EXPERIMENT, "lifecycle_stage": "active"}}
    artifacts = Path("artifacts").absolute().as_uri()
    info = {"run_id": "a", "status": "RUNNING", "lifecycle_stage": "active", "artifact_uri": artifacts}
    run = {"run": {"info": info}}
    found = {
        f"experiments/get-by-name?experiment_name={EXPERIMENT}": experiment,
        "runs/search": {},
        "runs/create": run,
        "runs/get?run_uuid=a&run_id=a": run,
        "runs/log-batch": {},
        "runs/log-inputs": {},
        "runs/update": {},
    }
    return {f"/api/2.0/mlflow/{path}": json.dumps(answer).encode() for path, answer in found.items()}
