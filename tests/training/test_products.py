"""Convolutions as products give what torch's own give."""

import copy

import pytest
import torch
from torch import nn

from leanet.training.products import with_products

LAYERS = {
    "as it is": (nn.Conv2d(8, 12, 3, padding=1), 2),
    "stride": (nn.Conv2d(8, 12, 3, stride=2, padding=1), 7),
    "uneven": (nn.Conv2d(8, 12, (3, 1), stride=(2, 1), padding=(1, 0), bias=False), 4),
    "even kernel": (nn.Conv2d(8, 12, 4, stride=2, padding=1), 6),
    "one pixel": (nn.Conv2d(8, 12, 1, stride=2), 7),
    "transposed": (nn.ConvTranspose2d(8, 12, 2, stride=2), 3),
    "transposed, uneven": (nn.ConvTranspose2d(8, 12, (3, 2), stride=(3, 2), bias=False), 3),
}
LEFT = {
    "many pixels": (nn.Conv2d(8, 12, 3, padding=1), 5),
    "groups": (nn.Conv2d(8, 12, 3, groups=2), 4),
    "dilation": (nn.Conv2d(8, 12, 3, dilation=2), 6),
    "padding by name": (nn.Conv2d(8, 12, 3, padding="same"), 4),
    "padding by itself": (nn.Conv2d(8, 12, 3, padding=1, padding_mode="circular"), 4),
    "transposed, overlapping": (nn.ConvTranspose2d(8, 12, 3, stride=2), 3),
    "transposed, padded": (nn.ConvTranspose2d(8, 12, 2, stride=2, padding=1), 3),
    "transposed, many pixels": (nn.ConvTranspose2d(8, 12, 2, stride=2), 17),
}


def both(layer: nn.Module, side: int, *, bf16: bool = True) -> list[list[torch.Tensor]]:
    """Output and gradients of the layer as torch computes it, then with products."""
    torch.manual_seed(0)
    network = nn.Sequential(copy.deepcopy(layer)).to(memory_format=torch.channels_last)
    other = copy.deepcopy(network)
    with_products(other)
    images = torch.rand(5, 8, side, side).to(memory_format=torch.channels_last)
    given = []
    for each in (network, other):
        x = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = each(x)
        pull = torch.linspace(-1, 1, out.numel()).reshape(out.shape).to(out.dtype)
        given.append([out, *torch.autograd.grad(out, [x, *each.parameters()], pull)])
    return given


@pytest.mark.parametrize("name", LAYERS)
def test_products_are_the_convolution(name):
    for expected, found in zip(*both(*LAYERS[name]), strict=True):
        assert found.dtype == expected.dtype
        assert found.stride() == expected.stride()
        off = (found.float() - expected.float()).abs().max() / expected.float().abs().max()
        assert off < 0.02, off  # a bf16 number is known to 0.004 of itself


@pytest.mark.parametrize("name", LAYERS)
def test_products_are_computed(name, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("a convolution")

    for function in ("conv2d", "conv_transpose2d"):
        monkeypatch.setattr(torch.nn.functional, function, never)
    layer, side = LAYERS[name]
    network = copy.deepcopy(layer)
    with pytest.raises(AssertionError, match="a convolution"):
        network(torch.rand(1, 8, side, side))
    with_products(network)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(1, 8, side, side))


@pytest.mark.parametrize("name", LEFT)
def test_other_layers_are_left_as_they_are(name):
    for expected, found in zip(*both(*LEFT[name]), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_is_left_as_it_is(name):
    for expected, found in zip(*both(*LAYERS[name], bf16=False), strict=True):
        assert torch.equal(found, expected)


def test_weights_keep_their_names():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 3, 2, stride=2))
    names = list(network.state_dict())
    with_products(network)
    assert list(network.state_dict()) == names
