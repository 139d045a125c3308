"""Networks as one graph, from images as bytes to what is found in them; of a light detector, in few bytes."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from leanet.core.errors import InputError
from leanet.detector.calibration import log_odds
from leanet.detector.ensemble import Ensemble
from leanet.detector.found import Found
from leanet.detector.graph import Graph

SEEN = 256  # images that the ranges of int8 are taken from, and that it is compared on, at most
NOTHING_LOST = 0.25  # root mean square of what int8 may change in a score's log-odds
SMALL = 1024  # numbers: arrays of fewer stay as they are


def program(ensemble: Ensemble, side: int) -> torch.export.ExportedProgram:
    """For any number of images, uint8 (N, side, side, 3) in sRGB; gives the parts of Found, in its order."""
    images = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(ensemble, (images,), dynamic_shapes=({0: torch.export.Dim("images")},))


def write_onnx(
    exported: torch.export.ExportedProgram, file: Path, facts: dict[str, str], *, attends: bool
) -> None:
    """Write a program as ONNX; its input is `images`, its outputs have the names of Found. facts: its metadata.

    Raises:
        InputError: what writes ONNX is not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError("ONNX is written by a package of its own: pip install onnx onnxscript") from None
    names = [name for name in Found._fields if attends or name != "attention"]
    with _silenced():  # it tells of each argument of no use, and of each output that is None
        written = torch.onnx.export(
            exported, dynamo=True, input_names=["images"], output_names=names, verbose=False
        )
    for node in written.model.graph:
        node.metadata_props.clear()  # lines of code, with the folders that it lies in
    written.model.metadata_props.update(facts)
    written.save(file)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """No warnings in the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def write_light(
    exported: torch.export.ExportedProgram, file: Path, facts: dict[str, str], images: np.ndarray, *, attends: bool
) -> str:
    """Write a program of one member as ONNX, its network in int8 where that loses nothing, all else in float16.

    What is kept in float16 is computed in float32. The colouriser is never in int8: maps in ΔE₀₀ would be off by
    half a unit on average.

    images: uint8 (N, side, side, 3), training images to take ranges from. Returns what the network is in.
    """
    import onnx

    images = images[np.linspace(0, len(images) - 1, min(SEEN, len(images))).astype(int)]
    with TemporaryDirectory(dir=file.parent) as folder:
        plain, small, quantized = (Path(folder) / f"{name}.onnx" for name in ("plain", "small", "quantized"))
        write_onnx(exported, plain, facts, attends=attends)
        _quantize(plain, quantized, images)
        for source, target in ((plain, small), (quantized, quantized)):
            model = onnx.load(source)
            _halve(model.graph)
            onnx.save(model, target)
        of_small, of_quantized = (log_odds(_scores(each, images)) for each in (small, quantized))
        lost = float(np.sqrt(np.mean((of_quantized - of_small) ** 2)))
        kind, chosen = ("int8", quantized) if lost <= NOTHING_LOST else ("float16", small)
        chosen.replace(file)
    return kind


def _scores(file: Path, images: np.ndarray) -> np.ndarray:
    graph = Graph(file, "cpu")
    batches = (images[start : start + graph.batch] for start in range(0, len(images), graph.batch))
    return np.concatenate([graph(batch).score for batch in batches])


def _quantize(plain: Path, quantized: Path, images: np.ndarray) -> None:
    """Convolutions and linear layers of the network in int8, their ranges from `images`."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = iter(np.array_split(images, len(images)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    kinds = ("Conv", "Gemm", "MatMul")
    layers = [node for node in onnx.load(plain).graph.node if node.op_type in kinds]
    with _silenced():  # it advises to optimize the graph beforehand, which would change what is computed
        quantize_static(
            plain,
            quantized,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(kinds),
            nodes_to_exclude=[node.name for node in layers if ".network." not in node.input[1]],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 7 bits: processors without VNNI add up in 16, and must not overflow
        )
    model = onnx.load(quantized)
    _spare_maps(model.graph)
    onnx.save(model, quantized)


def _spare_maps(graph) -> None:
    """Let what maps and colours are computed from be as it was: the images are quantized for the network alone."""
    made_by = {output: node for node in graph.node for output in node.output}
    waiting, seen = ["map", "color"], set()
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        for place, name in enumerate(node.input):
            rounded = made_by.get(name)
            if rounded is not None and rounded.op_type == "DequantizeLinear":
                node.input[place] = made_by[rounded.input[0]].input[0]
        waiting += node.input


def _halve(graph) -> None:
    """Store large arrays of float32 as float16; a graph turns them back as it is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for array in list(graph.initializer):
        if array.data_type == TensorProto.FLOAT and np.prod(array.dims) >= SMALL:
            values = numpy_helper.to_array(array).astype(np.float16)
            graph.initializer.remove(array)
            graph.initializer.append(numpy_helper.from_array(values, f"{array.name}.float16"))
            casts.append(helper.make_node("Cast", [f"{array.name}.float16"], [array.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
