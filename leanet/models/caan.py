"""External networks (section 3-2): from the anomaly map to an attention map at one of five points."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from leanet.models.attention import attention_map
from leanet.models.blocks import FiveBlocks, from_resnet


class CAAN(nn.Module):
    """Color Anomaly Attention Network: a light classifier of anomaly maps whose features attend.

    Forward: anomaly maps x_Att (N, 1, side, side) to the attention map M_p of Eq. 2,
    (N, 1, side / 2**p, side / 2**p), and the logits g (N, 2).
    """

    def __init__(self, network: FiveBlocks, *, point: int):
        super().__init__()
        self.network = network
        self.point = point

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        features = maps
        for p, block in enumerate(self.network.blocks, start=1):
            features = block(features)
            if p == self.point:
                attention = attention_map(features)
        return attention, self.network.head(features)


class Direct(nn.Module):
    """Direct attention: the anomaly map itself, brought to the point's side, through Eq. 2's sigmoid.

    The published implementation halves the map bilinearly p times; each halving is a mean of 2×2.
    """

    def __init__(self, *, point: int):
        super().__init__()
        self.point = point

    def forward(self, maps: Tensor) -> tuple[Tensor, None]:
        return attention_map(F.avg_pool2d(maps, 2**self.point)), None


def build_external(name: str, *, point: int) -> CAAN | Direct:
    """The external network `name` (see leanet.rows), attending at `point` (1 to 5)."""
    if name == "direct":
        return Direct(point=point)
    network = _resnet() if name == "resnet" else _mobilenet()
    return CAAN(network, point=point)


def _single_channel(conv: nn.Conv2d) -> nn.Conv2d:
    """`conv` for the one channel of an anomaly map."""
    return nn.Conv2d(1, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=conv.bias is not None)


def _resnet() -> FiveBlocks:
    """Table 1, left: a stem and four residual blocks."""
    from torchvision.models.resnet import BasicBlock, ResNet  # here for the reason given in leanet.models.adn

    resnet = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)
    resnet.conv1 = _single_channel(resnet.conv1)
    return from_resnet(resnet)


def _mobilenet() -> FiveBlocks:
    """Table 1, right: MobileNetV3-Small (Howard et al. 2019, Table 2) on one channel.

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
    )
    stem, *bnecks, last = mobilenet.features
    stem[0] = _single_channel(stem[0])
    return FiveBlocks(
        [stem, bnecks[0], *(nn.Sequential(*bnecks[i:j]) for i, j in ((1, 3), (3, 8), (8, 11)))],
        head=nn.Sequential(last, mobilenet.avgpool, nn.Flatten(), mobilenet.classifier),
    )
