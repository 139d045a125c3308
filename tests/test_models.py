import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from leanet.models.caan import build_external
from leanet.models.leanet import build, loss, score
from leanet.models.unet import UNet
from leanet.rows import ROWS


def trainable(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_parameters_are_those_of_the_paper():
    """Tables 1 and 3, and the published implementation's own counts."""
    unet = UNet(side=256, dropout=0.5)
    statistics = sum(b.numel() for name, b in unet.named_buffers() if "running" in name)
    assert trainable(unet) + statistics == 28_275_330
    assert trainable(build("resnet18", side=256, point=1)) == pytest.approx(11.2e6, rel=0.02)
    assert trainable(build("cnn", side=256, point=1)) == pytest.approx(3.98e6, rel=0.02)
    assert trainable(build_external("resnet", point=1)) == pytest.approx(4.9e6, rel=0.02)
    assert trainable(build_external("mobilenet", point=1)) == pytest.approx(3.042e6, rel=0.02)
    assert trainable(build_external("direct", point=1)) == 0


@pytest.mark.parametrize("side", [32, 64, 256])
def test_unet_halves_the_image_down_to_one_pixel(side):
    """Table 9: 4×4 convolutions of stride 2 down, 2×2 transposed ones up, a*b* in [0, 1]."""
    unet = UNet(side=side, dropout=0.5).eval()
    assert len(unet.down) == np.log2(side)
    assert [block[0].out_channels for block in unet.down][:4] == [64, 128, 256, 512]
    sides = []
    for block in (*unet.down, *unet.up):
        block.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    with torch.inference_mode():
        out = unet(torch.rand(1, 1, side, side))
    down = [side >> k for k in range(1, len(unet.down) + 1)]
    assert sides == [*down, *reversed(down[:-1])]
    assert out.shape == (1, 2, side, side)
    assert 0 <= out.min() <= out.max() <= 1


@pytest.mark.parametrize("point", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("row", [row for row in ROWS if "-" in row])
def test_attention_is_equations_2_and_3(row, point):
    torch.manual_seed(0)
    side = 64
    network = build(row, side=side, point=point).eval()
    images, maps = torch.rand(2, 3, side, side), torch.rand(2, 1, side, side)
    seen = {}
    network.adn.blocks[point - 1].register_forward_hook(lambda _, __, out: seen.update(f=out))
    behind = network.adn.blocks[point] if point < 5 else network.adn.head
    behind.register_forward_hook(lambda _, inputs, __: seen.update(attended=inputs[0]))
    if "direct" not in row:
        caan = network.external.network.blocks[point - 1]
        caan.register_forward_hook(lambda _, __, out: seen.update(g=out))
    with torch.inference_mode():
        logits, external_logits, attention = network(images, maps)

    f, attended = seen["f"].numpy(), seen["attended"].numpy()
    g = seen["g"].numpy() if "g" in seen else maps.numpy()
    while g.shape[-1] > f.shape[-1]:  # direct attention: the map, halved by means of 2×2
        g = (g[..., ::2, ::2] + g[..., 1::2, ::2] + g[..., ::2, 1::2] + g[..., 1::2, 1::2]) / 4
    m = 1 / (1 + np.exp(-g.mean(axis=1, keepdims=True)))
    np.testing.assert_allclose(attended, (1 + m) * f, rtol=1e-4, atol=1e-5)

    assert attention.shape == (2, 1, side >> point, side >> point)
    assert logits.shape == (2, 2)
    assert external_logits is None if "direct" in row else external_logits.shape == (2, 2)


def test_loss_is_equation_1():
    f, g = torch.randn(6, 2), torch.randn(6, 2)
    y = torch.tensor([0, 1, 1, 0, 1, 0])

    def bce(logits):
        p, truth = 1 / (1 + np.exp(-logits.numpy())), np.eye(2)[y]
        return -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()

    assert loss(f, g, y).item() == pytest.approx(bce(f) + bce(g), rel=1e-5)
    assert loss(f, None, y).item() == pytest.approx(bce(f), rel=1e-5)
    # Weights of classes: an image that counts three times is like three of it.
    thrice = torch.tensor([0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 5, 5])
    weights = torch.tensor([3.0, 1.0])
    expected = loss(f[thrice], g[thrice], y[thrice]).item()
    assert loss(f, g, y, weights * len(y) / len(thrice)).item() == pytest.approx(expected, rel=1e-5)


def test_score_passes_one_half_where_the_larger_output_changes():
    logits = torch.randn(50, 2)
    assert torch.equal(score(logits) > 0.5, logits.argmax(dim=1) == 1)


def test_rows_of_one_adn_begin_with_the_same_weights():
    networks = []
    for row in ("resnet18", "resnet18-mobilenet"):
        torch.manual_seed(1)
        networks.append(build(row, side=32, point=2))
    first, second = (network.adn.state_dict() for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("row", ROWS)
def test_every_weight_learns(row):
    """Both networks are trained together: each parameter that can matter gets a gradient."""
    torch.manual_seed(0)
    network = build(row, side=32, point=3)
    logits, external_logits, _ = network(torch.rand(4, 3, 32, 32), torch.rand(4, 1, 32, 32))
    loss(logits, external_logits, torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_models_command_lists_rows_as_json():
    done = subprocess.run(
        [sys.executable, "-m", "leanet", "models", "--json"], capture_output=True, text=True, check=True
    )
    table = json.loads(done.stdout)
    assert [line["row"] for line in table] == list(ROWS)
    assert {"row": "resnet18", "trainable": 11_177_538, "paper": 11_200_000} in table
