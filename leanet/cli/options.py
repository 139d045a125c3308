"""Arguments that several commands share."""

import argparse

from leanet.core import paths


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
