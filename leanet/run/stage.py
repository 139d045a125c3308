"""What every stage script does around its own work: settings in, one-line errors out, times kept."""

import atexit
import gc
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from leanet.core import files, paths, settings
from leanet.core.errors import InputError
from leanet.run import faults, pipeline
from leanet.run.pipeline import address

LONG = 300  # seconds: a shorter stage is not worth those that MLflow takes to start
ENDS = ("report", "package")  # the stages that end a run
AT_THE_END = "LEANET_TRACK_AT_THE_END"  # set by who logs a whole run when it ends


def run(name: str, main: Callable[..., dict | None]) -> None:
    """Run the stage `name`: hand `main` what its parameters name.

    `dataset` and `row` come from the command line; every other parameter is the section of params.yaml of its
    name, read and checked as the type that it is annotated with. What `main` returns (figures such as the device)
    is kept with the times in `logs/<stage>@<names>.json`. A mistake of the user's, an interruption, a full disk or
    memory ends in one line and exit status 1.
    """
    names = sys.argv[1:]
    called = address(name, names)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    _end_with_dvc()
    atexit.register(gc.freeze)  # a last look for garbage among all of torch's objects would take a second
    log = paths.LOGS / f"{called}.json"
    try:
        arguments = handed(name, main, names)
        with files.alone(log, f"{called}: waits for the process that runs it in this folder already"):
            started = time.time()
            figures = main(**arguments) or {}
            seconds = time.time() - started
            facts = {
                "started": started,
                "seconds": seconds,
                "experiment": os.environ.get("DVC_EXP_NAME"),
                "result": pipeline.find(name, names).result,  # for who tells it from another that DVC restored
                **figures,
            }
            files.write(log, json.dumps(facts, indent=1))
    except InputError as error:
        sys.exit(f"{called}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{called}: interrupted; `dvc repro` goes on, a training after its last whole epoch")
    except Exception as error:
        if line := faults.explain(error):
            sys.exit(f"{called}: {line}")
        raise
    print(f"{called}: done in {seconds:.1f} s", file=sys.stderr)
    is_end = name in ENDS and AT_THE_END not in os.environ
    if "DVC_STAGE" in os.environ and (seconds >= LONG or is_end):
        # In a process of its own: whatever becomes of the log, the result stays.
        subprocess.run([sys.executable, "-m", "leanet", "track", name, *names])


def handed(name: str, main: Callable, names: Sequence[str]) -> dict[str, object]:
    """What the stage's `main` is called with, by name.

    Raises:
        InputError: params.yaml is not as it must be, or a name is not one of its data sets or rows.
    """
    parameters = inspect.signature(main).parameters
    asked = [word for word in parameters if word in ("dataset", "row")]
    if len(names) != len(asked):
        usage = " ".join(["python -m", f"stages.{name}", *(word.upper() for word in asked)])
        raise InputError(f"expected as {usage}")
    tree = settings.parse(paths.PARAMS)
    given: dict[str, object] = dict(zip(asked, names, strict=True))
    for word, value in given.items():
        known = list(settings.section(tree, f"{word}s", paths.PARAMS))
        if value not in known:
            raise InputError(f"there is no {word} {value}; there are " + ", ".join(map(str, known)))
    for word in parameters:
        if word not in given:
            part = settings.section(tree, word, paths.PARAMS)
            given[word] = settings.read(parameters[word].annotation, part, paths.PARAMS, word)
    return given


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
