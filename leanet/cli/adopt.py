"""`leanet adopt`: take what a review found into the data set's images.csv."""

import argparse
import sys
from pathlib import Path

from leanet.cli.params import load
from leanet.core.errors import InputError
from leanet.review import adopt
from leanet.review.log import NAME, Log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the folder that was looked through")
    parser.add_argument("--log", type=Path, help=f"the labels (default: {NAME} in the folder)")
    parser.add_argument("--dataset", help="of params.yaml (default: the first)")
    parser.add_argument(
        "--group-by-folder", action="store_true", help="images of one folder show one thing, and stay in one fold"
    )
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def run(arguments: argparse.Namespace) -> None:
    datasets = load().datasets
    name = arguments.dataset or next(iter(datasets))
    if name not in datasets:
        raise InputError(f"--dataset {name}: expected one of {', '.join(datasets)}")
    dataset = datasets[name]
    root = Path(dataset.source)
    if not root.is_dir():
        raise InputError(f"the data set {name} is {root}, expected a folder of your own: leanet use {name} FOLDER")
    if not arguments.folder.is_dir():
        raise InputError(f"{arguments.folder}: expected a folder that was looked through")
    log = arguments.log or arguments.folder / NAME
    if not log.is_file():
        raise InputError(f"{log}: there are no labels; leanet review {arguments.folder} makes some")
    planned = adopt.plan(Log(log), arguments.folder, root, group_by_folder=arguments.group_by_folder)
    if planned.contradictions:
        for line in planned.contradictions:
            print(f"contradiction: {line}", file=sys.stderr)
        raise InputError(
            f"contradictions: {len(planned.contradictions)}; nothing was changed. Settle them in leanet review: "
            "what the same person says last counts"
        )
    print(planned.text)
    if not planned.changes:
        print("nothing is to be changed")
        return
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise InputError("nothing was changed, since nobody is there to ask; --yes does it")
        if input("Do it? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was changed")
            return
    adopt.do(planned)
    for key in ("positives", "negatives"):
        if getattr(dataset, key) is not None:
            print(f"note: params.yaml draws {getattr(dataset, key)} {key} of it; null takes all")
    print("done; next: leanet repro, leanet compare HEAD")
