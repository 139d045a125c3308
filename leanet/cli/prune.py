"""`leanet prune`: room on the disk."""

import argparse

from leanet.cli import params
from leanet.core import paths, settings
from leanet.run import kept, pipeline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace) -> None:
    params.load()  # of a file that is not in order, nothing is removed
    stages = pipeline.stages(settings.parse(paths.PARAMS))
    files, size = kept.prune(stage.address for stage in stages)
    print(f"{files} files of trainings that no result needs removed, {size / 2**20:.1f} MiB")
