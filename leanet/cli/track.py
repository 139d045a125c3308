"""`leanet track`: what the stages left on disk, logged to MLflow."""

import argparse
import contextlib
import logging
import os
import sys

from leanet.cli import params, register
from leanet.core import paths, settings
from leanet.core.errors import InputError
from leanet.run.stage import ENDS
from leanet.tracking import store
from leanet.tracking.runs import track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "stage",
        nargs="*",
        help="a stage and its data set and row; report and package log all (default: all)",
    )


def run(arguments: argparse.Namespace) -> None:
    if os.environ.get("LEANET_TRACKING") == "off":
        if not arguments.stage:
            print("LEANET_TRACKING is off: nothing is logged")
        return
    if not arguments.stage:
        print(f"{log([], None)} stages logged to MLflow; those logged before were left alone")
        return
    # Within a stage: what is computed stays computed, whatever becomes of its log.
    everything = arguments.stage[0] in ENDS
    untracked = paths.LOGS / "untracked"  # is there while the store is down: not every stage shall wait for it
    if everything:
        untracked.unlink(missing_ok=True)
    elif untracked.exists():
        return
    try:
        log([] if everything else arguments.stage, store.PATIENCE)
    except InputError as error:
        print(f"warning: {error}", file=sys.stderr)
        if not everything:
            with contextlib.suppress(OSError):
                untracked.touch()
    if arguments.stage[0] == "package":
        register.run(arguments, store.PATIENCE)


def log(stage: list[str], patience: float | None) -> int:
    """Log one stage, or all; how many were new.

    Raises:
        InputError: params.yaml is not in order, or the store did not take the runs.
    """
    logging.disable()  # what MLflow says of its errors in pages is said here in a line
    try:
        params.load()
        return track(settings.parse(paths.PARAMS), stage, patience)
    except KeyboardInterrupt:
        raise InputError(f"interrupted{store.LATER}") from None
    except InputError:
        raise
    except Exception as error:
        raise InputError(store.refusal(error)) from None
