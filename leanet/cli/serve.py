"""`leanet serve`: a page to drop images on, and a JSON API."""

import argparse

from leanet.cli.options import add_detector, add_device, add_keep, add_server, aside_of, token_of
from leanet.detector.detector import Detector
from leanet.service import limits
from leanet.service.application import listen, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_detector(parser)
    add_device(parser)
    add_server(parser, port=8080)
    add_keep(parser)
    parser.add_argument(
        "--limit",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="instead of a default: "
        + ", ".join(f"{name} ({getattr(limits, constant):,})" for name, constant in limits.NAMES.items()),
    )


def run(arguments: argparse.Namespace) -> None:
    token = token_of(arguments)
    for limit in arguments.limit:
        limits.change(limit)
    aside = aside_of(arguments)
    listener = listen(arguments.host, arguments.port)  # a port that is taken is said before seconds of loading
    detector = Detector.load(arguments.detector, arguments.device)
    serve(detector, listener, arguments.host, token, aside=aside)
