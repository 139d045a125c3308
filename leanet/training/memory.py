"""How much memory a training takes on the CPU, estimated before it begins."""

import weakref
from collections.abc import Callable

from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PROCESS = 400 * 2**20  # of torch and torchvision; what they map of their files is shared, and not counted
# Copies of the weights beside them and their gradients: Adam's two moments; and while a checkpoint of all three is
# written, another of each, one in bytes, and one of the file.
COPIES = 2 + 3 * 3


def needed(network: nn.Module, *steps: Callable[[], Tensor]) -> int:
    """Bytes that training `network` takes at most, in float32; bf16 takes less.

    network: on the meta device, where shapes cost nothing. steps: what is done with it a batch at a time, each one
    to its result, there as well: backwards where that is a loss.
    """
    weights = [tensor.untyped_storage() for tensor in network.state_dict().values()]
    # A sum: the C library keeps what is freed (leanet.core.device), in pieces too small for a larger batch.
    return PROCESS + (1 + COPIES) * sum(w.nbytes() for w in weights) + sum(_most(step, weights) for step in steps)


def _most(step: Callable[[], Tensor], weights: list[UntypedStorage]) -> int:
    """The most bytes that `step` and its gradients hold at once beside the weights."""
    with _Live(weights) as live:
        result = step()
        if result.requires_grad:
            result.backward()
    return live.most


class _Live(TorchDispatchMode):
    """Follows what torch computes: the most bytes that were held at once, beyond those that are `known` before."""

    def __init__(self, known: list[UntypedStorage]):
        super().__init__()
        self.now = self.most = 0
        self._known = {storage._cdata for storage in known}

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and (storage := each.untyped_storage())._cdata not in self._known:
                self._known.add(storage._cdata)
                self._count(storage.nbytes())
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        return result

    def _count(self, size: int) -> None:
        self.now += size
        self.most = max(self.most, self.now)

    def _freed(self, storage: int, size: int) -> None:
        self._known.discard(storage)
        self.now -= size
