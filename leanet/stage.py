"""What every stage script does around its own work: settings in, one-line errors out, timings kept."""

import atexit
import gc
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from leanet import faults, paths
from leanet.errors import InputError
from leanet.params import Params, load


def run(name: str, main: Callable[..., dict | None]) -> None:
    """Run `main(params, *names)` with the names from the command line: data set and row, if it takes them.

    What `main` returns (figures such as the device) is kept with the times in
    `logs/<stage>@<names>.json`. A mistake of the user's, an interruption, a full disk or memory ends in one line
    and exit status 1.
    """
    names = sys.argv[1:]
    called = address(name, names)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    _end_with_dvc()
    atexit.register(gc.freeze)  # a last look for garbage among all of torch's objects would take a second
    try:
        params = load()
        _check_names(name, main, names, params)
        waiting = f"{called}: waits for the process that runs it in this folder already"
        with paths.alone(_log(called), waiting):
            started = time.time()
            figures = main(params, *names) or {}
            seconds = time.time() - started
            experiment = os.environ.get("DVC_EXP_NAME")
            log = {"started": started, "seconds": seconds, "experiment": experiment, **figures}
            paths.write(_log(called), json.dumps(log, indent=1))
    except InputError as error:
        sys.exit(f"{called}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{called}: interrupted; `dvc repro` goes on, a training after its last whole epoch")
    except Exception as error:
        if line := faults.explain(error):
            sys.exit(f"{called}: {line}")
        raise
    print(f"{called}: done in {seconds:.1f} s", file=sys.stderr)


def _end_with_dvc() -> None:
    """Be interrupted when the `dvc` that runs this stage is gone, however it ended.

    It would not know of the result, and its next run would find this one still at work.
    """
    if "DVC_STAGE" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def time_taken(called: list[str]) -> float:
    """Seconds of the last run of a stage, given as its name and the names it was called with; 0 if none."""
    log = _log(address(called[0], called[1:]))
    return json.loads(log.read_text())["seconds"] if log.exists() else 0


def address(name: str, names: Sequence[str]) -> str:
    """As DVC writes it, train_leanet@leaf-resnet18."""
    return "@".join([name, "-".join(names)]) if names else name


def _log(called: str) -> Path:
    return paths.LOGS / f"{called}.json"


def _check_names(name: str, main: Callable, names: list[str], params: Params) -> None:
    wanted = list(inspect.signature(main).parameters)[1:]
    if len(names) != len(wanted):
        usage = " ".join(["python -m", f"stages.{name}", *(word.upper() for word in wanted)])
        raise InputError(f"expected as {usage}")
    known = {"dataset": list(params.datasets), "row": params.rows}
    for word, value in zip(wanted, names, strict=True):
        if value not in known[word]:
            raise InputError(f"there is no {word} {value}; there are " + ", ".join(known[word]))
