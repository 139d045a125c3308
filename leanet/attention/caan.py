"""External networks (section 3-2): from the anomaly map to an attention map at one of five points."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from leanet.attention.attention import attention_map, contrast_map
from leanet.attention.classifier import Classifier, take_channels
from leanet.attention.rows import OURS


class CAAN(nn.Module):
    """Color Anomaly Attention Network: a light classifier of anomaly maps whose features attend.

    Forward: anomaly maps x_Att (N, 1, side, side) to the attention map M_p of Eq. 2,
    (N, 1, side / 2**p, side / 2**p), and the logits g (N, 2).
    """

    def __init__(self, classifier: Classifier, *, point: int, to_map: Callable[[Tensor], Tensor] = attention_map):
        """to_map: from features to M_p; Eq. 2, or ours (leanet.attention.attention)."""
        super().__init__()
        self.classifier = classifier
        self.point = point
        self.to_map = to_map

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []
        logits = self.classifier(maps, self.point, lambda features: kept.append(self.to_map(features)))
        return kept[0], logits


class Direct(nn.Module):
    """Direct attention: the anomaly map itself, brought to the point's side, through Eq. 2's sigmoid.

    The published implementation halves the map bilinearly p times; each halving is a mean of 2×2.
    """

    def __init__(self, *, point: int):
        super().__init__()
        self.point = point

    def forward(self, maps: Tensor) -> tuple[Tensor, None]:
        return attention_map(F.avg_pool2d(maps, 2**self.point)), None


def build_external(name: str, *, side: int, point: int) -> CAAN | Direct:
    """The external network `name` (leanet.attention.rows) for maps of `side` pixels, attending at `point`."""
    if name == "direct":
        return Direct(point=point)
    network = _mobilenet() if name == "mobilenet" else _resnet()
    take_channels(network, 1)
    to_map = contrast_map if name in OURS else attention_map
    return CAAN(Classifier(network, channels=1, side=side), point=point, to_map=to_map)


def _resnet() -> nn.Module:
    """Table 1, left: a stem and four residual blocks."""
    from torchvision.models.resnet import BasicBlock, ResNet  # here for the reason given in leanet.attention.adn

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)


def _mobilenet() -> nn.Module:
    """Table 1, right: MobileNetV3-Small (Howard et al. 2019, Table 2), a module for each block of the table.

    Two departures of Table 1's parameter count from today's MobileNetV3-Small, kept here: the layer
    before the last has 1280 channels, and squeeze-excitation keeps the full width.
    """
    from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig, MobileNetV3
    from torchvision.ops import SqueezeExcitation

    def full_width(channels: int, _squeezed: int) -> SqueezeExcitation:
        return SqueezeExcitation(channels, channels, scale_activation=nn.Hardsigmoid)

    def bneck(into, kernel, expanded, out, excite, activation, stride) -> InvertedResidualConfig:
        return InvertedResidualConfig(
            into, kernel, expanded, out, excite, activation, stride, dilation=1, width_mult=1.0
        )

    mobilenet = MobileNetV3(
        [
            bneck(16, 3, 16, 16, True, "RE", 2),
            bneck(16, 3, 72, 24, False, "RE", 2),
            bneck(24, 3, 88, 24, False, "RE", 1),
            bneck(24, 5, 96, 40, True, "HS", 2),
            bneck(40, 5, 240, 40, True, "HS", 1),
            bneck(40, 5, 240, 40, True, "HS", 1),
            bneck(40, 5, 120, 48, True, "HS", 1),
            bneck(48, 5, 144, 48, True, "HS", 1),
            bneck(48, 5, 288, 96, True, "HS", 2),
            bneck(96, 5, 576, 96, True, "HS", 1),
            bneck(96, 5, 576, 96, True, "HS", 1),
        ],
        last_channel=1280,
        num_classes=2,
        block=partial(InvertedResidual, se_layer=full_width),
        # torchvision's momentum of 0.01 is for long trainings: of 128 steps, a quarter is the initial value.
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3),
    )
    stem, *bnecks, last = mobilenet.features
    return nn.Sequential(
        stem,
        bnecks[0],
        *(nn.Sequential(*bnecks[i:j]) for i, j in ((1, 3), (3, 8), (8, 11))),
        nn.Sequential(last, mobilenet.avgpool, nn.Flatten(), mobilenet.classifier),
    )
