"""The loss of a batch and its gradients: computed kernel by kernel, on a GPU recorded and replayed.

A GPU is done with a kernel of a small batch before Python has asked for the next one. A CUDA graph holds all
kernels of a step, and asks for them at once.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from leanet.core.device import autocast

AS_IT_IS = 3  # steps of one shape before it is recorded: libraries choose their kernels and take their memory


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let a GPU do what follows on a stream of its own: on the one that all share, nothing can be recorded."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        yield
        torch.cuda.synchronize()


class Steps:
    """Steps of training `network`, whose gradients are in its weights' `grad` after each.

    batch_loss: from what a batch is, tensors on `device`, to a scalar loss; nothing in it may depend on anything
        else that changes, since a recorded step would go on with what it was.
    """

    def __init__(
        self, network: nn.Module, batch_loss: Callable[..., Tensor], device: torch.device, dtype: torch.dtype
    ):
        self._weights, self._batch_loss = list(network.parameters()), batch_loss
        self._device, self._dtype = device, dtype
        self._seen: Counter = Counter()  # steps by the shapes of what they were given
        self._recorded: dict[tuple, _Recorded] = {}

    def __call__(self, *given: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        shapes = tuple(tensor.shape for tensor in given)
        if shapes not in self._recorded:
            if self._device.type != "cuda" or self._seen[shapes] < AS_IT_IS:
                self._seen[shapes] += 1
                return self._compute(*given)
            self._recorded[shapes] = _Recorded(self._compute, self._weights, given)
        return self._recorded[shapes](*given)

    def _compute(self, *given: Tensor) -> Tensor:
        for weight in self._weights:
            weight.grad = None
        with autocast(self._device, self._dtype):
            loss = self._batch_loss(*given)
        loss.backward()
        return loss.detach()


class _Recorded:
    """A step on batches of the shapes of `given`, recorded on the current stream."""

    def __init__(self, compute: Callable[..., Tensor], weights: list[nn.Parameter], given: tuple[Tensor, ...]):
        self._given = [tensor.clone() for tensor in given]
        self._weights = weights
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=torch.cuda.current_stream()):
            self._loss = compute(*self._given)
        self._gradients = [weight.grad for weight in weights]

    def __call__(self, *given: Tensor) -> Tensor:
        for ours, tensor in zip(self._given, given, strict=True):
            ours.copy_(tensor)
        self._graph.replay()
        for weight, gradient in zip(self._weights, self._gradients, strict=True):
            weight.grad = gradient
        return self._loss
