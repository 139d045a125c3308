"""The fold models of one row as one network, from images as bytes to a probability and a place."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanet.attention.detect import judge, scale
from leanet.attention.leanet import build
from leanet.color.anomaly_map import anomaly_map
from leanet.color.lab import from_bytes
from leanet.color.unet import UNet
from leanet.detector.calibration import Calibration
from leanet.training.settings import Recipe


class Member(nn.Module):
    """What one fold trained: a colouriser, and the network that judges by its maps."""

    def __init__(
        self,
        row: str,
        *,
        side: int,
        unet_width: int,
        filled: bool,
        point: int | None,
        recipe: Recipe,
        map_scale: float | str,
        pretrained: bool = False,
    ):
        super().__init__()
        self.unet = UNet(side=side, width=unet_width, dropout=0)
        self.network = build(row, side=side, point=point, pretrained=pretrained)
        self.recipe, self.map_scale, self.filled = recipe, map_scale, filled

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Images (N, 3, side, side) in [0, 1].

        Returns margins (N,), logits of "anomalous" less those of "normal"; anomaly maps (N, side, side) in ΔE₀₀;
        and what the external network attends to, (N, side, side), or None where the row has none.
        """
        maps, _ = anomaly_map(self.unet, rgb, filled=self.filled)
        logits, attention = judge(self.network, rgb, scale(maps, self.map_scale), recipe=self.recipe)
        if attention is not None:
            attention = F.interpolate(attention, rgb.shape[2:], mode="bilinear")[:, 0]
        return logits[:, 1] - logits[:, 0], maps, attention

    def embed(self, rgb: Tensor) -> Tensor:
        """What it sees before it decides, in images (N, 3, side, side) in [0, 1]: (N, D), length 1.

        The input of the ADN's last layer, a mean over places where this is a convolution. As this looks into the
        network, so does only one thread at a time.
        """
        layers = (layer for layer in self.network.adn.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
        *_, last = layers
        features = []
        with last.register_forward_hook(lambda _layer, inputs, _output: features.append(inputs[0])):
            maps, _ = anomaly_map(self.unet, rgb, filled=self.filled)
            self.network(rgb, scale(maps, self.map_scale))
        (given,) = features
        if isinstance(last, nn.Conv2d):
            given = given.mean(dim=(2, 3))
        return F.normalize(given.flatten(1), dim=1)


class Ensemble(nn.Module):
    """Members that judge alike; their calibrated probabilities, maps and attention are averaged."""

    def __init__(self, members: list[Member], calibration: Calibration):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.calibration = calibration

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Images as bytes, uint8 (N, side, side, 3) in sRGB.

        Returns probabilities (N,) of being anomalous, maps (N, side, side) in ΔE₀₀, and attention (N, side, side)
        or None.
        """
        rgb = from_bytes(images)
        total = None
        for member in self.members:
            margins, maps, attention = member(rgb)
            said = [torch.sigmoid(self.calibration.slope * margins + self.calibration.intercept), maps]
            said += [] if attention is None else [attention]
            total = said if total is None else [a + b for a, b in zip(total, said, strict=True)]
        scores, maps, *attention = (part / len(self.members) for part in total)
        return scores, maps, attention[0] if attention else None

    def embed(self, images: Tensor) -> Tensor:
        """What the members see before they decide, in images as bytes, uint8 (N, side, side, 3): (N, D), length 1.

        Those of the members, one behind the other: near vectors, similar images.
        """
        rgb = from_bytes(images)
        return joined([member.embed(rgb) for member in self.members])


def joined(seen: list[Tensor]) -> Tensor:
    """What each member sees (N, D) as one vector of length 1."""
    return torch.cat(seen, dim=1) / len(seen) ** 0.5
