"""A stage that is stopped, however it is stopped, and started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.interrupted import COUNTING, epochs

pytestmark = pytest.mark.alone

STAGE = ("train_leanet", "leaf", "cnn-direct")
ADDRESS = "train_leanet@leaf-cnn-direct"
AFTER = "a training after its last whole epoch"
EPOCHS = 8
CELLS = 4  # two folds, two points


class Stopped:
    """A tiny project before its training, which counts its epochs."""

    def __init__(self, root: Path):
        self.root = root
        (root / "counting").mkdir()
        (root / "counting/sitecustomize.py").write_text(COUNTING)
        (root / "epochs.log").touch()

    def start(self, hold: int | None = None) -> subprocess.Popen:
        """Run the stage; after `hold` epochs, counted from the first run on, it waits to be interrupted."""
        env = os.environ | {"EPOCHS": str(self.root / "epochs.log"), "HOLD": str(hold)}
        env["PYTHONPATH"] = os.pathsep.join([str(self.root / "counting"), str(self.root)])
        stage, *names = STAGE
        command = [sys.executable, "-m", f"stages.{stage}", *names]
        return subprocess.Popen(command, cwd=self.root, env=env, stderr=subprocess.PIPE, text=True)

    def finish(self) -> str:
        run = self.start()
        _, said = run.communicate()
        assert run.returncode == 0, said
        return said

    def epochs(self) -> int:
        return epochs(self.root).total()

    def wait_for_epoch(self, count: int, run: subprocess.Popen) -> None:
        while self.epochs() < count:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.005)

    def results(self) -> list[bytes]:
        return [
            (self.root / "data/cv/leaf/cnn-direct" / name).read_bytes()
            for name in ("predictions.csv", "history.csv")
        ]

    def checkpoints(self) -> list[Path]:
        return sorted(self.root.glob("data/kept/*.[01].safetensors"))


@pytest.fixture(scope="module")
def before(finished, tmp_path_factory):
    """A project whose row is to be trained for more epochs."""
    project = finished.copy(tmp_path_factory.mktemp("before") / "project")
    project.edit("train_leanet.epochs", EPOCHS)
    shutil.rmtree(project.root / "data/kept")
    return project


@pytest.fixture(scope="module")
def undisturbed(before, tmp_path_factory) -> list[bytes]:
    """What a run without any stop comes to."""
    project = Stopped(before.copy(tmp_path_factory.mktemp("undisturbed") / "project").root)
    project.finish()
    assert project.epochs() == CELLS * EPOCHS
    assert project.checkpoints() == []
    return project.results()


@pytest.fixture
def project(before, tmp_path) -> Stopped:
    return Stopped(before.copy(tmp_path / "project").root)


def test_a_run_stopped_again_and_again_ends_with_the_same_bytes(project, undisturbed):
    for epoch, stop in ((3, signal.SIGKILL), (13, signal.SIGTERM), (20, signal.SIGKILL), (27, signal.SIGINT)):
        run = project.start(hold=epoch)
        project.wait_for_epoch(epoch, run)
        run.send_signal(stop)
        _, said = run.communicate(timeout=600)
        if stop == signal.SIGKILL:
            assert run.returncode == -signal.SIGKILL
        else:
            assert run.returncode == 1
            assert said.splitlines()[-1] == f"{ADDRESS}: interrupted; `dvc repro` goes on, {AFTER}"
        assert not (project.root / "data/cv/leaf/cnn-direct.part").exists()
    assert "3 of 4 trainings are there from before" in project.finish()
    assert project.results() == undisturbed
    assert project.epochs() <= CELLS * EPOCHS + 2  # one more for each kill -9


def test_a_damaged_checkpoint_is_left_out(project, undisturbed):
    run = project.start(hold=5)
    project.wait_for_epoch(5, run)
    run.kill()
    run.wait()
    newest = max(project.checkpoints(), key=lambda file: file.stat().st_mtime_ns)
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    assert f"{newest.relative_to(project.root)} is damaged" in project.finish()
    assert project.results() == undisturbed


def test_a_full_disk_is_one_line_and_the_run_goes_on_once_there_is_room(project, undisturbed):
    kept = project.root / "data/kept"
    kept.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", kept], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        run = project.start()
        _, said = run.communicate()
        assert run.returncode == 1
        assert "Traceback" not in said
        assert f"{ADDRESS}: fold 0 point 1 share 1: no space left on the disk of data" in said
        assert "`leanet prune`" in said
        assert list(kept.glob("*.part")) == []
        subprocess.run(["mount", "-o", "remount,size=1g", kept], check=True)
        project.finish()
    finally:
        subprocess.run(["umount", "--lazy", kept], check=True)
    assert project.results() == undisturbed


def test_a_stage_ends_with_the_dvc_that_ran_it(project):
    """`kill -9` of dvc alone: a stage that went on would write beside the next run's."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-m', *sys.argv[1:]])"
    stage, *names = STAGE
    env = os.environ | {"DVC_STAGE": stage, "EPOCHS": str(project.root / "epochs.log"), "HOLD": "2"}
    env["PYTHONPATH"] = os.pathsep.join([str(project.root / "counting"), str(project.root)])
    command = [sys.executable, "-c", code, f"stages.{stage}", *names]
    dvc = subprocess.Popen(command, cwd=project.root, env=env, stderr=subprocess.PIPE, text=True)
    project.wait_for_epoch(2, dvc)
    dvc.kill()
    said = dvc.stderr.read()  # until the stage, too, has closed it
    assert "interrupted" in said
    assert project.epochs() == 2


def test_the_second_of_two_runs_of_a_stage_waits_and_trains_nothing(project, undisturbed):
    first = project.start(hold=1)
    project.wait_for_epoch(1, first)
    second = project.start()
    assert second.stderr.readline() == f"{ADDRESS}: waits for the process that runs it in this folder already\n"
    with (project.root / "epochs.log").open("a") as log:
        log.write("a line more than held at: go on\n")
    assert f"{ADDRESS}: 4 of 4 trainings are there from before" in second.communicate()[1]
    assert (first.wait(), second.returncode) == (0, 0)
    assert project.epochs() == CELLS * EPOCHS + 1  # and that line
    assert project.results() == undisturbed
