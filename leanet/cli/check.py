"""`leanet check`: what is wrong with params.yaml, before anything runs."""

import argparse
from pathlib import Path

from leanet.cli import params
from leanet.core import files, paths
from leanet.core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help="note there that all is well (for DVC)")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from leanet.attention import rows
    from leanet.attention.adn import check_pretrained
    from leanet.attention.leanet import build
    from leanet.core import device
    from leanet.detector.criterion import Criterion
    from leanet.images import sources

    all_ = params.load()
    device.select(all_.device)
    asked = all_.package.criterion
    for name, dataset in all_.datasets.items():
        try:
            _, anomalous = sources.check(dataset, all_.split)
        except InputError as error:
            raise InputError(f"{paths.PARAMS}: datasets.{name}: {error}") from None
        if not anomalous and asked and Criterion.parse(asked).needs_anomalous and name == _packaged(all_):
            raise InputError(
                f"{paths.PARAMS}: package.criterion is {asked}, but {name} has no anomalous image to tell it by; "
                "expected conformal A, or null"
            )
    try:
        for row in all_.rows:
            if all_.train_leanet.pretrained:
                check_pretrained(rows.parts(row).adn)
            with torch.device("meta"):  # shapes without weights
                for point in all_.train_leanet.points if rows.parts(row).external else [None]:
                    build(row, side=all_.split.image_size, point=point)
    except InputError as error:
        raise InputError(f"{paths.PARAMS}: rows: {error}") from None
    if arguments.out:
        files.write(arguments.out, "params.yaml is in order\n")
    print("params.yaml is in order")


def _packaged(all_: params.Params) -> str:
    """The data set whose detector is packaged."""
    return all_.package.dataset or next(iter(all_.datasets))
