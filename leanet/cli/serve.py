"""`leanet serve`: a page to drop images on, and a JSON API."""

import argparse
import os
import re

from leanet.cli.options import add_detector, add_device
from leanet.core.errors import InputError
from leanet.detector.detector import Detector
from leanet.service import limits
from leanet.service.application import listen, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_detector(parser)
    add_device(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)"
    )
    parser.add_argument("--port", type=int, default=8080, help="default: 8080")
    parser.add_argument(
        "--token", help="what requests must bear (default: none here, a new one on another --host)"
    )
    parser.add_argument(
        "--limit",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="instead of a default: "
        + ", ".join(f"{name} ({getattr(limits, constant):,})" for name, constant in limits.NAMES.items()),
    )


def run(arguments: argparse.Namespace) -> None:
    token = (arguments.token or os.environ.get("LEANET_TOKEN", "")).strip() or None
    if token and not re.fullmatch("[!-~]+", token):
        raise InputError("--token or LEANET_TOKEN: expected ASCII letters, digits and signs, no space")
    for limit in arguments.limit:
        limits.change(limit)
    listener = listen(arguments.host, arguments.port)  # a port that is taken is said before seconds of loading
    detector = Detector.load(arguments.detector, arguments.device)
    serve(detector, listener, arguments.host, token)
