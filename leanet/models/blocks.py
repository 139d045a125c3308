"""The shape that ADN and CAAN share: five blocks, each halving the side, and a head (Fig. 2)."""

from collections.abc import Iterable

from torch import Tensor, nn

POINTS = (1, 2, 3, 4, 5)  # attention point p lies behind block p, at side / 2**p


class FiveBlocks(nn.Module):
    """A classifier cut at its five attention points.

    blocks: five modules; block p gives f_p, (N, C_p, side / 2**p, side / 2**p).
    head: from f_5 to (N, 2) logits, of normal and anomalous.
    """

    def __init__(self, blocks: Iterable[nn.Module], head: nn.Module):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.head = head
        assert len(self.blocks) == len(POINTS)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def flat_linear(features: int) -> nn.Sequential:
    """A linear head of two outputs on features laid flat."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 2))


def from_resnet(resnet: nn.Module) -> FiveBlocks:
    """A torchvision ResNet as five blocks: the stem up to its ReLU, then the four stages."""
    return FiveBlocks(
        [
            nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu),
            nn.Sequential(resnet.maxpool, resnet.layer1),
            resnet.layer2,
            resnet.layer3,
            resnet.layer4,
        ],
        head=nn.Sequential(resnet.avgpool, nn.Flatten(), resnet.fc),
    )
