"""Logging trainings to MLflow while they run, from what they wrote to files (leanet.run.live).

`python -m leanet.tracking.live` is a process beside the stages: no training waits for it, whatever becomes of
MLflow. It lets them have the processor first, and ends a minute after the last of them. What did not get through,
`leanet.tracking.runs` logs from the results: it takes the runs made here over, so that each figure is there once.
"""

import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from leanet.run import live

ID, PARENT = "leanet.live", "mlflow.parentRunId"
FIGURES = ("loss", "learning_rate", "images_per_second")
SECONDS_BETWEEN_LOOKS = 1
LONG = 60  # seconds: a stage that runs longer has the machine's metrics, too
SECONDS_BETWEEN_METRICS = 10  # of the machine
BEHIND = 10  # how nice it is to the trainings once it has begun
PATIENCE = 60  # seconds without a stage, after which it ends


@contextmanager
def turn(patience: float | None = None) -> Iterator[None]:
    """One at a time logs what is in the spools: this process, or who takes its runs over.

    Raises:
        TimeoutError: it is not free within `patience` seconds.
    """
    live.FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(live.FOLDER / "turn.lock", timeout=-1 if patience is None else patience):
            yield
    except Timeout:
        raise TimeoutError("it takes too long to answer") from None


def shown(value: object) -> str:
    """A value of a training's name."""
    return value if isinstance(value, str) else f"{value:g}"


def called(name: dict[str, object], widths: dict[str, int]) -> str:
    """How the run of a training is called within its stage: fold 01 point 5; so that names sort as numbers do."""
    return " ".join(
        f"{axis} {shown(value) if isinstance(value, str) else shown(value).zfill(widths.get(axis, 0))}"
        for axis, value in name.items()
    )


def runs_of(client, experiment: str, id_: str) -> tuple[str | None, dict[str, str]]:
    """The run of the spool with that id, and those of its trainings by name."""
    found = client.search_runs([experiment], f"tags.`{ID}` = '{id_}'", max_results=50_000)
    run = min((run.info.run_id for run in found if PARENT not in run.data.tags), default=None)
    trainings = (each for each in found if each.data.tags.get(PARENT) == run and run)
    return run, {each.data.tags[f"{ID}.name"]: each.info.run_id for each in trainings}


def steps(client, run: str) -> set[int]:
    """The epochs whose loss a run has."""
    return {point.step for point in client.get_metric_history(run, "loss")}


class Followed:
    """A spool, and its runs: one of the stage, and one nested for each training."""

    def __init__(self, file: Path, header: dict):
        self.file, self.id, self.stage = file, header["id"], header["stage"]
        self.began, self.process, self.widths = header["time"], header["process"], header["widths"]
        self.finished = False
        self._offset = 0  # what comes before is logged
        self._over = False  # the stage has said that all has ended
        self._run: str | None = None
        self._trainings: dict[str, str] = {}
        self._steps: dict[str, set[int]] = defaultdict(set)
        self._killed: set[str] = set()  # trainings that had not ended when their stage did
        self._machine, self._measured = None, 0.0

    @property
    def is_current(self) -> bool:
        """Whether the spool is still there, and no other has taken its place."""
        header = live.header(self.file)
        return header is not None and header["id"] == self.id

    @property
    def has_news(self) -> bool:
        """Whether there is something to log."""
        if self.file.stat().st_size > self._offset:
            return True
        return not self.finished and (self._over or not is_running(self.process) or self._machine_is_due)

    @property
    def _machine_is_due(self) -> bool:
        now = time.time()
        return now - self.began > LONG and now - self._measured > SECONDS_BETWEEN_METRICS

    def log(self, client, experiment: str) -> None:
        """Log what is new. Whatever is raised in between, the next time begins where this one began."""
        lines, end = self._lines()
        if self._run is None:
            self._find(client, experiment)
        by_name = defaultdict(list)
        for line in lines:
            self.process = line.get("process", self.process)
            self.widths |= line.get("widths", {})
            if "name" not in line:
                self._over = "ended" in line  # or it has more to train
            if "name" in line:
                by_name[called(line["name"], self.widths)].append(line)
        if by_name and self.finished:  # gone on with after it had been killed
            client.update_run(self._run, status="RUNNING")
            self.finished = False
        for name, of_training in by_name.items():
            self._log_training(client, experiment, name, of_training)
        if self._machine_is_due:
            self._log_machine(client)
        self._offset = end
        if not self.finished and (self._over or not is_running(self.process)):
            self._finish(client, int(1000 * (lines[-1]["time"] if lines else time.time())))

    def _lines(self) -> tuple[list[dict], int]:
        """What is new in the spool, whole lines only, and where they end."""
        with self.file.open("rb") as spool:
            spool.seek(self._offset)
            whole, newline, _ = spool.read().rpartition(b"\n")
        said = []
        for line in whole.splitlines():
            with suppress(ValueError):  # of a process that was killed as it wrote
                said.append(json.loads(line))
        return said, self._offset + len(whole) + len(newline)

    def _find(self, client, experiment: str) -> None:
        """The runs of the spool that are there, or else one of the stage."""
        self._run, self._trainings = runs_of(client, experiment, self.id)
        for name, run in self._trainings.items():
            self._steps[name] = steps(client, run)
            if client.get_run(run).info.status == "KILLED":
                self._killed.add(name)
        if self._run is None:
            tags = {"mlflow.runName": self.stage, "dvc.stage": self.stage, ID: self.id}
            self._run = client.create_run(experiment, int(self.began * 1000), tags).info.run_id
        else:
            client.update_run(self._run, status="RUNNING")

    def _log_training(self, client, experiment: str, name: str, lines: list[dict]) -> None:
        from mlflow.entities import Metric

        if name not in self._trainings:
            of = {"mlflow.runName": f"{self.stage} {name}", PARENT: self._run, ID: self.id, f"{ID}.name": name}
            began = int(lines[0]["time"] * 1000)
            self._trainings[name] = client.create_run(experiment, began, of).info.run_id
        elif name in self._killed:
            client.update_run(self._trainings[name], status="RUNNING")
            self._killed.remove(name)
        epochs = [line for line in lines if "number" in line and line["number"] not in self._steps[name]]
        metrics = [
            Metric(figure, float(f"{line[figure]:.6g}"), int(line["time"] * 1000), line["number"])
            for line in epochs
            for figure in FIGURES
        ]
        for start in range(0, len(metrics), 999):  # MLflow takes 1,000 at once
            client.log_batch(self._trainings[name], metrics[start : start + 999])
        self._steps[name] |= {line["number"] for line in epochs}
        for line in lines:
            if "ended" in line:
                client.set_terminated(self._trainings[name], end_time=int(line["time"] * 1000))

    def _log_machine(self, client) -> None:
        """The metrics of the machine, by MLflow's own monitors."""
        from mlflow.entities import Metric
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._machine = self._machine or SystemMetricsMonitor(self._run, tracking_uri="")
        self._measured = time.time()
        self._machine.collect_metrics()
        step = int((self._measured - self.began) / SECONDS_BETWEEN_METRICS)
        metrics = [
            Metric(f"system/{name}", value, int(self._measured * 1000), step)
            for name, value in self._machine.aggregate_metrics().items()
        ]
        for monitor in self._machine.monitors:
            monitor.clear_metrics()
        client.log_batch(self._run, metrics)

    def _finish(self, client, when: int) -> None:
        status = "FINISHED" if self._over else "KILLED"
        for name, training in self._trainings.items():
            if client.get_run(training).info.status == "RUNNING":
                client.set_terminated(training, status, when)
                self._killed.add(name)
        client.set_terminated(self._run, status, when)
        self.finished = True

    def forget(self) -> None:
        """Forget what was seen of the store, which did not answer: look again."""
        self._run, self._trainings = None, {}
        self._steps.clear()


def is_running(process: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def follow() -> None:
    """Log all spools until a minute after the last stage; nothing, where another process does already."""
    live.FOLDER.mkdir(parents=True, exist_ok=True)
    with suppress(Timeout), FileLock(live.FOLDER / "following.lock", timeout=0):
        logging.disable()
        followed: dict[str, Followed] = {}
        last, pause = time.monotonic(), SECONDS_BETWEEN_LOOKS
        while time.monotonic() - last < PATIENCE:
            try:
                if _look(followed):  # only now: MLflow takes seconds to start, and many if others go first
                    os.setpriority(os.PRIO_PROCESS, 0, BEHIND)
                pause = SECONDS_BETWEEN_LOOKS
            except Exception:  # whatever MLflow raises: what is missing is logged with the report
                for each in followed.values():
                    each.forget()
                pause = min(2 * pause, SECONDS_BETWEEN_METRICS)
            if any(is_running(each.process) and not each.finished for each in followed.values()):
                last = time.monotonic()
            time.sleep(pause)


def _look(followed: dict[str, Followed]) -> bool:
    """Log what is new in all spools; whether there was anything."""
    for file in live.FOLDER.glob("*.jsonl"):
        header = live.header(file)
        if header and header["id"] not in followed:
            followed[header["id"]] = Followed(file, header)
    for id_ in [id_ for id_, each in followed.items() if not each.is_current]:
        del followed[id_]  # its runs were taken over
    if not any(each.has_news for each in followed.values()):
        return False
    from leanet.tracking import store

    # In the order of leanet.tracking.runs: else each of both waits for the other, for ever.
    with store.opened(None) as (client, experiment), turn():
        for each in followed.values():
            if each.is_current and each.has_news:
                each.log(client, experiment)
    return True


if __name__ == "__main__":
    follow()
