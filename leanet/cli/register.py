"""`leanet register`: the packaged detector as a version of MLflow's, and as the champion if it is no worse."""

import argparse
import logging
import os
import sys

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.packaging.registry import register
from leanet.run import disk
from leanet.tracking import store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace, patience: float | None = None) -> None:
    """patience: seconds to wait for the store, whose failure is then a warning; None waits as long as MLflow."""
    if os.environ.get("LEANET_TRACKING") == "off":
        if patience is None:
            print("LEANET_TRACKING is off: nothing is registered")
        return
    logging.disable()  # what MLflow says of its errors in pages is said here in a line
    try:
        registered = register(paths.DETECTOR, trial="DVC_EXP_NAME" in os.environ, patience=patience)
    except (Exception, KeyboardInterrupt) as error:
        later = "; `leanet register` brings it in later"
        line = str(error) if isinstance(error, InputError) else store.refusal(error, "the detector", later)
        if patience is None:
            raise InputError(line) from None
        print(f"warning: {line}", file=sys.stderr)  # the detector is there, whatever becomes of its entry
        return
    disk.share(store.artifacts())
    print(registered)
