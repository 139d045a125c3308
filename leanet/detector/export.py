"""The detector as one graph for other programs: from images as bytes to score and map."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from leanet.core.errors import InputError
from leanet.detector.detector import Detector

KINDS = (".onnx", ".pt2")
OUTPUTS = ("score", "map", "attention")


def export(detector: Detector, file: Path) -> None:
    """Write `file` as ONNX (.onnx) or by torch.export (.pt2), for any number of images.

    In: `images`, uint8 (N, side, side, 3), sRGB, resized as leanet.images.decoding has it and
    prepared as leanet.images.preparation has it. Out, float32: `score`
    (N,), `map` (N, side, side) in ΔE₀₀, and of a row that attends, `attention` (N, side, side). Colours
    are converted and CIEDE2000 computed in the graph; side and threshold are in its metadata.

    Raises:
        InputError: the name ends otherwise, or what writes ONNX is not installed.
    """
    if file.suffix not in KINDS:
        raise InputError(f"{file}: expected a name that ends in {' or '.join(KINDS)}")
    members = len(detector.ensemble.members)
    print(f"{file}: {members} networks as one graph; may take minutes", file=sys.stderr, flush=True)
    detector.to("cpu")
    images = torch.zeros(2, detector.side, detector.side, 3, dtype=torch.uint8)
    with torch.no_grad():
        graph = torch.export.export(
            detector.ensemble, (images,), dynamic_shapes=({0: torch.export.Dim("images")},)
        )
    facts = {
        "side": str(detector.side),
        "preparation": json.dumps(detector.facts["preparation"]),
        "threshold": repr(detector.threshold.value),
        "provenance": json.dumps(detector.facts["provenance"]),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=file.parent) as folder:
        new = Path(folder) / file.name
        if file.suffix == ".pt2":
            torch.export.save(graph, new, extra_files=facts)
        else:
            _write_onnx(graph, new, facts, OUTPUTS if detector.facts["attends"] else OUTPUTS[:2])
        for part in sorted(new.parent.iterdir(), key=lambda part: part == new):  # ONNX beyond 2 GB is two files
            part.replace(file.with_name(part.name))


def _write_onnx(graph: torch.export.ExportedProgram, file: Path, facts: dict[str, str], outputs: tuple) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError("ONNX is written by a package of its own: pip install onnx onnxscript") from None
    program = torch.onnx.export(
        graph, dynamo=True, input_names=["images"], output_names=list(outputs), verbose=False
    )
    program.model.metadata_props.update(facts)
    program.save(file)
