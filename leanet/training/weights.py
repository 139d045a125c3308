"""A network's weights, from files that others may have written."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from leanet.core.errors import InputError


def read(file: Path) -> dict[str, Tensor]:
    """The weights in a file, by name.

    Raises:
        InputError: there are none.
    """
    try:
        return load_file(file)
    except Exception as error:  # given damaged bytes, safetensors raises whatever it stumbles on
        raise InputError(f"{file}: has no weights that can be read ({_short(error)})") from None


def put(network: nn.Module, weights: dict[str, Tensor], *, assign: bool = False) -> None:
    """Put weights into the network that they are of. assign: they themselves, in place of copies.

    Raises:
        InputError: they are of another network.
    """
    try:
        kinds = {name: tensor.dtype for name, tensor in network.state_dict().items()}
        if any(kinds.get(name, tensor.dtype) != tensor.dtype for name, tensor in weights.items()):
            raise TypeError("numbers of another kind")
        network.load_state_dict(weights, assign=assign)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"the weights are of another network ({_short(error)})") from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
