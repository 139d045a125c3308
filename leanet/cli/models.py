"""`leanet models`: the rows, their parameters and attention points."""

import argparse
import json

import torch

from leanet.attention import rows
from leanet.attention.leanet import build
from leanet.report.paper import parameters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("row", nargs="*", help="rows to show, with any ADN (default: those of the paper)")
    parser.add_argument(
        "--side", type=int, default=256, help="pixels of the images (default: 256, as in the paper)"
    )
    parser.add_argument("--json", action="store_true", help="as a list of objects")


def run(arguments: argparse.Namespace) -> None:
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
