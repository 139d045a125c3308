"""`leanet review`: a page on which people say what new images are, those first whose label teaches most."""

import argparse
import csv
from pathlib import Path

from leanet.cli.options import add_detector, add_device, add_server, token_of
from leanet.cli.params import load
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.detector import Detector
from leanet.images import layout
from leanet.review.application import Review, extend
from leanet.review.log import CLASSES, NAME, Log
from leanet.service.application import listen, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="new images, in folders below it, too; more may come meanwhile (or a data set, to correct labels)",
    )
    parser.add_argument(
        "--suspects", metavar="DATASET", help="in place of a folder: the images whose label the report suspects"
    )
    parser.add_argument("--log", type=Path, help=f"the labels, a line each (default: {NAME} in the folder)")
    add_detector(parser)
    add_device(parser)
    add_server(parser, port=8081)


def run(arguments: argparse.Namespace) -> None:
    token = token_of(arguments)
    if (arguments.folder is None) == (arguments.suspects is None):
        raise InputError("expected a folder of new images, or --suspects DATASET")
    folder, suspects = arguments.folder, None
    if arguments.suspects:
        folder, suspects = _suspects(arguments.suspects)
    elif not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of images")
    log = Log(arguments.log or folder / NAME)
    log.read()  # what is no log is said before seconds of loading
    own = _own(folder) if suspects is None else suspects
    listener = listen(arguments.host, arguments.port)
    detector = Detector.load(arguments.detector, arguments.device)
    review = Review(folder, detector, log, own, suspected=suspects is not None)
    serve(detector, listener, arguments.host, token, lambda app: extend(app, review), "/review")


def _own(folder: Path) -> dict[str, str] | None:
    """The labels of its images, if `folder` is a data set of params.yaml."""
    if not paths.PARAMS.is_file():
        return None
    sources = (Path(dataset.source) for dataset in load().datasets.values())
    if not any(source.is_dir() and source.samefile(folder) for source in sources):
        return None
    return {item.path: CLASSES[item.label] for item in layout.read(folder)}


def _suspects(dataset: str) -> tuple[Path, dict[str, str]]:
    """The folder of a data set, and the labels of its suspects, as the report has them.

    Raises:
        InputError: there is no such folder, or the report has none.
    """
    datasets = load().datasets
    if dataset not in datasets:
        raise InputError(f"--suspects {dataset}: expected one of {', '.join(datasets)}")
    folder, table = Path(datasets[dataset].source), paths.TABLES / f"{dataset}-suspects.csv"
    if not folder.is_dir():
        raise InputError(f"the data set {dataset} is {folder}, expected a folder of your own")
    if not table.is_file():
        raise InputError(f"{table}: is not there: the report suspects no label, or is not made yet (leanet repro)")
    with table.open(encoding="utf-8", newline="") as stream:
        return folder, {line["image"]: line["label"] for line in csv.DictReader(stream)}
