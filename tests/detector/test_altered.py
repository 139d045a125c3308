"""A detector's folder that somebody altered: one line, or it works; never a traceback, nor a score of nan."""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from fuzz.made import IMAGE, use
from PIL import Image
from safetensors.numpy import load_file, save

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.detector import NO_NUMBER, Detector
from leanet.detector.folder import GRAPH, KNOWN, LONGEST
from leanet.detector.found import Found
from leanet.detector.predict import predict

KINDS = {"light": "attending", "ensemble": "ensemble"}  # and the projects that have one
every_kind = pytest.mark.parametrize("kind", KINDS)
DELETED = object()
INSTEAD = (
    DELETED,
    *(None, True, "", "x", "nan", "../x", "/dev/zero", "\ud800", [], ["x"], [[[]]], {}, {"x": "x"}),
    *(-1, 0, 1, 2, 0.5, 1e-320, 1e308, -1e308, 10**30, 10**400, float("nan"), float("inf"), -float("inf")),
)
READ = {  # of what a detector says of itself: altered as a whole, and in all that is within
    "light": (
        *("kind", "dataset", "row", "side", "border", "preparation", "calibration", "threshold", "images"),
        *("files", "provenance"),
    ),
    "ensemble": ("unet_width", "point", "recipe", "map_scale", "pretrained", "attends", "members"),
}


@pytest.fixture
def altered(request, kind, tmp_path) -> Path:
    """A copy of a detector's folder, to be altered."""
    packaged = request.getfixturevalue(KINDS[kind]).root / paths.DETECTOR
    return Path(shutil.copytree(packaged, tmp_path / "detector"))


def read(folder: Path) -> dict:
    return json.loads((folder / paths.FACTS).read_text())


def write(folder: Path, facts: dict) -> None:
    (folder / paths.FACTS).write_text(json.dumps(facts))


def reseal(folder: Path, name: str, content: bytes) -> None:
    """Put another content into a file of the folder, with its sum in the facts."""
    facts = read(folder)
    (folder / name).write_bytes(content)
    facts["files"][name] = hashlib.sha256(content).hexdigest()
    write(folder, facts)


def places(part: object, place: tuple = ()) -> list[tuple]:
    """Where something can be altered: `part` itself, and all within; of a long list, its first."""
    inside = part.items() if isinstance(part, dict) else enumerate(part[:1]) if isinstance(part, list) else ()
    return [place, *(found for step, each in inside for found in places(each, (*place, step)))]


def with_(facts: dict, place: tuple, value: object) -> dict:
    facts = deepcopy(facts)
    *steps, last = place
    part = facts
    for step in steps:
        part = part[step]
    if value is DELETED:
        del part[last]
    else:
        part[last] = value
    return facts


@every_kind
def test_what_is_not_altered_is_used(altered):
    assert use(altered) == ""


@pytest.fixture
def loaded_once(monkeypatch):
    """Graphs, of which hundreds are the same."""
    session = onnxruntime.InferenceSession
    loaded = cache(lambda file: session(file, providers=["CPUExecutionProvider"]))
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda file, *_: loaded(file))


@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind, parts in READ.items() for part in parts])
def test_facts_that_cannot_be_are_one_line(altered, kind, part, loaded_once):
    facts = read(altered)
    facts["provenance"] = {"git_commit": "a"}  # the rest of it is handed on as it is
    lines = []
    for place in places(facts[part], (part,)):
        for value in INSTEAD if len(place) < 3 else (DELETED, None, "x", -1, 2, 10**400, float("nan")):
            write(altered, with_(facts, place, value))
            lines.append(use(altered))
    assert len(list(filter(None, lines))) > len(lines) / 3


@pytest.mark.parametrize("kind", ["light"])
def test_what_nothing_reads_may_be_anything(altered, kind, loaded_once):
    facts = read(altered)
    for part in facts.keys() - set(READ["light"]):
        for value in (DELETED, None, [[]], float("nan")):
            write(altered, with_(facts, (part,), value))
            assert use(altered) == ""


@pytest.mark.parametrize("kind", ["light"])
def test_a_detector_without_a_threshold_has_a_criterion(altered, kind, loaded_once):
    facts = with_(read(altered), ("threshold",), DELETED)
    for value in INSTEAD:
        write(altered, with_(facts, ("criterion",), value))
        assert use(altered)
    write(altered, facts)
    assert use(altered) == ""


WHOLE = (b"", b"[]", b"null", b"{", b"{}", b"[" * 100_000, b"\xff", b'{"kind": "light"}', b" " * (LONGEST + 1))


@pytest.mark.parametrize("kind", ["light"])
@pytest.mark.parametrize("content", WHOLE, ids=range(len(WHOLE)))
def test_facts_that_are_none_are_one_line(altered, kind, content):
    (altered / paths.FACTS).write_bytes(content)
    assert paths.FACTS in use(altered)


def gone(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    """Who opened it would wait for ever."""
    file.unlink()
    os.mkfifo(file)


def without_an_end(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def a_link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


@every_kind
@pytest.mark.parametrize("name", [paths.FACTS, KNOWN, GRAPH, "unet1.safetensors"])
@pytest.mark.parametrize("made", [gone, a_folder, a_pipe, without_an_end, a_link_to_itself])
def test_what_is_no_file_is_one_line(altered, kind, name, made):
    if name in {paths.FACTS, *read(altered)["files"]}:
        made(altered / name)
        assert use(altered)


@pytest.mark.parametrize("kind", ["light"])
@pytest.mark.parametrize(
    "name", ["/dev/zero", "../outside", "a/../../outside", ".", "..", "", "a\0b", "~", "C:\\a"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(altered, kind, name):
    (altered.parent / "outside").write_bytes(b"")
    facts = read(altered)
    facts["files"][name] = hashlib.sha256(b"").hexdigest()
    write(altered, facts)
    assert "expected files of this folder" in use(altered)


def arrays(name: str, right: np.ndarray) -> Iterator[np.ndarray]:
    """Others in place of the one of this name."""
    yield from (right[:-1], right[:0], right[None], right[..., None], np.concatenate([right, right]), np.array(1))
    kind = right.dtype.kind
    yield right.astype(np.int64 if kind == "f" else np.float32)
    yield np.full_like(right, -1 if kind == "i" else 0)
    if kind == "f":
        yield from (np.full_like(right, value) for value in (np.nan, np.inf, -np.inf))
    if name in ("sample", "gallery", "labels"):
        yield from (np.full_like(right, 99), np.where(np.arange(len(right)), right, 99).astype(right.dtype))
    yield right.astype(bool)


ALTERED_ARRAYS = (
    "margins",
    "labels",
    "folds",
    "groups",
    "sample",
    "statistics",
    "gallery",
    "thumbnails",
    "embeddings",
)


@pytest.mark.parametrize("kind", ["light"])
@pytest.mark.parametrize("name", ALTERED_ARRAYS)
def test_arrays_that_cannot_be_are_one_line(altered, kind, name, loaded_once):
    known = load_file(altered / KNOWN)
    assert known.keys() == set(ALTERED_ARRAYS)
    reseal(altered, KNOWN, save({other: array for other, array in known.items() if other != name}))
    assert f"{name} is missing" in use(altered)
    lines = []
    for array in arrays(name, known[name]):
        reseal(altered, KNOWN, save(known | {name: np.ascontiguousarray(array)}))
        lines.append(use(altered))
    assert len(list(filter(None, lines))) > len(lines) / 2


@every_kind
def test_files_of_another_kind_are_one_line(altered, kind):
    for name in read(altered)["files"]:
        whole = (altered / name).read_bytes()
        for content in (b"", b"\0" * 100, whole[: len(whole) // 2], b"\xff" * 8 + whole[8:], b'{"a": 1}'):
            reseal(altered, name, content)
            assert name in use(altered) or kind == "ensemble"
        reseal(altered, name, whole)
    assert use(altered) == ""


def with_graph(folder: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    model = onnx.load(folder / GRAPH)
    change(model.graph)
    reseal(folder, GRAPH, model.SerializeToString())


def other_output(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for at, name in enumerate(node.output):
            node.output[at] = "points" if name == "score" else name
    graph.output[0].name = "points"


def no_output(graph: onnx.GraphProto) -> None:
    del graph.output[0]


def other_shape(graph: onnx.GraphProto) -> None:
    """The scores are the colours, too."""
    (made,) = (node for node in graph.node if "score" in node.output)
    made.CopyFrom(onnx.helper.make_node("Identity", ["color"], ["score"], name=made.name))
    graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, None))


def other_input(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = 64


@pytest.mark.parametrize("kind", ["light"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_output, "gives points, map, attention, features, color, expected score, map"),
        (no_output, "gives map, attention, features, color, expected score, map"),
        (other_shape, r"the detector's networks give score of shape \(1, 2\), expected \(1,\)"),
        (other_input, "onnxruntime does not run it"),
    ],
)
def test_another_graph_is_one_line(altered, kind, change, said):
    with_graph(altered, change)
    assert re.search(said, use(altered))


def without_numbers(folder: Path, name: str) -> None:
    """Weights of nan in a file of the folder."""
    if name == GRAPH:
        with_graph(folder, lambda graph: graph.initializer.extend(map(_nan, _taken(graph, "unet"))))
    else:
        weights = load_file(folder / name)
        nan = {
            key: np.full_like(each, np.nan) if each.dtype.kind == "f" else each for key, each in weights.items()
        }
        reseal(folder, name, save(nan))


def _taken(graph: onnx.GraphProto, name: str) -> list[onnx.TensorProto]:
    """The weights in it with this in their names, which it then has not."""
    found = [each for each in graph.initializer if name in each.name]
    for each in found:
        graph.initializer.remove(each)
    return found


def _nan(weights: onnx.TensorProto) -> onnx.TensorProto:
    array = onnx.numpy_helper.to_array(weights)
    return onnx.numpy_helper.from_array(np.full_like(array, np.nan), weights.name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("light", GRAPH), ("ensemble", "unet1.safetensors"), ("ensemble", "network0.safetensors")],
)
def test_no_score_of_nan_is_called_normal(altered, kind, name, tmp_path):
    without_numbers(altered, name)
    assert use(altered) == NO_NUMBER
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    how = {"criterion": None, "prevalence": None, "overlays": None, "fail_on_anomaly": False, "device": "cpu"}
    out = io.StringIO()
    with pytest.raises(InputError, match="^none of 1 could be read$"):
        predict([str(tmp_path / "a.png")], detector=str(altered), layout="jsonl", out=out, **how)
    assert json.loads(out.getvalue()) == {"file": str(tmp_path / "a.png"), "error": NO_NUMBER}


@pytest.mark.parametrize("kind", ["ensemble"])
def test_other_weights_are_one_line(altered, kind):
    name = "network1.safetensors"
    weights = load_file(altered / name)
    first = next(key for key, each in weights.items() if each.ndim == 4)
    for other in (
        {key: each for key, each in weights.items() if key != first},
        weights | {"more": weights[first]},
        weights | {first: weights[first][:-1]},
        weights | {first: weights[first].astype(np.float64)},
        weights | {first: weights[first].astype(np.int64)},
        {},
    ):
        reseal(altered, name, save({key: np.ascontiguousarray(each) for key, each in other.items()}))
        assert "has no networks as in detector.json: the weights are of another network" in use(altered)


@pytest.mark.parametrize("kind", ["light"])
def test_images_that_the_detector_comes_to_no_number_for_are_told_from_others(altered, kind):
    detector = Detector.load(altered, "cpu")
    networks = detector.networks

    class Odd:
        batch, threads = 4, 1

        def __call__(self, images: np.ndarray) -> Found:
            found = networks(images)
            for part, at, value in ((found.score, 0, np.nan), (found.map, 1, np.inf), (found.score, 2, 1.5)):
                part[at] = value
            return found

    detector.networks = Odd()
    ((judged, faults),) = detector.stream([b"none", IMAGE, IMAGE, IMAGE])
    assert [str(fault) for fault in faults[1:]] == [NO_NUMBER] * 3
    assert len(judged.scores) == len(judged.images) == 0
    ((judged, faults),) = detector.stream([IMAGE, IMAGE, IMAGE, IMAGE])
    assert [fault and str(fault) for fault in faults] == [*[NO_NUMBER] * 3, None]
    np.testing.assert_array_equal(judged.scores, networks(judged.images).score)
