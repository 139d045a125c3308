"""The detector as one graph for other programs."""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from leanet.core.errors import InputError
from leanet.detector.detector import Detector
from leanet.detector.folder import GRAPH, read_facts

KINDS = (".onnx", ".pt2")


def export(folder: Path, file: Path) -> None:
    """Write the detector in `folder` as ONNX (.onnx) or, of an ensemble, by torch.export (.pt2).

    In: `images`, uint8 (N, side, side, 3), sRGB, of any number, resized as leanet.images.decoding has it and
    prepared as leanet.images.preparation has it. Out are the parts of leanet.detector.found.Found: `score` (N,),
    `map` (N, side, side) in ΔE₀₀, of a row that attends `attention` (N, side, side), and so on. Colours are
    converted and CIEDE2000 computed in the graph; side and threshold are in its metadata.

    Raises:
        InputError: the name ends otherwise, its folder is not there, there is no detector, a light one is to be
            .pt2, or what writes ONNX is not installed.
    """
    if file.suffix not in KINDS:
        raise InputError(f"{file}: expected a name that ends in {' or '.join(KINDS)}")
    facts = read_facts(folder)
    if facts["kind"] == "light" and file.suffix == ".pt2":
        raise InputError(f"{file}: a light detector is an ONNX graph; of package.kind: ensemble there is a .pt2")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.parent}")
    if facts["kind"] == "light":
        Detector.load(folder, "cpu")  # says what is damaged
        shutil.copyfile(folder / GRAPH, file)
        return
    import torch

    from leanet.detector import ensemble
    from leanet.packaging.graph import program, write_onnx

    print(f"{file}: {len(facts['members'])} networks as one graph; takes minutes", file=sys.stderr, flush=True)
    said = metadata(facts | {"threshold": Detector.load(folder, "cpu").threshold.facts})
    exported = program(ensemble.load(folder, facts).eval(), facts["side"])
    with TemporaryDirectory(dir=file.parent) as place:
        new = Path(place) / file.name
        if file.suffix == ".pt2":
            torch.export.save(exported, new, extra_files=said)
        else:
            write_onnx(exported, new, said, attends=facts["attends"])
        for part in sorted(new.parent.iterdir(), key=lambda part: part == new):  # ONNX beyond 2 GB is two files
            part.replace(file.with_name(part.name))


def metadata(facts: dict) -> dict[str, str]:
    """What a graph says of itself, from what its detector does."""
    return {
        "side": str(facts["side"]),
        "preparation": json.dumps(facts["preparation"]),
        "threshold": repr(facts["threshold"]["value"]),
        "provenance": json.dumps(facts["provenance"]),
    }
