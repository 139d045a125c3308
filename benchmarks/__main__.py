"""`python -m benchmarks [part …] [--json FILE]`: measure, show a table, keep the figures."""

import argparse
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks import color, decoding, gpu, layers, memory, predicting, scale, startup, training, tricks
from benchmarks.line import Line
from leanet.core import device as devices

PARTS = {
    "training": training,
    "layers": layers,
    "tricks": tricks,
    "color": color,
    "startup": startup,
    "memory": memory,
    "predicting": predicting,
    "decoding": decoding,
    "scale": scale,
    "gpu": gpu,
}


def figure(value: float) -> str:
    """Three significant digits, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def row(line: Line) -> str:
    """A line of the table, in Markdown."""
    verdict = {True: "holds", False: "**missed**", None: ""}[line.holds]
    ours, other = (f"{figure(value)} {line.unit}" for value in (line.ours, line.other))
    judged = f"{figure(line.figure)} {line.judged}"
    return f"| {line.name} | {ours} | {other} ({line.beside}) | {judged} | {line.wanted} | {verdict} |"


def hardware() -> dict[str, str]:
    """What these figures belong to."""
    device = devices.prepare("auto")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} cores"
    precision = str(devices.number_format("auto", device)).removeprefix("torch.")
    return {
        "device": f"{device.type}, {name}",
        "precision": precision,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help="of " + ", ".join(PARTS) + " (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    machine = hardware()
    print(" · ".join(f"{name} {value}" for name, value in machine.items()), end="\n\n")
    print("| what | ours | beside it | figure | wanted | |\n|---|---|---|---|---|---|", flush=True)
    lines = []
    for part in arguments.parts or PARTS:
        for line in PARTS[part].lines():
            print(row(line), flush=True)
            lines.append(line)
    if arguments.json:
        figures = {"machine": machine, "lines": [asdict(line) | {"holds": line.holds} for line in lines]}
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
