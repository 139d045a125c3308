"""`python -m benchmarks.exported IMAGES`: what a light detector's graph loses against its networks in torch.

In a project's folder, after `leanet repro`. The networks are those that the package was made of, in float32.
Beside them stand the graph before anything of it is made small, and the graph of the package.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from leanet.core import paths
from leanet.detector.calibration import Calibration
from leanet.detector.detector import Detector
from leanet.detector.ensemble import Ensemble, OnTorch, member_of
from leanet.detector.found import Found
from leanet.detector.graph import Graph
from leanet.images.preparation import prepare
from leanet.images.reading import is_image, read
from leanet.packaging.export import metadata
from leanet.packaging.graph import program, write_light, write_onnx

COUNT = 100  # images, evenly drawn from the folder


def differences(ours: Found, theirs: Found) -> str:
    scores, maps = np.abs(ours.score - theirs.score), np.abs(ours.map - theirs.map)
    return (
        f"scores off by {scores.mean():.1e} on average, {scores.max():.1e} at most; "
        f"maps by {maps.mean():.1e} and {maps.max():.1e} ΔE₀₀"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exported", description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="a folder; 100 of the images below it are taken")
    found = sorted(file for file in parser.parse_args().images.rglob("*") if is_image(file.name))
    files = [found[i] for i in np.linspace(0, len(found) - 1, min(COUNT, len(found))).astype(int)]

    detector = Detector.load(paths.DETECTOR, "cpu")
    facts = detector.facts
    colouriser, network, *_ = json.loads((paths.KEPT / "package.json").read_text())
    weights = [load_file(paths.KEPT / f"{key}.weights.safetensors") for key in (colouriser, network)]
    ensemble = Ensemble([member_of(facts, weights)], Calibration(**facts["calibration"])).eval()
    images = np.stack(
        [prepare(image, detector.preparation)[0] for image in next(read(files, detector.side, COUNT))]
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        exported = program(ensemble, detector.side)
        write_onnx(exported, Path(folder) / "plain.onnx", metadata(facts), attends=facts["attends"])
        plain = time.perf_counter() - began
        write_light(exported, Path(folder) / "light.onnx", metadata(facts), images, attends=facts["attends"])
        both = time.perf_counter() - began
        in_float32 = Graph(Path(folder) / "plain.onnx", "cpu")(images)
    in_torch = OnTorch(ensemble, "cpu")(images)
    print(f"{facts['row']}, {detector.side} pixels, {len(images)} images, beside torch in float32:")
    print(f"- ONNX in float32: {differences(in_float32, in_torch)}; written in {plain:.1f} s")
    of_package = differences(detector.networks(images), in_torch)
    print(f"- the package, {facts['network_in']}: {of_package}; in {both - plain:.1f} s more")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
