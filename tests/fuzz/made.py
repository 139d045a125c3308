"""A detector's folder without any training: its graph is a few operations, and says a number of every image."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from safetensors.numpy import save_file

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.criterion import Criterion
from leanet.detector.detector import Detector
from leanet.detector.folder import GRAPH, KNOWN
from leanet.packaging.export import metadata
from leanet.packaging.merit import Merit

SIDE, IMAGES, FEATURES = 32, 6, 3  # as many features as an image has channels
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)


def detector(folder: Path) -> dict:
    """Write it to `folder`; what it says of itself."""
    _graph(folder / GRAPH)
    labels = np.array([0, 0, 0, 1, 1, 1])
    places, chance = np.arange(IMAGES), np.random.default_rng(0)
    known = {
        "margins": np.linspace(-2, 2, IMAGES),
        "labels": labels,
        "folds": places % 2,
        "groups": places,
        "sample": places,
        "statistics": chance.random((IMAGES, 4), np.float32),
        "gallery": places,
        "thumbnails": chance.integers(0, 256, (IMAGES, SIDE, SIDE, 3), np.uint8),
        "embeddings": chance.random((IMAGES, FEATURES), np.float32),
    }
    save_file(known, folder / KNOWN)
    rate = {"estimate": 0.9, "low": 0.6, "high": 1.0}
    facts = {
        "kind": "light",
        "dataset": "leaf",
        "row": "cnn",
        "side": SIDE,
        "border": None,
        "preparation": {"border": 0.05, "white_balance": False, "background": "keep"},
        "calibration": {"slope": 1.0, "intercept": 0.0, "prevalence": 0.5},
        "threshold": {
            "criterion": "best-f1",
            "value": 0.5,
            "recall": rate,
            "false_alarms": rate,
            "precision": rate,
            "f1": rate,
            "f1_held_out": 0.9,
            "positives": 3,
            "negatives": 3,
        },
        "images": [f"{place}.png" for place in places],
        "provenance": {"git_commit": ""},
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (GRAPH, KNOWN)},
    }
    (folder / paths.FACTS).write_text(json.dumps(facts))
    return facts


def use(folder: Path) -> str:
    """All that a detector does; the line that it ends in, if any."""
    try:
        with warnings.catch_warnings(action="error"):
            detector = Detector.load(folder, "cpu")
            judged = detector.predict([IMAGE], prevalence=0.1)
            assert 0 <= judged.scores[0] <= 1
            for criterion in ("best-f1", "recall 1e-12", "false-alarms 0.999999999999"):
                detector.threshold_for(Criterion.parse(criterion))
            detector.nearest(judged.features[0], 3)
            detector.drift(np.repeat(judged.statistics, 9, axis=0))
            assert all(map(str.isprintable, [detector.threshold.summary, *detector.doubts]))
            (detector.facts["provenance"]["git_commit"] + detector.facts["row"]).encode()
            metadata(detector.facts | {"threshold": detector.threshold.facts})
            assert Merit.of(folder).text
    except InputError as error:
        said = str(error)
    else:
        return ""
    assert said.isprintable()
    assert len(said) < 1000
    assert str(folder) in said or "the detector" in said
    return said


def _graph(file: Path) -> None:
    axes = {"last": [3], "space": [1, 2], "all": [1, 2, 3], "from": [0], "to": [2], "columns": [1]}
    constants = {name: np.array(value, np.int64) for name, value in axes.items()}
    constants["full"] = np.array(255, np.float32)
    node = helper.make_node
    nodes = [
        node("Cast", ["images"], ["values"], to=TensorProto.FLOAT),
        node("Div", ["values", "full"], ["shares"]),
        node("ReduceMean", ["shares", "all"], ["score"], keepdims=0),
        node("ReduceMean", ["values", "last"], ["map"], keepdims=0),
        node("ReduceMean", ["shares", "space"], ["features"], keepdims=0),
        node("Slice", ["features", "from", "to", "columns"], ["color"]),
    ]
    shapes = {"score": [], "map": [SIDE, SIDE], "features": [FEATURES], "color": [2]}
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *rest]) for name, rest in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    file.write_bytes(model.SerializeToString())
