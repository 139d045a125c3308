"""A network's weights among the arrays of a job's outcome."""

import numpy as np
from torch import nn

PREFIX = "weights."


def pack(network: nn.Module) -> dict[str, np.ndarray]:
    """The weights by name, each after "weights."."""
    # In plain order: safetensors writes an array of numpy's as it lies in memory, whatever its strides.
    state = {name: weight.cpu().contiguous() for name, weight in network.state_dict().items()}
    return {f"{PREFIX}{name}": weight.numpy() for name, weight in state.items()}


def unpack(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of an outcome's arrays those that are weights, by their names in the network."""
    return {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
