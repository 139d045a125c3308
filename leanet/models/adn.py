"""Anomaly Detection Networks (section 3-3): ordinary classifiers that attention is brought into."""

from torch import nn

from leanet.models.blocks import FiveBlocks, flat_linear, from_resnet

CNN_WIDTHS = (64, 128, 256, 512, 512)


def build_adn(name: str, *, side: int) -> FiveBlocks:
    """The ADN `name` (see leanet.rows) for RGB images in [0, 1] of `side` pixels a side."""
    if name == "resnet18":
        # Here, not above: torchvision loads torch's compiler, two seconds that only who builds a network pays.
        from torchvision.models import resnet18

        return from_resnet(resnet18(num_classes=2))
    return _basic_cnn(side)


def _basic_cnn(side: int) -> FiveBlocks:
    """The "basic CNN" of Tables 7 and 8: five 3×3 convolutions of stride 2, laid flat into one layer.

    The paper names it without describing it; widths and head are those of the published implementation.
    """
    blocks = (
        nn.Sequential(
            nn.Conv2d(previous, width, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        for previous, width in zip((3, *CNN_WIDTHS), CNN_WIDTHS, strict=False)
    )
    return FiveBlocks(blocks, head=flat_linear(CNN_WIDTHS[-1] * (side // 32) ** 2))
