"""Anomaly Detection Networks (section 3-3): ordinary classifiers that attention is brought into."""

from urllib.error import URLError

import torch
from torch import Tensor, nn

from leanet.attention.classifier import Classifier, flat_linear, take_channels
from leanet.attention.rows import CNN
from leanet.core.errors import InputError

CNN_WIDTHS = (64, 128, 256, 512, 512)


class ImageNetNormalize(nn.Module):
    """Images (N, 3, side, side) in [0, 1] as torchvision's weights from ImageNet expect them.

    torchvision's own `Normalize` looks at its values, which a network on the meta device has none of.
    """

    MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (torch.tensor(each, device=images.device)[:, None, None] for each in (self.MEAN, self.STD))
        return (images - mean) / std


def build_adn(
    name: str, *, channels: int, side: int, pretrained: bool = False, weights: dict[str, Tensor] | None = None
) -> Classifier:
    """The ADN `name` (see leanet.attention.rows) for (N, channels, side, side) in [0, 1].

    pretrained: build it to begin with torchvision's weights from ImageNet: images are normalised as these expect.
    weights: those weights (imagenet_weights). A layer that they do not fit begins anew: the last one, and the
    first where channels are not the three of an image.

    Raises:
        InputError: the network does not take images of this size.
    """
    if pretrained:
        check_pretrained(name)
    network = _basic_cnn(side) if name == CNN else _torchvision(name, side, weights)
    take_channels(network, channels)
    if pretrained and channels == 3:
        network = nn.Sequential(ImageNetNormalize(), network)
    try:
        return Classifier(network, channels=channels, side=side)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(f"{name} does not take images of {side}×{side} ({str(error).splitlines()[0]})") from None


def check_pretrained(name: str) -> None:
    """Make sure that torchvision has weights from ImageNet for the ADN `name`, without downloading them.

    Raises:
        InputError: it has none.
    """
    if name == CNN:
        raise InputError(f"{CNN} has no ImageNet weights; set train_leanet.pretrained: false")


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """torchvision's weights of the ADN `name` from ImageNet, downloaded once into torch's hub folder.

    Raises:
        InputError: there are none, or they cannot be had.
    """
    from torch.hub import get_dir
    from torchvision.models import get_model_weights

    check_pretrained(name)
    weights = get_model_weights(name).DEFAULT
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"the ImageNet weights of {name} cannot be had ({error}); put {weights.url.rpartition('/')[2]} from "
            f"torchvision into {get_dir()}/checkpoints, or set train_leanet.pretrained: false"
        ) from None


def _torchvision(name: str, side: int, weights: dict[str, Tensor] | None) -> nn.Module:
    # Here, not above: torchvision loads torch's compiler, two seconds that only who builds a network pays.
    from torchvision.models import get_model

    # Two of its models would give back more than logits.
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    network = get_model(name, num_classes=2, **options)
    if weights is not None:
        own = network.state_dict()
        fitting = {key: w for key, w in weights.items() if key in own and own[key].shape == w.shape}
        network.load_state_dict(fitting, strict=False)
    return _paper_vgg(network, side) if name.startswith("vgg") else network


def _paper_vgg(vgg: nn.Module, side: int) -> nn.Module:
    """torchvision's VGG as the paper counts it: all features flat into the first wide layer, no 7×7 pooling.

    Its convolutions are put into five blocks, each with its pooling at the end: where the attention points are.
    """
    blocks: list[list[nn.Module]] = [[]]
    for layer in vgg.features:
        blocks[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            blocks.append([])
    vgg.features = nn.Sequential(*(nn.Sequential(*block) for block in blocks if block))
    vgg.avgpool = nn.Identity()
    wide = vgg.classifier[0]
    vgg.classifier[0] = nn.Linear(512 * (side // 32) ** 2, wide.out_features)
    nn.init.normal_(vgg.classifier[0].weight, 0, 0.01)  # as torchvision begins the wide layers of a VGG
    nn.init.zeros_(vgg.classifier[0].bias)
    return vgg


def _basic_cnn(side: int) -> nn.Module:
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
    return nn.Sequential(*blocks, flat_linear(CNN_WIDTHS[-1] * (side // 32) ** 2))
