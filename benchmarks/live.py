"""`python -m benchmarks.live PROJECT`: how soon MLflow has an epoch, and what that costs the training.

PROJECT has run as far as the anomaly maps. A copy of it trains one row again and again, in turns with and without
MLflow; with it, the store is asked all the time for epochs that it has not shown yet.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from mlflow import MlflowClient

from leanet.core import paths
from leanet.run import live
from leanet.tracking.store import EXPERIMENT

ASKED_EVERY = 0.2  # seconds
FOLLOWER = "leanet.tracking.live"


def copy_project(source: Path, to: Path) -> None:
    """What a stage of training needs."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(source / name, to)
    for name in ("leanet", "stages", paths.SPLIT, paths.MAPS):
        shutil.copytree(source / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))


def train(project: Path, names: list[str], tracking: str, store: str) -> float:
    """Train a row from the beginning; the seconds of its stage."""
    shutil.rmtree(project / paths.KEPT, ignore_errors=True)
    for spool in (project / live.FOLDER).glob("*.jsonl"):  # it would be gone on with, and its epochs are logged
        spool.unlink()
    environment = {"DVC_STAGE": "train_leanet", "LEANET_TRACKING": tracking, "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(
        [sys.executable, "-m", "stages.train_leanet", *names],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads((project / f"logs/train_leanet@{'-'.join(names)}.json").read_text())["seconds"]


def seconds_of_logging(project: Path) -> float:
    """Of a processor, that the process beside the stages took until now."""
    seconds = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended
            if process.cmdline()[-1:] == [FOLLOWER] and process.cwd() == str(project.resolve()):
                seconds += sum(process.cpu_times()[:2])
    return seconds


def watch(store: str, delays: list[float], done: threading.Event) -> None:
    """Ask the store for epochs, and note how long after its end each is seen first."""
    client, seen = MlflowClient(store), set()
    while not done.is_set():
        time.sleep(ASKED_EVERY)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        for run in client.search_runs([experiment.experiment_id], max_results=1000) if experiment else ():
            if run.info.status == "RUNNING" and "fold" in run.info.run_name:
                for point in client.get_metric_history(run.info.run_id, "loss"):
                    if (run.info.run_id, point.step) not in seen:
                        seen.add((run.info.run_id, point.step))
                        delays.append(time.time() - point.timestamp / 1000)


def slowest_line(project: Path, names: list[str]) -> float:
    """The longest time between what a training says of an epoch and the line of it, in seconds."""
    code = """
import sys, time
from leanet.run import live, stage
from stages.train_leanet import main
say, longest = live.Spool.epoch, 0
def timed(*arguments):
    global longest
    began = time.perf_counter()
    say(*arguments)
    longest = max(longest, time.perf_counter() - began)
live.Spool.epoch = timed
stage.run("train_leanet", main)
print(longest)
"""
    shutil.rmtree(project / paths.KEPT, ignore_errors=True)
    environment = {"DVC_STAGE": "train_leanet", "LEANET_TRACKING": "on"}
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, cwd=project, env=os.environ | environment, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("names", nargs=2, metavar="NAME", help="a data set and a row")
    parser.add_argument("--store", help="its address (default: a new SQLite file)")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(arguments.project, project)
        store = arguments.store or f"sqlite:///{project}/mlflow.db"
        ratios, shares, delays = [], [], []
        for turn in range(arguments.pairs + 1):
            without = train(project, arguments.names, "off", store)
            before = seconds_of_logging(project)
            with_ = train(project, arguments.names, "on", store)
            logging = seconds_of_logging(project) - before
            print(
                f"{without:.2f} s without, {with_:.2f} s with MLflow; logging took {logging:.2f} s of a core"
                f"{'' if turn else '; it started first, and this pair does not count'}",
                flush=True,
            )
            ratios += [with_ / without] * bool(turn)
            shares += [logging / (with_ * os.cpu_count())] * bool(turn)
        print(f"with MLflow {statistics.median(ratios):.4f} times as long (median of {len(ratios)} pairs)")
        print(f"logging took {statistics.median(shares):.2%} of what all cores can do meanwhile (median)")
        done = threading.Event()
        watching = threading.Thread(target=watch, args=(store, delays, done))
        watching.start()
        train(project, arguments.names, "on", store)
        time.sleep(5)
        done.set()
        watching.join()
        print(f"{len(delays)} epochs seen {statistics.median(delays):.2f} s after their end (median)")
        print(f"the slowest line of an epoch took {1000 * slowest_line(project, arguments.names):.2f} ms")


if __name__ == "__main__":
    main()
