"""`leanet predict`: judge files, and say so in lines that people or programs read, or in a table of any length."""

import argparse
import sys
from pathlib import Path

from leanet.cli.options import add_detector, add_device, add_keep, aside_of
from leanet.core.errors import InputError
from leanet.detector.predict import predict

ONLY_LINES, ONLY_TABLE = ("layout", "overlays", "keep", "keep_most"), ("workers", "cluster")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_detector(parser)
    add_device(parser)
    parser.add_argument(
        "images",
        nargs="+",
        help="files, folders, patterns in quotes, or - for a list on stdin; with --out, folders and addresses "
        "such as s3://bucket/prefix",
    )
    parser.add_argument(
        "--format", dest="layout", choices=("table", "csv", "jsonl"), help="of the lines (default: table)"
    )
    parser.add_argument("--overlays", type=Path, metavar="FOLDER", help="write anomaly map and attention as PNG")
    add_keep(parser)
    parser.add_argument(
        "--criterion",
        metavar="C",
        help="of another threshold: best-f1, 'recall 0.95', 'false-alarms 0.02', 'conformal 0.02'",
    )
    parser.add_argument(
        "--prevalence", type=float, metavar="P", help="share of anomalous images there, for the score"
    )
    parser.add_argument(
        "--fail-on-anomaly", action="store_true", help="end with status 4 if an image is anomalous"
    )
    parser.add_argument(
        "--out",
        metavar="PLACE",
        help="write a Parquet data set to this folder or address, in place of lines; images that it has are "
        "not judged again",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="with --out: how many judge (default: one for each core or GPU)"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="with --out: a Ray cluster that this machine is part of, or auto"
    )


def run(arguments: argparse.Namespace) -> None:
    """Raises: InputError: options that do not go together."""
    options = {name: value for name, value in vars(arguments).items() if name not in ("run", "images")}
    left_out = ONLY_TABLE if arguments.out is None else ONLY_LINES
    for name in left_out:
        if options.pop(name) is not None:
            option = "format" if name == "layout" else name.replace("_", "-")
            raise InputError(f"--{option} {'needs' if left_out is ONLY_TABLE else 'does not go with'} --out")
    if arguments.out is not None:
        from leanet.detector import bucket  # loads Ray

        sys.exit(bucket.predict(arguments.images, **options))
    if far := next((name for name in arguments.images if "://" in name), None):
        raise InputError(f"{far}: images at an address need --out PLACE, for a table of their scores")
    for name in ("out", "keep", "keep_most"):
        del options[name]
    options |= {"layout": options["layout"] or "table", "aside": aside_of(arguments)}
    sys.exit(predict(arguments.images, **options))
