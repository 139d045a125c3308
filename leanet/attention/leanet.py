"""LEA-Net (section 3-4, Fig. 2): an ADN with attention from outside at one of its five points.

Also the rows that it is compared with: the ADN alone, and the ADN with the anomaly map as an input (4-3).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanet.attention import rows
from leanet.attention.adn import build_adn
from leanet.attention.attention import attend
from leanet.attention.caan import CAAN, Direct, build_external
from leanet.attention.classifier import Classifier
from leanet.core.errors import InputError

CHANNELS = {None: 3, "map-input": 1, "4ch-input": 4, "attentioned-input": 3}  # by a row's kind of input


class LEANet(nn.Module):
    """An ADN, and an external network that attends to it; without one, the ADN alone.

    input: what the ADN is given, of leanet.attention.rows.INPUTS; None for the image.
    """

    def __init__(self, adn: Classifier, *, input: str | None, external: CAAN | Direct | None):
        super().__init__()
        self.adn = adn
        self.input = input
        self.external = external

    def forward(self, images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Images (N, 3, side, side) in [0, 1] and scaled anomaly maps (N, 1, side, side).

        Returns the logits f of the ADN (N, 2), the logits g of the CAAN (N, 2) or None, and the
        attention map M_p (N, 1, side / 2**p, side / 2**p) or None.
        """
        if self.external is None:
            return self.adn(self._given(images, maps)), None, None
        attention, external_logits = self.external(maps)
        logits = self.adn(images, self.external.point, lambda features: attend(features, attention))
        return logits, external_logits, attention

    def _given(self, images: Tensor, maps: Tensor) -> Tensor:
        """What the ADN looks at, (N, C, side, side)."""
        if self.input == "map-input":
            return maps
        if self.input == "4ch-input":
            return torch.cat((images, maps), dim=1)
        if self.input == "attentioned-input":
            return attend(images, maps)  # Eq. 3 with the map itself as M
        return images

    @torch.inference_mode()
    def look(self, images: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """Fig. 5: the attention map, and the features before and after it, each a mean over channels.

        By the names attention, before and after, (N, side / 2**p, side / 2**p) each, of a network that
        something attends to.
        """
        attention, _ = self.external(maps)
        seen = {"attention": attention[:, 0]}

        def attended(features: Tensor) -> Tensor:
            after = attend(features, attention)
            seen.update(before=features.mean(dim=1), after=after.mean(dim=1))
            return after

        self.adn(images, self.external.point, attended)
        return seen


def build(
    row: str,
    *,
    side: int,
    point: int | None,
    pretrained: bool = False,
    weights: dict[str, Tensor] | None = None,
) -> LEANet:
    """The network of `row` (see leanet.attention.rows) for images of `side` pixels, attending at `point`.

    The ADN is made first: from one seed it begins with the same weights in every row and point.
    point: None attends at the first that there is. pretrained, weights: see leanet.attention.adn.build_adn.

    Raises:
        InputError: the ADN has no such attention point, or takes no images of this size.
    """
    adn_name, kind, external_name = rows.parts(row)
    adn = build_adn(adn_name, channels=CHANNELS[kind], side=side, pretrained=pretrained, weights=weights)
    if external_name is None:
        return LEANet(adn, input=kind, external=None)
    point = next(iter(adn.points), None) if point is None else point
    if point not in adn.points:
        there = "the attention points " + ", ".join(map(str, adn.points)) if adn.points else "no attention point"
        lacks = f", not {point}; see train_leanet.points" if adn.points else ": nothing can attend to it"
        raise InputError(f"{adn_name} has {there} at {side}×{side}{lacks}")
    return LEANet(adn, input=None, external=build_external(external_name, side=side, point=point))


def loss(
    logits: Tensor, external_logits: Tensor | None, labels: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Eq. 1, L = L_Att + L_AD: binary cross-entropy of both networks' two outputs against one-hot labels.

    logits, external_logits: (N, 2) float, before the sigmoid; labels: (N,) of 0 and 1. class_weights: what
    a normal and an anomalous image count (2,); None, as in the paper, counts all alike.
    """
    one_hot = F.one_hot(labels, 2).float()
    weights = None if class_weights is None else class_weights[labels][:, None]
    total = F.binary_cross_entropy_with_logits(logits.float(), one_hot, weights)
    if external_logits is not None:
        total = total + F.binary_cross_entropy_with_logits(external_logits.float(), one_hot, weights)
    return total


def score(logits: Tensor) -> Tensor:
    """(N, 2) logits to (N,) scores in [0, 1]: above 0.5 where the output "anomalous" is the larger one.

    float64 on the CPU, which not every device has: in float32 all sure images would score 1, and rank alike.
    """
    normal, anomalous = logits.cpu().double().unbind(1)
    return (anomalous - normal).sigmoid()
