"""`leanet register`: the packaged detector as MLflow's champion."""

import argparse
import logging
import os
import sys

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.packaging.registry import ALIAS, register
from leanet.run import disk
from leanet.tracking import store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace, patience: float | None = None) -> None:
    """patience: seconds to wait for the store, whose failure is then a warning; None waits as long as MLflow."""
    if os.environ.get("LEANET_TRACKING") == "off":
        return
    logging.disable()  # what MLflow says of its errors in pages is said here in a line
    champion = "DVC_EXP_NAME" not in os.environ  # a trial, which may be worse, does not dethrone it
    try:
        version = register(paths.DETECTOR, champion=champion, patience=patience)
    except (Exception, KeyboardInterrupt) as error:
        later = "; `leanet register` brings it in later"
        line = str(error) if isinstance(error, InputError) else store.refusal(error, "the detector", later)
        if patience is None:
            raise InputError(line) from None
        print(f"warning: {line}", file=sys.stderr)  # the detector is there, whatever becomes of its entry
        return
    disk.share(store.artifacts())
    alias = f"{version.rpartition('/')[0]}@{ALIAS}"
    print(f"{version} is the {ALIAS}: {alias}" if champion else f"{version} is a trial; {alias} stays")
