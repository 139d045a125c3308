"""Arguments that several commands share."""

import argparse
import os
import re
from pathlib import Path

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.aside import MOST, Aside


def add_detector(parser: argparse.ArgumentParser) -> None:
    """`--detector`: which one to use."""
    parser.add_argument(
        "--detector",
        default=paths.DETECTOR,
        help="a folder, or a model of MLflow's such as models:/leanet-leaf@champion (default: %(default)s)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`: where to compute."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or, of an ensemble, mps (default: auto)")


def add_keep(parser: argparse.ArgumentParser) -> None:
    """`--keep`: where images go that the detector knows nothing alike of."""
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="copy images that are unlike all that the detector knows to this folder, for leanet review",
    )
    parser.add_argument(
        "--keep-most", type=int, metavar="N", help=f"images that the folder may have (default: {MOST})"
    )


def add_server(parser: argparse.ArgumentParser, port: int) -> None:
    """`--host`, `--port`, `--token`: where a page is, and for whom."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)"
    )
    parser.add_argument("--port", type=int, default=port, help="default: %(default)s")
    parser.add_argument(
        "--token", help="what requests must bear (default: none here, a new one on another --host)"
    )


def token_of(arguments: argparse.Namespace) -> str | None:
    """The token that is asked for, by --token or the environment.

    Raises:
        InputError: it is none that a request can bear.
    """
    token = (arguments.token or os.environ.get("LEANET_TOKEN", "")).strip() or None
    if token and not re.fullmatch("[!-~]+", token):
        raise InputError("--token or LEANET_TOKEN: expected ASCII letters, digits and signs, no space")
    return token


def aside_of(arguments: argparse.Namespace) -> Aside | None:
    """Where unlike images go, by --keep and --keep-most.

    Raises:
        InputError: there can be no such folder, or it is to take none.
    """
    if arguments.keep is None:
        if arguments.keep_most is not None:
            raise InputError("--keep-most needs --keep FOLDER")
        return None
    if arguments.keep_most is not None and arguments.keep_most < 1:
        raise InputError(f"--keep-most {arguments.keep_most}: expected a number of at least 1")
    try:
        return Aside(arguments.keep, arguments.keep_most or MOST)
    except OSError as error:
        raise InputError(f"--keep {arguments.keep}: no folder can be made there ({error.strerror})") from None
