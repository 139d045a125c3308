"""`leanet export`: the detector as one graph for other programs."""

import argparse
from pathlib import Path

from leanet.cli.options import add_detector
from leanet.detector.folder import folder_of
from leanet.packaging.export import export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_detector(parser)
    parser.add_argument("file", type=Path, help="to write: .onnx for ONNX, .pt2 for torch.export")


def run(arguments: argparse.Namespace) -> None:
    export(folder_of(arguments.detector), arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size / 2**20:.0f} MiB")
