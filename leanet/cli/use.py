"""`leanet use`: the one data set of params.yaml."""

import argparse

from leanet.cli import edit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of a published set, or what to call your own: letters, digits and _")
    parser.add_argument(
        "folder",
        nargs="?",
        help="your own: Positive/ (anomalous) and Negative/ (normal), a tree like MVTec AD's, or images.csv",
    )
    parser.add_argument("--positives", type=int, help="anomalous images to sample (default: the paper's, or all)")
    parser.add_argument("--negatives", type=int, help="normal images to sample (default: the paper's, or all)")


def run(arguments: argparse.Namespace) -> None:
    source, negatives, positives = edit.use(
        arguments.name, arguments.folder, arguments.positives, arguments.negatives
    )
    print(
        f"params.yaml now has {source} as its data set {arguments.name}, in place of what it had: {positives} "
        f"anomalous and {negatives} normal images"
    )
