"""LEA-Net (section 3-4, Fig. 2): an ADN with attention from outside at one of its five points."""

from torch import Tensor, nn
from torch.nn import functional as F

from leanet import rows
from leanet.models.adn import build_adn
from leanet.models.attention import attend
from leanet.models.blocks import FiveBlocks
from leanet.models.caan import CAAN, Direct, build_external


class LEANet(nn.Module):
    """An ADN, and an external network that attends to it; without one, the plain ADN."""

    def __init__(self, adn: FiveBlocks, external: CAAN | Direct | None):
        super().__init__()
        self.adn = adn
        self.external = external

    def forward(self, images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Images (N, 3, side, side) in [0, 1] and scaled anomaly maps (N, 1, side, side).

        Returns the logits f of the ADN (N, 2), the logits g of the CAAN (N, 2) or None, and the
        attention map M_p (N, 1, side / 2**p, side / 2**p) or None.
        """
        if self.external is None:
            return self.adn(images), None, None
        attention, external_logits = self.external(maps)
        features = images
        for p, block in enumerate(self.adn.blocks, start=1):
            features = block(features)
            if p == self.external.point:
                features = attend(features, attention)
        return self.adn.head(features), external_logits, attention


def build(row: str, *, side: int, point: int) -> LEANet:
    """The network of `row` (see leanet.rows) for images of `side` pixels, attending at `point`.

    The ADN is made first: from one seed it begins with the same weights in every row and point.
    """
    adn_name, external_name = rows.parts(row)
    adn = build_adn(adn_name, side=side)
    return LEANet(adn, build_external(external_name, point=point) if external_name else None)


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
    """(N, 2) logits to (N,) scores in [0, 1]: above 0.5 where the output "anomalous" is the larger one."""
    normal, anomalous = logits.float().unbind(1)
    return (anomalous - normal).sigmoid()
