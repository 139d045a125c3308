"""`python -m benchmarks.killed PROJECT`: its stages, killed before each of their file operations in turn.

What is left then must be whole, and the next run must end in the bytes of an undisturbed one.
"""

import argparse
import importlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path

from leanet import cli
from leanet.core import paths, settings
from leanet.run import pipeline, stage
from leanet.run.pipeline import Stage

ONE_PATH = ("os.remove", "os.rmdir", "os.mkdir", "os.truncate")
TWO_PATHS = ("os.rename", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
TRAINS = ("train_unet", "train_leanet", "sweep")
Tree = dict[str, bytes]  # content by path


def run(step: Stage, project: Path, kill: int | None = None) -> tuple[int, int, str]:
    """Run a stage in a fork of this process, killed before file operation `kill`.

    A fork has torch loaded already: thousands of runs are a matter of minutes.

    Returns:
        Its exit status, how many file operations it came to, and its last line.
    """
    done, doing = os.pipe()
    told, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(done)
        os.close(told)
        _in_child(step, project, kill, doing, telling)
    os.close(doing)
    os.close(telling)
    with open(done, "rb") as operations, open(told, "rb") as line:
        number, said = len(operations.read()), line.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), number, said


def _in_child(step: Stage, project: Path, kill: int | None, doing: int, telling: int) -> None:
    os.chdir(project)
    os.environ["LEANET_TRACKING"] = "off"
    said, status = io.TextIOWrapper(io.BytesIO(), write_through=True), 1
    with redirect_stdout(said), redirect_stderr(said):
        _watch(kill, doing)
        try:
            if step.name == "check":
                sys.argv = ["leanet", "check", "--out", str(step.outs[0])]
                cli.main()
            else:
                sys.argv = [step.name, *step.names]
                stage.run(step.name, importlib.import_module(f"stages.{step.name}").main)
            status = 0
        except SystemExit as ended:
            said.write(str(ended.code))
        except BaseException as error:
            said.write(repr(error))
    os.write(telling, (said.buffer.getvalue().splitlines() or [b""])[-1])
    os._exit(status)


def _watch(kill: int | None, doing: int) -> None:
    """From now on a byte goes to `doing` before each operation on a file or folder of the project."""
    root, numbers, sync = os.getcwd(), count(1), os.fsync

    def operation(path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(root):
            if next(numbers) == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(doing, b".")

    def hear(event: str, arguments: tuple) -> None:
        if event in ONE_PATH or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            operation(arguments[0])
        elif event in TWO_PATHS:
            operation(arguments[1])

    def synced(file: int) -> None:
        operation(root)
        sync(file)

    sys.addaudithook(hear)
    os.fsync = synced


def tree(project: Path, places: Iterable[str] = ("data", "metrics", "models", "report")) -> Tree:
    """All files at `places`; the journals of locks, which are always empty, are none."""
    roots = [project / place for place in places]
    files = [file for root in roots for file in ([root] if root.is_file() else root.rglob("*")) if file.is_file()]
    return {str(file.relative_to(project)): file.read_bytes() for file in files if file.suffix != ".lock"}


def before(step: Stage, finished: Path, to: Path) -> None:
    """A project as it is when DVC starts a stage: what the stage makes is not there, nor its trainings."""
    shutil.copytree(finished, to, symlinks=True, ignore=shutil.ignore_patterns(".*", "logs", "models"))
    for out in step.outs:
        shutil.rmtree(to / out) if (to / out).is_dir() else (to / out).unlink(missing_ok=True)
    if step.name in TRAINS:
        shutil.rmtree(to / paths.KEPT)


def faults(step: Stage, start: Path, whole: Tree, kill: int, folder: Path) -> list[str]:
    """What is not as it should be after a kill before operation `kill`, and a run after it."""
    project, found = folder / "killed", []
    shutil.copytree(start, project, symlinks=True)
    status, _, _ = run(step, project, kill)
    if status not in (0, -signal.SIGKILL):
        found.append(f"ended with {status} instead of being killed")
    for out in map(str, step.outs):
        left = tree(project, [out])
        if left and left != {name: content for name, content in whole.items() if Path(name).is_relative_to(out)}:
            found.append(f"{out} is neither whole nor absent")
    status, _, said = run(step, project)
    after = tree(project)
    if status:
        found.append(f"the next run ends with {status}: {said}")
    found += [f"the next run leaves {name}" for name in sorted(after.keys() - whole.keys())]
    found += [f"the next run makes another {name}" for name in sorted(whole) if after.get(name) != whole[name]]
    shutil.rmtree(project)
    return found


def check(step: Stage, finished: Path, points: int | None = None) -> tuple[int, int, list[str]]:
    """Kill a stage before each of its file operations; points: how many of them at most, spread evenly.

    Returns:
        The number of operations, of kills among them, and all that went wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start, undisturbed = folder / "start", folder / "undisturbed"
        before(step, finished, start)
        shutil.copytree(start, undisturbed, symlinks=True)
        status, operations, said = run(step, undisturbed)
        if status:
            return operations, 0, [f"undisturbed: {said}"]
        whole = tree(undisturbed)
        chosen = range(1, operations + 1)
        if points and points < operations:
            chosen = sorted({1 + at * (operations - 1) // (points - 1) for at in range(points)})
        wrong = [
            f"killed before operation {kill} of {operations}: {fault}"
            for kill in chosen
            for fault in faults(step, start, whole, kill, folder)
        ]
        return operations, len(chosen), wrong


def steps(project: Path) -> list[Stage]:
    """The project's stages; their modules are loaded for all forks."""
    sys.path.insert(0, str(project))
    found = list(pipeline.stages(settings.parse(project / paths.PARAMS), project / pipeline.FILE))
    for name in {step.name for step in found} - {"check"}:
        importlib.import_module(f"stages.{name}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killed", description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path, help="a project after `dvc repro`; it is copied, and stays as it is")
    parser.add_argument("stages", nargs="*", help="their addresses; all of the project's unless given")
    parser.add_argument("--points", type=int, help="operations of each stage, spread evenly (default: all)")
    arguments = parser.parse_args()
    found, killed, failed = steps(arguments.project.resolve()), 0, 0
    for step in found:
        if arguments.stages and step.address not in arguments.stages:
            continue
        started = time.monotonic()
        operations, kills, wrong = check(step, arguments.project.resolve(), arguments.points)
        said = f"{step.address}: {kills} kills at {operations} file operations, {len(wrong)} faults"
        print(f"{said}, {time.monotonic() - started:.0f} s", flush=True)
        print("".join(f"  {line}\n" for line in wrong[:20]), end="", flush=True)
        killed, failed = killed + kills, failed + len(wrong)
    print(f"{killed} kills, {failed} faults")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
