"""`python -m benchmarks.interrupted`: the default run, stopped at random moments and started again each time.

It is to end with the very bytes of an undisturbed run; every epoch is counted, and none is to be trained twice but
the last whole one before a stop.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWN = (".dvcignore", ".gitignore", "dvc.yaml", "params.yaml", "data/sources", "leanet", "stages")
RESULTS = ("metrics/rows/*/*.json", "data/cv/*/*/predictions.csv", "data/cv/*/*/history.csv", "data/unet/*/*")

# Run by Python itself at the start of every process: each epoch leaves a line. After as many as HOLD says the
# process waits to be interrupted.
COUNTING = """
import os, time
from leanet.core import progress
step = progress.Progress.step
def counted(self, n=1, /, **figures):
    if "loss" in figures:
        name = " ".join(f"{name} {value}" for name, value in figures.items() if name != "loss")
        with open(os.environ["EPOCHS"], "a") as log:
            log.write(f"{self.what} {name}\\n")
            log.flush()
            while os.environ.get("HOLD") == str(sum(1 for _ in open(log.name))):
                time.sleep(0.01)
    step(self, n, **figures)
progress.Progress.step = counted
"""


@dataclass(frozen=True)
class Stop:
    """How one start of `dvc repro` ended: its exit status, and the seconds from the signal to its end."""

    status: int
    seconds: float
    said: str


def copy_project(to: Path, source: Path = ROOT) -> None:
    """The project's own files, without results, in a new DVC repository."""
    for name in OWN:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source / name, to / name)
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=to, check=True)
    (to / "counting").mkdir()
    (to / "counting/sitecustomize.py").write_text(COUNTING)
    (to / "epochs.log").touch()


def repro(project: Path, stop: signal.Signals | None = None, after: float = 0) -> Stop:
    """`dvc repro` in `project`, all its processes sent the signal `stop` after so many seconds."""
    env = os.environ | {"LEANET_TRACKING": "off", "DVC_NO_ANALYTICS": "1", "EPOCHS": str(project / "epochs.log")}
    env["PYTHONPATH"] = os.pathsep.join([str(project / "counting"), str(project)])
    run = subprocess.Popen(
        ["dvc", "repro"],
        cwd=project,
        env=env,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = run.communicate(timeout=after if stop else None)
        return Stop(run.returncode, 0, said)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, stop)
        stopped = time.monotonic()
        said, _ = run.communicate()  # until the last process that could write is gone
        return Stop(run.returncode, time.monotonic() - stopped, said)


def results(project: Path) -> dict[str, bytes]:
    """What a run came to: scores, losses, weights and metrics, by file."""
    files = [file for pattern in RESULTS for file in sorted(project.glob(pattern))]
    return {file.relative_to(project).as_posix(): file.read_bytes() for file in files}


def epochs(project: Path) -> Counter:
    """How often an epoch of each training was trained."""
    return Counter((project / "epochs.log").read_text().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interrupted", description=__doc__.splitlines()[0])
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--signal", choices=["KILL", "TERM", "INT"], default="KILL")
    parser.add_argument("--longest", type=float, default=30, help="seconds that a start is left alone, at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, stop = random.Random(arguments.seed), signal.Signals[f"SIG{arguments.signal}"]
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, stopped = Path(folder) / "undisturbed", Path(folder) / "stopped"
        for project in (undisturbed, stopped):
            copy_project(project)
        if repro(undisturbed).status:
            sys.exit("the undisturbed run failed")
        slowest, stops = 0.0, 0
        while stops < arguments.stops:
            ended = repro(stopped, stop, chance.uniform(1, arguments.longest))
            if ended.status == 0:
                sys.exit(f"the run was through after {stops} stops; try a smaller --longest")
            stops += 1
            slowest = max(slowest, ended.seconds)
            so_far = epochs(stopped).total()
            print(f"stop {stops}: {ended.seconds:.1f} s to its end, {so_far} epochs so far", flush=True)
        last = repro(stopped)
        if last.status:
            sys.exit(f"the run did not go on:\n{last.said}")
        once, again = epochs(undisturbed).total(), epochs(stopped).total()
        print(f"results equal: {results(undisturbed) == results(stopped)} ({len(results(stopped))} files)")
        print(f"epochs: {once} undisturbed, {again} with {stops} stops; slowest end {slowest:.1f} s")


if __name__ == "__main__":
    main()
