"""A light detector's network as onnxruntime computes it: nothing of torch is loaded."""

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
            InputError: onnxruntime, as it is installed, does not know the device.
        """
        there = [name for name, provider in PROVIDERS.items() if provider in onnxruntime.get_available_providers()]
        if device == "auto":
            device = there[0]
        if device not in there:
            raise InputError(
                f"device is {device}, but onnxruntime here has only {', '.join(there)}; "
                "cuda needs the package onnxruntime-gpu"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # batches side by side wait for one another less than parts of one
        options.log_severity_level = 3
        providers = dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]])  # the CPU for what the other cannot do
        self._session = onnxruntime.InferenceSession(file, options, list(providers))
        self._names = [output.name for output in self._session.get_outputs()]
        self.threads = None if device == "cpu" else 1

    def __call__(self, images: np.ndarray) -> Found:
        outputs = dict(zip(self._names, self._session.run(self._names, {"images": images}), strict=True))
        return Found(**{"attention": None} | outputs)
