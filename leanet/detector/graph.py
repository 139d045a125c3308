"""A light detector's network as onnxruntime computes it: nothing of torch is loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

from leanet.core.errors import InputError
from leanet.detector.found import Found

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}  # the fastest first


class Graph:
    """The graph in a file; its outputs are those of Found by name."""

    batch = 8  # images: more are no faster, and take memory

    def __init__(self, file: Path, device: str):
        """device: auto, cpu or cuda.

        Raises:
            InputError: onnxruntime, as it is installed, does not know the device; or it is no such graph.
        """
        there = [name for name, provider in PROVIDERS.items() if provider in onnxruntime.get_available_providers()]
        if device == "auto":
            device = there[0]
        if device not in there:
            raise InputError(
                f"device is {device}, but onnxruntime here has only {', '.join(there)} (or auto); "
                "cuda needs the package onnxruntime-gpu"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # batches side by side wait for one another less than parts of one
        options.log_severity_level = 3
        providers = dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]])  # the CPU for what the other cannot do
        self._file = file
        with self._understood():
            self._session = onnxruntime.InferenceSession(file, options, list(providers))
        self._names = [output.name for output in self._session.get_outputs()]
        if {"attention", *self._names} != set(Found._fields):
            raise InputError(f"{file}: gives {', '.join(self._names)}, expected {', '.join(Found._fields)}")
        self.threads = None if device == "cpu" else 1

    def __call__(self, images: np.ndarray) -> Found:
        with self._understood():
            outputs = self._session.run(self._names, {"images": images})
        return Found(**{"attention": None} | dict(zip(self._names, outputs, strict=True)))

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of a dozen kinds, none of which says more than its name
            said = " ".join(str(error).split())[:200]
            raise InputError(f"{self._file}: onnxruntime does not run it ({said})") from None
