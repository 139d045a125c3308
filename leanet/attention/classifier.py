"""The shape that ADN and CAAN share: an ordinary classifier, and the attention points in it (Fig. 2)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

POINTS = (1, 2, 3, 4, 5)  # attention point p lies where features have side / 2**p


class Classifier(nn.Module):
    """A network of any make whose features can be reached at its attention points.

    network: from (N, channels, side, side) to logits (N, 2), of normal and anomalous.
    points: the attention points it has, each with the name of the module that it lies behind.
    """

    def __init__(self, network: nn.Module, *, channels: int, side: int):
        super().__init__()
        self.network = network
        self.points = find_points(network, channels, side)

    def forward(
        self, x: Tensor, point: int | None = None, at_point: Callable[[Tensor], Tensor | None] | None = None
    ) -> Tensor:
        """Logits (N, 2). At `point` the features f_p, (N, C_p, side / 2**p, side / 2**p), pass through
        `at_point`; where it returns None they go on as they were."""
        if point is None:
            return self.network(x)
        module = self.network.get_submodule(self.points[point])
        with module.register_forward_hook(lambda _module, _inputs, features: at_point(features)):
            return self.network(x)


def find_points(network: nn.Module, channels: int, side: int) -> dict[int, str]:
    """The attention points of `network`, found from its own halvings: {p: module name}.

    Point p lies behind the module whose features have side / 2**p: the outermost of those modules, a stage
    rather than a layer within it, and the last of equals. For torchvision's ResNets these are the stem's
    ReLU and the four stages, as in the paper's implementation.
    """
    behind: dict[int, str] = {}
    calls: list[str] = []

    def watch(name: str, features) -> None:
        calls.append(name)
        if not isinstance(features, Tensor) or features.ndim != 4:
            return
        for p in POINTS:
            if features.shape[2:] == (side >> p, side >> p):
                known = behind.get(p)
                if known is None or name.count(".") <= known.count("."):
                    behind[p] = name

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, features, name=name: watch(name, features))
        for name, module in network.named_modules()
        if name
    ]
    training = network.training
    network.eval()
    with torch.inference_mode():
        network(torch.zeros(1, channels, side, side))
    network.train(training)
    for hook in hooks:
        hook.remove()
    # A module that runs more than once, such as a shared ReLU, is no one place.
    return {p: behind[p] for p in POINTS if p in behind and calls.count(behind[p]) == 1}


def replace(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of the one called `name`."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def take_channels(network: nn.Module, channels: int) -> None:
    """Make the first convolution of `network` take so many channels, with new weights."""
    name, conv = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if conv.in_channels != channels:
        new = nn.Conv2d(
            channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=conv.bias is not None
        )
        replace(network, name, new)


def flat_linear(features: int) -> nn.Sequential:
    """A linear head of two outputs on features laid flat."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 2))
