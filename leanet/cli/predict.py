"""`leanet predict`: judge files, and say so in lines that people or programs read."""

import argparse
import sys
from pathlib import Path

from leanet.cli.options import add_detector, add_device
from leanet.detector.predict import predict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_detector(parser)
    add_device(parser)
    parser.add_argument("images", nargs="+", help="files, folders, patterns in quotes, or - for a list on stdin")
    parser.add_argument(
        "--format", dest="layout", choices=("table", "csv", "jsonl"), default="table", help="default: table"
    )
    parser.add_argument("--overlays", type=Path, metavar="FOLDER", help="write anomaly map and attention as PNG")
    parser.add_argument(
        "--criterion", metavar="C", help="of another threshold: best-f1, 'recall 0.95', 'false-alarms 0.02'"
    )
    parser.add_argument(
        "--prevalence", type=float, metavar="P", help="share of anomalous images there, for the score"
    )
    parser.add_argument(
        "--fail-on-anomaly", action="store_true", help="end with status 4 if an image is anomalous"
    )


def run(arguments: argparse.Namespace) -> None:
    options = {name: value for name, value in vars(arguments).items() if name not in ("run", "images")}
    sys.exit(predict(arguments.images, **options))
