"""What is not computing: imports, a `dvc repro` with nothing to do, and the share of a default run."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.line import Line

ROOT = Path(__file__).parent.parent


def seconds(command: list[str], folder: Path, times: int) -> float:
    """Median wall time of a command."""

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - started

    return statistics.median(once() for _ in range(times))


def imports() -> list[Line]:
    """Each stage script, up to where its own work begins."""

    def load(module: str) -> float:
        return seconds([sys.executable, "-c", f"import {module}"], ROOT, times=5)

    torch = load("torch")
    table = []
    for script in sorted((ROOT / "stages").glob("*.py")):
        own = load(f"stages.{script.stem}")
        table.append(Line(f"import of {script.stem}", own, "s", "import torch", torch, "seconds", own, "≤ 3.5"))
    return table


def default_run() -> list[Line]:
    """The pipeline as it is cloned: from nothing, then again with nothing to do."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in files.stdout.splitlines():
            if name != "dvc.lock" and (ROOT / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, Path(folder) / name)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        dvc = shutil.which("dvc", path=Path(sys.executable).parent.as_posix() + os.pathsep + os.environ["PATH"])
        whole = seconds([dvc, "repro"], Path(folder), times=1)
        computing = sum(json.loads(log.read_text())["seconds"] for log in Path(folder, "logs").glob("*.json"))
        again = seconds([dvc, "repro"], Path(folder), times=5)
    share = (whole - computing) / whole
    return [
        Line(
            "default `dvc repro`", whole, "s", "its stages' own work", computing, "share beyond it", share, "≤ 0.1"
        ),
        Line("`dvc repro` with nothing to do", again, "s", "the whole run", whole, "seconds", again, "≤ 1.5"),
    ]


def lines() -> list[Line]:
    """Seconds."""
    return imports() + default_run()
