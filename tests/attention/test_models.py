import json
import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from torch import nn

from leanet.attention import rows
from leanet.attention.adn import build_adn, imagenet_weights
from leanet.attention.attention import attention_map, contrast_map
from leanet.attention.caan import build_external
from leanet.attention.classifier import Classifier
from leanet.attention.leanet import build, loss, score
from leanet.color.unet import UNet
from leanet.core.errors import InputError
from leanet.evaluation import predictions
from leanet.report import paper

MOBILENET_CAAN = 3.042e6  # Table 1; in Tables 3 and 5 its rows with ResNet18 and VGG16 fall short of the sum


def trainable(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("row", rows.PAPER)
def test_parameters_are_those_of_the_paper(row):
    """Tables 3, 5 and 7 at 256×256, within 1 %; the sum of Table 1 where a MobileNet-like CAAN attends."""
    printed = paper.parameters()[row] * 1e6
    if row.endswith("-mobilenet"):
        printed = paper.parameters()[rows.parts(row).adn] * 1e6 + MOBILENET_CAAN
    with torch.device("meta"):
        network = build(row, side=256, point=1)
    assert trainable(network) == pytest.approx(printed, rel=0.01)


def test_parameters_of_the_parts():
    """Table 9 and the published implementation; Table 1, though no total agrees with its 4.491M."""
    unet = UNet(side=256, width=64, dropout=0.5)
    statistics = sum(b.numel() for name, b in unet.named_buffers() if "running" in name)
    assert trainable(unet) + statistics == 28_275_330
    assert trainable(build_external("resnet", side=256, point=1)) == pytest.approx(4.9e6, rel=0.01)
    assert trainable(build_external("mobilenet", side=256, point=1)) == pytest.approx(MOBILENET_CAAN, rel=0.01)
    assert trainable(build_external("direct", side=256, point=1)) == 0


@pytest.mark.parametrize("side", [32, 64, 256])
def test_unet_halves_the_image_down_to_one_pixel(side):
    """Table 9: 4×4 convolutions of stride 2 down, 2×2 transposed ones up, a*b* in [0, 1]."""
    unet = UNet(side=side, width=64, dropout=0.5).eval()
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


def test_unet_takes_images_of_half_the_side_without_its_innermost_level():
    unet, images = UNet(side=64, width=8, dropout=0.5), torch.rand(2, 1, 32, 32)
    out = unet(images)
    assert out.shape == (2, 2, 32, 32)
    out.sum().backward()
    unused = {name for name, weight in unet.named_parameters() if weight.grad is None}
    assert {name.rsplit(".", 2)[0] for name in unused} == {"down.5", "up.0"}


PLACES = {  # where the published implementation attends
    "resnet18": ("relu", "layer1", "layer2", "layer3", "layer4"),
    "cnn": ("0", "1", "2", "3", "4"),
    "vgg16": ("features.0", "features.1", "features.2", "features.3", "avgpool"),  # behind each pooling
}


@pytest.mark.parametrize("adn", PLACES)
def test_attention_points_are_those_of_the_published_implementation(adn):
    network = build_adn(adn, channels=3, side=64)
    assert network.points == dict(enumerate(PLACES[adn], start=1))
    if adn == "vgg16":
        assert all(isinstance(block[-1], nn.MaxPool2d) for block in network.network.features)


@pytest.mark.parametrize("point", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("row", [f"{adn}-{how}" for adn in PLACES for how in rows.EXTERNALS])
def test_attention_is_equations_2_and_3(row, point):
    """What reaches the module behind the point is (1 + σ(mean g)) f, computed in NumPy."""
    torch.manual_seed(0)
    side, adn = 64, rows.parts(row).adn
    network = build(row, side=side, point=point).eval()
    images, maps = torch.rand(2, 3, side, side), torch.rand(2, 1, side, side)
    before, after = [], []
    plain = network.adn.network.get_submodule(PLACES[adn][point - 1])
    plain.register_forward_hook(lambda _, __, out: before.append(out.clone()))  # runs before the attending one
    modules = dict(network.adn.network.named_modules())
    behind = {
        "resnet18": ("maxpool", "layer2", "layer3", "layer4", "avgpool"),
        "cnn": ("1", "2", "3", "4", "5"),
        "vgg16": ("features.1", "features.2", "features.3", "features.4", "classifier"),
    }[adn][point - 1]
    modules[behind].register_forward_pre_hook(lambda _, given: after.append(given[0].clone()))
    g = []
    if "direct" not in row:
        caan = network.external.classifier
        caan.network.get_submodule(caan.points[point]).register_forward_hook(
            lambda _, __, out: g.append(out.clone())
        )
    with torch.inference_mode():
        logits, external_logits, attention = network(images, maps)

    f, attended = before[0].numpy(), after[0].numpy().reshape(before[0].shape)
    g = g[0].numpy() if g else maps.numpy()
    while g.shape[-1] > f.shape[-1]:  # direct attention: the map, halved by means of 2×2
        g = (g[..., ::2, ::2] + g[..., 1::2, ::2] + g[..., ::2, 1::2] + g[..., 1::2, 1::2]) / 4
    g = g.mean(axis=1, keepdims=True)
    if rows.parts(row).external in rows.OURS:  # ours: standardised over the image first
        g = (g - g.mean(axis=(2, 3), keepdims=True)) / (g.std(axis=(2, 3), keepdims=True, ddof=1) + 1e-3)
    m = 1 / (1 + np.exp(-g))
    np.testing.assert_allclose(attended, (1 + m) * f, rtol=1e-4, atol=1e-5)

    assert attention.shape == (2, 1, side >> point, side >> point)
    assert logits.shape == (2, 2)
    assert external_logits is None if "direct" in row else external_logits.shape == (2, 2)


def test_looking_shows_features_before_and_after_attention():
    torch.manual_seed(0)
    network = build("resnet18-resnet", side=64, point=3).eval()
    images, maps = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    seen = network.look(images, maps)
    assert all(features.shape == (2, 8, 8) for features in seen.values())
    torch.testing.assert_close(seen["after"], (1 + seen["attention"]) * seen["before"])
    torch.testing.assert_close(seen["attention"], network(images, maps)[2][:, 0])


@pytest.mark.parametrize("how", rows.INPUTS)
def test_inputs_are_what_their_names_say(how):
    """Section 4-3 (ii) to (iv): the map alone, image and map as four channels, (1 + map) × image."""
    network = build(f"cnn-{how}", side=32, point=1).eval()
    images, maps = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    given = []
    network.adn.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    with torch.inference_mode():
        network(images, maps)
    expected = {
        "map-input": maps,
        "4ch-input": np.concatenate([images, maps], axis=1),
        "attentioned-input": np.asarray(images) * (1 + np.asarray(maps)),
    }[how]
    np.testing.assert_allclose(given[0].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("adn", "points"),
    [
        ("efficientnet_b0", [1, 2, 3, 4, 5]),
        ("densenet121", [1, 2, 3, 4, 5]),
        ("mobilenet_v2", [1, 2, 3, 4, 5]),
        ("convnext_tiny", [2, 3, 4, 5]),  # begins with patches of 4×4
        ("alexnet", []),  # its first layer leaves 31 of 128 pixels
    ],
)
def test_any_classifier_has_the_points_of_its_own_halvings(adn, points):
    """Each point's features have side / 2**p, and everything behind it changes with them."""
    torch.manual_seed(0)
    network = build_adn(adn, channels=3, side=128).eval()
    assert list(network.points) == points
    images = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        plain = network(images)
        for p in points:
            sides = []
            changed = network(images, p, lambda f, sides=sides: sides.append(f.shape[2:]) or f * 0)
            assert sides == [(128 >> p, 128 >> p)]
            assert not torch.equal(changed, plain)


def test_a_shared_module_is_no_attention_point():
    relu = nn.ReLU()
    halve = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), relu)
    network = nn.Sequential(halve[0], relu, nn.Conv2d(4, 4, 2, stride=2), relu, nn.Flatten(), nn.Linear(256, 2))
    assert "1" not in Classifier(network, channels=3, side=32).points.values()


def test_a_point_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(InputError, match="convnext_tiny has the attention points 2, 3, 4, 5 at 64×64, not 1"):
        build("convnext_tiny-resnet", side=64, point=1)
    with pytest.raises(InputError, match=r"alexnet has no attention point at 64×64: nothing can attend to it"):
        build("alexnet-direct", side=64, point=1)
    with pytest.raises(InputError, match=r"vit_b_16 does not take images of 64×64 \(Wrong image height"):
        build("vit_b_16", side=64, point=1)


@pytest.mark.parametrize(
    ("row", "near"),
    [
        ("resnet81-direct", "near are resnet18-direct"),
        ("resnet18-dirct", "near are resnet18-direct"),
        ("eficientnet_b0", "near are efficientnet_b0"),
        ("nonsense", "expected an ADN"),
        ("resnet18-", "expected an ADN"),
    ],
)
def test_a_row_that_no_model_answers_to_lists_the_near_ones(row, near):
    with pytest.raises(InputError, match=f"^{row}, which is no row; {near}"):
        rows.check(row)
    rows.check("regnet_y_400mf-4ch-input")


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", unreachable)
    with pytest.raises(InputError, match=r"weights of resnet18 cannot be had .*no route.*resnet18-f37072fd.pth"):
        imagenet_weights("resnet18")
    with pytest.raises(InputError, match="cnn has no ImageNet weights"):
        build("cnn", side=64, point=1, pretrained=True)


def test_weights_from_imagenet_are_those_of_torchvision(monkeypatch):
    """All but the new last layer; images are normalised as they were there."""
    theirs = torchvision.models.resnet18().state_dict()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *_, **__: theirs)
    weights = imagenet_weights("resnet18")
    network = build("resnet18-direct", side=64, point=2, pretrained=True, weights=weights)
    ours = network.adn.network[1].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if not name.startswith("fc"))
    assert ours["fc.weight"].shape == (2, 512)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None].expand(1, 3, 64, 64)
    assert network.adn.network[0](mean).abs().max() < 1e-6
    assert network.adn.points == {1: "1.relu", 2: "1.layer1", 3: "1.layer2", 4: "1.layer3", 5: "1.layer4"}


def test_what_has_no_fitting_weights_begins_anew():
    """The first layer of four channels, VGG's first wide layer where images are small; no weights, same names."""
    theirs = torchvision.models.vgg16(num_classes=1000).state_dict()
    torch.manual_seed(0)
    network = build("vgg16-4ch-input", side=64, point=None, pretrained=True, weights=theirs)
    ours = network.adn.network
    assert ours.features[0][0].weight.shape == (64, 4, 3, 3)
    assert torch.equal(ours.features[1][0].weight, theirs["features.5.weight"])
    assert ours.classifier[0].in_features == 512 * 4
    assert torch.equal(ours.classifier[3].weight, theirs["classifier.3.weight"])
    assert ours.classifier[6].out_features == 2
    bare = build("vgg16-4ch-input", side=64, point=None, pretrained=True)
    assert bare.state_dict().keys() == network.state_dict().keys()


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


@pytest.mark.parametrize("row", rows.PAPER)
def test_every_weight_learns(row):
    """Both networks are trained together: each parameter that can matter gets a gradient."""
    torch.manual_seed(0)
    network = build(row, side=64, point=3)
    logits, external_logits, _ = network(torch.rand(4, 3, 64, 64), torch.rand(4, 1, 64, 64))
    loss(logits, external_logits, torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_models_command_lists_rows_as_json():
    def models(*arguments: str) -> list[dict]:
        command = [sys.executable, "-m", "leanet", "models", "--json", *arguments]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    table = models()
    assert [line["row"] for line in table] == list(rows.PAPER)
    assert len(table) == 23
    points = [1, 2, 3, 4, 5]
    assert {"row": "resnet18", "trainable": 11_177_538, "paper": 11_200_000, "points": points} in table
    (line,) = models("convnext_tiny-direct", "--side", "64")
    assert (line["paper"], line["points"]) == (None, [2, 3, 4, 5])


def test_attention_with_contrast_tells_places_apart_where_eq_2_hardly_does():
    features = torch.rand(4, 16, 8, 8).relu()
    plain, contrast = attention_map(features), contrast_map(features)
    assert plain.min() >= 0.5
    assert (plain.amax((2, 3)) - plain.amin((2, 3))).max() < 0.2
    assert (contrast.amax((2, 3)) - contrast.amin((2, 3))).min() > 0.6
    expected = features.mean(1)[0]
    expected = 1 / (1 + torch.exp(-(expected - expected.mean()) / (expected.std() + 1e-3)))
    assert torch.allclose(contrast[0, 0], expected)
    assert torch.isfinite(contrast_map(torch.zeros(1, 4, 8, 8))).all()
    one = torch.ones(2, 4, 1, 1, requires_grad=True)  # resnet18 at 32 × 32, point 5
    contrast_map(one).sum().backward()
    assert torch.equal(contrast_map(one), torch.full((2, 1, 1, 1), 0.5))
    assert not one.grad.any()
    # A map that is brighter as a whole attends alike.
    assert torch.allclose(contrast_map(features + 1), contrast, atol=1e-4)


def test_after_a_quick_training_no_network_is_judged_by_initial_statistics():
    """128 steps, as many as the default's: below a thousandth is left of the initial running statistics."""
    for row in ("resnet18", "resnet18-resnet", "resnet18-mobilenet"):
        norms = [each for each in build(row, side=64, point=3).modules() if isinstance(each, torch.nn.BatchNorm2d)]
        assert norms
        assert all((1 - norm.momentum) ** 128 < 0.001 for norm in norms)


def test_scores_of_sure_images_keep_their_order(tmp_path):
    margins = torch.tensor([-32.0, -30, 0, 14, 18, 20, 30, 32], dtype=torch.bfloat16)
    scores = score(torch.stack((torch.zeros(8, dtype=torch.bfloat16), margins), dim=1)).numpy()
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(8)], "score": scores})
    predictions.write(table, pd.DataFrame(), tmp_path)
    kept = predictions.read(tmp_path)["score"].to_numpy()
    assert (np.diff(kept) > 0).all()
