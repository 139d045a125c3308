"""The networks of a detector in torch: from images as bytes to a probability and a place."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanet.attention import rows
from leanet.attention.detect import judge, scale
from leanet.attention.leanet import build
from leanet.color.anomaly_map import anomaly_map
from leanet.color.lab import from_bytes, rgb_to_lab
from leanet.color.one_class import OneClass
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.calibration import Calibration
from leanet.detector.facts import MENDED
from leanet.detector.found import Found
from leanet.training import recipe as recipes
from leanet.training.settings import Recipe
from leanet.training.weights import put, read

PARTS = ("unet", "network")  # of a member: each has a file
TINY = 8


class Member(nn.Module):
    """A colouriser, and the network that judges by its maps.

    one_look: whether an image is looked at as it is, and not in all the views of the recipe.
    """

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
        one_look: bool = False,
    ):
        super().__init__()
        self.unet = UNet(side=side, width=unet_width, dropout=0)
        self.network = build(row, side=side, point=point, pretrained=pretrained)
        self.attends = self.network.external is not None
        self.recipe, self.map_scale, self.filled, self.one_look = recipe, map_scale, filled, one_look

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Images (N, 3, side, side) in [0, 1].

        Returns margins (N,), logits of "anomalous" less those of "normal"; anomaly maps (N, side, side) in ΔE₀₀;
        what the external network attends to, (N, side, side), or None where the row has none; and features (N, D),
        length 1: the input of the ADN's last layer, a mean over places where this is a convolution.
        As a hook looks into the network, so does only one thread at a time.
        """
        maps, _ = anomaly_map(self.unet, rgb, filled=self.filled)
        given = rgb, scale(maps, self.map_scale)
        *_, last = (layer for layer in self.network.adn.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
        seen = []  # by view; the first is the image as it is
        with last.register_forward_hook(lambda _layer, inputs, _output: seen.append(inputs[0])):
            if self.one_look:
                logits, external_logits, attention = self.network(*given)
                logits = recipes.vote(self.recipe, logits, external_logits)
            else:
                logits, attention = judge(self.network, *given, recipe=self.recipe)
        features = seen[0].mean(dim=(2, 3)) if isinstance(last, nn.Conv2d) else seen[0]
        if attention is not None:
            attention = F.interpolate(attention, rgb.shape[2:], mode="bilinear")[:, 0]
        return logits[:, 1] - logits[:, 0], maps, attention, F.normalize(features.flatten(1), dim=1)


class MapMember(nn.Module):
    """A colouriser, and how unlike those of normal images its maps are: a member that needs no anomalous image."""

    attends = False

    def __init__(self, *, side: int, unet_width: int, filled: bool):
        super().__init__()
        self.unet = UNet(side=side, width=unet_width, dropout=0)
        self.network = OneClass(side)
        self.filled = filled

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, None, Tensor]:
        """As Member's; the features are the image in TINY × TINY patches (L* − 50, a*, b*)."""
        maps, _ = anomaly_map(self.unet, rgb, filled=self.filled)
        patches = F.avg_pool2d(rgb_to_lab(rgb), rgb.shape[-1] // TINY)
        features = F.normalize((patches - rgb.new_tensor([50, 0, 0])[:, None, None]).flatten(1), dim=1)
        return self.network(maps), maps, None, features


AnyMember = Member | MapMember


class Ensemble(nn.Module):
    """Members that judge alike; their calibrated probabilities, maps and attention are averaged."""

    def __init__(self, members: list[AnyMember], calibration: Calibration):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.calibration = calibration

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """Images as bytes, uint8 (N, side, side, 3) in sRGB, to the parts of Found, in its order.

        The features of the members stand one behind the other.
        """
        rgb = from_bytes(images)
        margins, maps, attention, features = zip(*(member(rgb) for member in self.members), strict=True)
        scores = [torch.sigmoid(self.calibration.slope * each + self.calibration.intercept) for each in margins]
        seen = None if attention[0] is None else mean(attention)
        return mean(scores), mean(maps), seen, joined(features), mean_color(rgb)


def joined(features: Sequence[Tensor]) -> Tensor:
    """What each member sees (N, D) as one vector of length 1."""
    return torch.cat(features, dim=1) / len(features) ** 0.5


def mean_color(rgb: Tensor) -> Tensor:
    """Means of L* and C* (N, 2) of images (N, 3, side, side) in [0, 1]."""
    lightness, a, b = rgb_to_lab(rgb).unbind(1)
    return torch.stack([lightness.mean(dim=(1, 2)), (a**2 + b**2).sqrt().mean(dim=(1, 2))], dim=1)


def mean(parts: Sequence[Tensor]) -> Tensor:
    """One after the other: a stack of all would be as large again."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / len(parts)


class OnTorch:
    """An ensemble on a device, as a detector calls it (leanet.detector.found.Networks)."""

    batch, threads = 16, 1  # images; torch itself takes all cores

    def __init__(self, ensemble: Ensemble, device: str):
        """device: auto, cpu, cuda or mps.

        Raises:
            InputError: the device is not there.
        """
        self.device = devices.prepare(device, asked_by="device")
        # As images come: a fifth faster.
        self.ensemble = ensemble.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> Found:
        found = self.ensemble(torch.from_numpy(images).to(self.device))
        return Found(*(None if part is None else part.cpu().numpy() for part in found))


def member_of(facts: dict, weights: list[dict[str, Tensor]]) -> AnyMember:
    """A member of the detector that `facts` describe; weights: of PARTS, by their names there.

    Raises:
        InputError: they are of another network.
    """
    of_both = {name: facts[name] for name in ("side", "unet_width")}
    of_both |= {"filled": facts["preparation"]["background"] == "fill"}
    settings = {name: facts[name] for name in ("recipe", "map_scale", "pretrained")}
    settings |= {"one_look": facts["kind"] == "light"}
    with torch.device("meta"):
        if facts["row"] == rows.MAP_ONE_CLASS:
            member = MapMember(**of_both)
        else:
            member = Member(facts["row"], point=facts["point"] or None, **of_both, **settings)
    for part, state in zip(PARTS, weights, strict=True):
        put(member.get_submodule(part), state, assign=True)
    return member


def load(folder: Path, facts: dict) -> Ensemble:
    """The ensemble whose members' weights lie in `folder`.

    Raises:
        InputError: they are those of another network, or none.
    """
    try:
        if facts["row"] != rows.MAP_ONE_CLASS:
            rows.check(facts["row"])
        members = [member_of(facts, [read(folder / name) for name in names]) for names in facts["members"]]
    except Exception as error:  # torchvision, too, has networks that not every side fits
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: has no networks as in {paths.FACTS}: {said}; {MENDED}") from None
    return Ensemble(members, Calibration(**facts["calibration"]))
