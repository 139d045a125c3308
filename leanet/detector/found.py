"""What a detector's networks find in images, whatever runs them."""

from typing import NamedTuple, Protocol

import numpy as np


class Found(NamedTuple):
    """Of N images, float32; the names are those of the outputs of a graph.

    score: (N,), probabilities of being anomalous. map: (N, side, side), anomaly maps in ΔE₀₀. attention:
    (N, side, side), what the networks attend to, from 0 (not) to 1 (fully); None for a row without attention.
    features: (N, D), length 1, what the networks see before they decide: near where images look alike to them.
    color: (N, 2), means of L* and of the chroma C* of the images themselves.
    """

    score: np.ndarray
    map: np.ndarray
    attention: np.ndarray | None
    features: np.ndarray
    color: np.ndarray


class Networks(Protocol):
    """From images, uint8 (N, side, side, 3) in sRGB, to what is found in them.

    batch: how many images at a time are best. threads: how many batches side by side; None for one a core.
    """

    batch: int
    threads: int | None

    def __call__(self, images: np.ndarray) -> Found: ...
