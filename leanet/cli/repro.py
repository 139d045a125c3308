"""`leanet repro`: dvc repro, one at a time in a folder."""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from leanet.cli import params
from leanet.core import paths
from leanet.run import disk
from leanet.run.stage import AT_THE_END, ENDS
from leanet.tracking import registered, store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace) -> None:
    params.load()  # before DVC says it in words of its own
    paths.LOGS.mkdir(exist_ok=True)
    lock = os.open(paths.LOGS / "repro.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"leanet repro: waits for the one that runs in {Path.cwd()} already", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    _drop_cut_off(Path(".dvc/tmp/rwlock"))
    # Its stages call `python`, which is to be this one, whether or not its environment is activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # It holds the lock to its end, whatever ends this.
    command = [sys.executable, "-m", "dvc", "repro"]
    environment = os.environ | {"PATH": path, AT_THE_END: "yes"}
    started = time.time()
    dvc = subprocess.Popen(command, pass_fds=[lock], env=environment)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches both; what it means, the stage says
    signal.signal(signal.SIGTERM, lambda *_: dvc.terminate())
    status = dvc.wait()
    if ended := [name for name in ENDS if _ran_since(name, started)]:
        subprocess.run([sys.executable, "-m", "leanet", "track", ended[-1]])
    if status == 0 and os.environ.get("LEANET_TRACKING") != "off" and not registered.is_noted(paths.DETECTOR):
        # DVC took it from its cache, and so ran no stage that registers it.
        subprocess.run([sys.executable, "-m", "leanet", "register"])
    if status == 0:
        disk.share(store.artifacts())
    sys.exit(status)


def _ran_since(stage: str, moment: float) -> bool:
    log = paths.LOGS / f"{stage}.json"
    return log.exists() and log.stat().st_mtime >= moment


def _drop_cut_off(lock: Path) -> None:
    """Remove DVC's file of locks where a full disk has cut it off: DVC would refuse to run ever after."""
    try:
        json.loads(lock.read_text(encoding="utf-8") or "{}")
    except FileNotFoundError:
        pass
    except ValueError:
        lock.unlink()
