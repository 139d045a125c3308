"""The command line: `python -m leanet …`."""

import argparse
import json
import sys
from pathlib import Path

from leanet import stage
from leanet.errors import InputError
from leanet.params import load

LONG = 300  # seconds: a shorter stage is not worth those that MLflow takes to start


def check(_: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from leanet import device, rows
    from leanet.data.images import list_images
    from leanet.data.sampling import assign_folds, sample
    from leanet.models.leanet import build

    params = load()
    device.select(params.device)
    for name, dataset in params.datasets.items():
        if Path(dataset.source).is_dir():  # what stage split would only find after the images are copied
            try:
                counts = (dataset.negatives, dataset.positives)
                taken = sample(list_images(Path(dataset.source)), counts, params.split.seed)
                assign_folds(np.array([label for _, label in taken]), params.split.folds, params.split.seed)
            except InputError as error:
                raise InputError(f"params.yaml: datasets.{name}: {error}") from None
    try:
        for row in params.rows:
            with torch.device("meta"):  # shapes without weights
                for point in params.train_leanet.points if rows.parts(row).external else [None]:
                    build(row, side=params.split.image_size, point=point)
    except InputError as error:
        raise InputError(f"params.yaml: rows: {error}") from None
    print("params.yaml is in order")


def models(arguments: argparse.Namespace) -> None:
    import torch

    from leanet import rows
    from leanet.models.leanet import build
    from leanet.report.paper import parameters

    for row in arguments.row:
        rows.check(row)
    printed = parameters()
    table = []
    for row in arguments.row or rows.PAPER:
        with torch.device("meta"):  # shapes without weights
            network = build(row, side=arguments.side, point=None)
        trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
        paper = round(printed[row] * 1e6) if row in printed else None
        table.append({"row": row, "trainable": trainable, "paper": paper, "points": list(network.adn.points)})
    if arguments.json:
        print(json.dumps(table, indent=1))
        return
    size = f"{arguments.side}×{arguments.side}"
    print(f"{'row':28}{'trainable':>14}{'the paper':>12}  attention points, at {size}")
    for line in table:
        paper = f"{line['paper'] / 1e6:.1f}M" if line["paper"] else "–"
        points = ", ".join(map(str, line["points"])) or "none"
        print(f"{line['row']:28}{line['trainable']:>14,}{paper:>12}  {points}")


def settings(arguments: argparse.Namespace) -> None:
    from leanet.settings import apply

    apply(arguments.name)
    print(f"params.yaml now has the {arguments.name} settings; `git diff params.yaml` shows what changed")


def use(arguments: argparse.Namespace) -> None:
    from leanet import settings as params_file

    params_file.use(arguments.name, arguments.folder, arguments.positives, arguments.negatives)
    print(f"params.yaml now has {arguments.folder} as its data set {arguments.name}, in place of what it had")


def track(arguments: argparse.Namespace) -> None:
    if arguments.stage and arguments.stage != ["report"] and stage.time_taken(arguments.stage) < LONG:
        return  # the report's call logs this one too
    from leanet.tracking import track as log

    try:
        new = log(load(), [] if arguments.stage == ["report"] else arguments.stage)
    except InputError as error:
        if not arguments.stage:
            raise
        # Within a stage: what is computed stays computed, whatever becomes of its log.
        print(f"warning: {error}", file=sys.stderr)
        return
    if not arguments.stage:
        print(f"{new} stages logged to MLflow; those logged before were left alone")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m leanet", description="LEA-Net as a data pipeline")
    commands = parser.add_subparsers(metavar="command")
    parser.set_defaults(function=lambda _: parser.print_help())

    def command(function, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(function.__name__, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    command(check, "check params.yaml and say the first thing that is wrong with it")
    sub = command(models, "list the rows with their trainable parameters beside the paper's")
    sub.add_argument("row", nargs="*", help="rows to show, with any ADN (default: those of the paper)")
    sub.add_argument("--side", type=int, default=256, help="pixels of the images (default: 256, as in the paper)")
    sub.add_argument("--json", action="store_true", help="as a list of objects")
    sub = command(settings, "lay a file of settings/ over params.yaml: quick, photos or paper")
    sub.add_argument("name")
    sub = command(use, "make a folder of your own the data set of params.yaml, in place of what is there")
    sub.add_argument("name", help="what to call it: letters, digits and _")
    sub.add_argument("folder", help="it holds Positive/ (anomalous) and Negative/ (normal)")
    sub.add_argument("--positives", type=int, help="how many anomalous images to sample (default: all)")
    sub.add_argument("--negatives", type=int, help="how many normal images to sample (default: all)")
    sub = command(track, "log what the stages left on disk to MLflow, each result once")
    sub.add_argument(
        "stage",
        nargs="*",
        help="a stage and its data set and row, if it took five minutes; report logs all (default: all)",
    )

    arguments = parser.parse_args()
    try:
        arguments.function(arguments)
    except InputError as error:
        sys.exit(f"leanet: {error}")


if __name__ == "__main__":
    main()
