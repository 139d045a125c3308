"""`leanet settings`: the values of a file of settings/, laid over params.yaml."""

import argparse

from leanet.cli import edit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="quick, photos, paper, or a file of your own in settings/")


def run(arguments: argparse.Namespace) -> None:
    edit.apply(arguments.name)
    print(f"params.yaml now has the {arguments.name} settings; `git diff params.yaml` shows what changed")
