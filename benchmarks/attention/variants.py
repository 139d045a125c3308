"""Networks to compare: rows of the pipeline, controls, and ideas, each with its reason."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanet.attention.adn import build_adn
from leanet.attention.attention import standardised
from leanet.attention.caan import build_external
from leanet.attention.classifier import Classifier, take_channels
from leanet.attention.leanet import loss
from leanet.attention.painting import with_painted
from leanet.color.lab import from_bytes
from leanet.core import device as devices
from leanet.training import recipe as recipes
from leanet.training.job import Place
from leanet.training.loop import fit

MAP_SCALE = 30
EPOCHS, BATCH, RATE = 16, 16, 1e-3
TOP = 0.1  # the share of places that a weak label speaks of


@dataclass(frozen=True)
class Variant:
    """One way to let a map help.

    external: None, direct or resnet. points: where it attends. maps: own, pair, signed, turns or expected
    (benchmarks.attention.trials). phi: how features become M: mean (Eq. 2), contrast (the mean, standardised over
    the image), learned (a 1×1 convolution), zero (M = 0). shuffled: each image gets another's map. pooled: M also
    weighs the last features. weak: the mean of the highest tenth of M's logits learns the label. epochs: times the
    recipe's. painted: trained on painted anomalies first (leanet.attention.painting). small: the share of epochs
    at half the side. batch, rate: its size and the highest learning rate.
    """

    why: str
    external: str | None = None
    points: tuple[int, ...] = ()
    maps: str = "pair"
    phi: str = "mean"
    shuffled: bool = False
    pooled: bool = False
    weak: bool = False
    epochs: float = 1
    input: bool = False
    painted: bool = False
    small: float = 0
    batch: int = BATCH
    rate: float = RATE


VARIANTS = {
    "plain": Variant("the network to beat"),
    "plain, longer": Variant("control: as much computing as with a CAAN", epochs=1.5),
    "direct": Variant("row -direct at point 3", "direct", (3,)),
    "4ch": Variant("row -4ch-input: the map as a fourth channel", input=True),
    "caan": Variant("row -resnet at point 3, out-of-sample maps", "resnet", (3,)),
    "caan, own maps": Variant("the same with maps in sample, as in the paper", "resnet", (3,), maps="own"),
    "caan, point 2": Variant("lesions are small", "resnet", (2,)),
    "caan, point 4": Variant("coarse attention is less noisy", "resnet", (4,)),
    "caan, M = 0": Variant(
        "control: a second classifier of maps that does not attend", "resnet", (3,), phi="zero"
    ),
    "caan, shuffled": Variant("control: maps of other images", "resnet", (3,), shuffled=True),
    "signed": Variant("Δa* and Δb* beside ΔE: which way a colour is off", "resnet", (3,), maps="signed"),
    "turns": Variant(
        "a colouriser averaged over eight turns, its spread as a channel", "resnet", (3,), maps="turns"
    ),
    "expected": Variant("ΔE less what normals show at that L*", "resnet", (3,), maps="expected"),
    "contrast": Variant("M standardised over the image", "resnet", (3,), phi="contrast"),
    "weak": Variant("φ learned, and taught by the label", "resnet", (3,), phi="learned", weak=True),
    "pooled": Variant("features pooled by M beside the mean", "resnet", (3,), phi="contrast", pooled=True),
    "points": Variant("several points at once", "resnet", (2, 3, 4)),
    "contrast, direct": Variant("the map itself, standardised over the image", "direct", (3,), phi="contrast"),
    "contrast, point 2": Variant("lesions are small", "resnet", (2,), phi="contrast"),
    "contrast, point 4": Variant("coarse attention is less noisy", "resnet", (4,), phi="contrast"),
    "contrast, points": Variant("several points at once", "resnet", (2, 3, 4), phi="contrast"),
    "contrast, turns": Variant("both", "resnet", (3,), maps="turns", phi="contrast"),
    "painted, plain": Variant("control: painted anomalies teach a plain network, too", painted=True),
    "painted": Variant(
        "contrast, taught by painted anomalies first", "resnet", (3,), phi="contrast", painted=True
    ),
    "plain, small first": Variant("a quarter of the work in half of the epochs", small=0.5),
    "plain, small longer": Variant("the same in three quarters", small=0.75),
    "plain, batch 32": Variant("half of the steps", batch=32, rate=2e-3),
    "plain, small, 32": Variant("both", small=0.5, batch=32, rate=2e-3),
    "contrast, small first": Variant(
        "a quarter of the work in half of the epochs", "resnet", (3,), phi="contrast", small=0.5
    ),
    "contrast, small longer": Variant("the same in three quarters", "resnet", (3,), phi="contrast", small=0.75),
    "contrast, batch 32": Variant("half of the steps", "resnet", (3,), phi="contrast", batch=32, rate=2e-3),
    "contrast, small, 32": Variant("both", "resnet", (3,), phi="contrast", small=0.5, batch=32, rate=2e-3),
    "signed, weak": Variant("both", "resnet", (3,), maps="signed", phi="learned", weak=True, pooled=True),
}
KINDS = {
    "own": "own",
    "turns": "turns",
    "pair": "pair",
    "signed": "pair",
    "expected": "pair",
}  # of what is written
CHANNELS = {"own": 1, "pair": 1, "signed": 3, "turns": 4, "expected": 1}


def inputs(maps: Tensor, kind: str) -> Tensor:
    """The channels of a kind, (N, C, side, side), from what trials.write_maps wrote of it."""
    maps = maps.float()
    if kind == "expected":
        return (maps[:, :1] - maps[:, 3:4]) / 10
    return maps[:, : CHANNELS[kind]] / MAP_SCALE


class Network(nn.Module):
    """An ADN, what attends to it, and how."""

    def __init__(self, variant: Variant, side: int):
        super().__init__()
        self.variant = variant
        channels = CHANNELS[variant.maps]
        self.adn = build_adn("resnet18", channels=3 + channels * variant.input, side=side)
        self.external = None
        if variant.external == "direct":
            self.external = build_external("direct", side=side, point=variant.points[0])
        elif variant.external:
            network = build_external("resnet", side=side, point=variant.points[0]).classifier.network
            take_channels(network, channels)
            self.external = Classifier(network, channels=channels, side=side)
        widths = {1: 64, 2: 64, 3: 128, 4: 256, 5: 512}
        if variant.phi == "learned":
            self.phi = nn.ModuleDict({str(p): nn.Conv2d(widths[p], 1, 1) for p in variant.points})
        if variant.pooled:
            self.head = nn.Linear(widths[5], 2)

    def forward(self, images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Logits f (N, 2), g (N, 2) or None, and at each point what the sigmoid of M is taken of."""
        if self.variant.input:
            images = torch.cat((images, maps), dim=1)
        if self.external is None:
            return self.adn(images), None, []
        if self.variant.external == "direct":
            point = self.external.point
            g, before = None, [self._phi(point, F.avg_pool2d(maps, 2**point))]
        else:
            features: list[Tensor] = []
            g = _with_hooks(self.external, self.variant.points, maps, features.append)
            before = [self._phi(p, each) for p, each in zip(self.variant.points, features, strict=True)]
        attention = iter([torch.sigmoid(each) * (self.variant.phi != "zero") for each in before])
        last: list[Tensor] = []
        hook = self.adn.network.layer4.register_forward_hook(lambda _module, _inputs, out: last.append(out))
        with hook:
            f = _with_hooks(self.adn, self.variant.points, images, lambda each: (1 + next(attention)) * each)
        if self.variant.pooled:
            weight = F.interpolate(torch.sigmoid(before[0]), last[0].shape[2:], mode="area")
            f = f + self.head((weight * last[0]).sum((2, 3)) / weight.sum((2, 3)))
        return f, g, before

    def _phi(self, point: int, features: Tensor) -> Tensor:
        if self.variant.phi == "learned":
            return self.phi[str(point)](features)
        mean = features.mean(dim=1, keepdim=True)
        return standardised(mean) if self.variant.phi == "contrast" else mean


def _with_hooks(classifier: Classifier, points: tuple[int, ...], x: Tensor, at_point) -> Tensor:
    hooks = [
        classifier.network.get_submodule(classifier.points[p]).register_forward_hook(
            lambda _module, _inputs, features: at_point(features)
        )
        for p in points
    ]
    try:
        return classifier.network(x)
    finally:
        for hook in hooks:
            hook.remove()


def pretrain(
    network: Network,
    images: Tensor,
    maps: Tensor,
    normals: np.ndarray,
    dtype: torch.dtype,
    seed: int,
    draws: torch.Generator,
) -> None:
    """Teach the network to tell the images `normals` from painted ones, and M to say where they are painted."""

    def given(batch: Tensor, _done: float) -> tuple[Tensor, ...]:
        chosen = normals[batch.numpy()]
        both, known, where = with_painted(from_bytes(images[chosen]), maps[chosen, :1].float(), draws)
        return recipes.augment(both, torch.cat((inputs(known, "pair"), where), dim=1), draws)

    def batch_loss(both: Tensor, known: Tensor) -> Tensor:
        f, g, before = network(both, known[:, :1])
        total = loss(f, g, torch.arange(2).repeat_interleave(len(both) // 2))
        for each in before:
            target = F.adaptive_avg_pool2d(known[:, 1:], each.shape[2:])
            total = total + F.binary_cross_entropy_with_logits(each.float(), target)
        return total

    how = {"recipe": "fast", "epochs": EPOCHS, "batch_size": BATCH // 2, "learning_rate": RATE}
    place = Place(torch.device("cpu"), None, lambda loss: None)
    fit(network, given, batch_loss, len(normals), **how, dtype=dtype, order_seed=seed, place=place, draws=draws)


def margins(
    variant: Variant,
    images: np.ndarray,
    maps: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """Train on the images `train`; of the images `test` the margins of f and, where there is one, of g, each (M,).

    images: uint8 (N, side, side, 3). maps: float16 (N, C, side, side), of the variant's kind.
    """
    device = torch.device("cpu")
    dtype = devices.number_format("auto", device)
    devices.seed(seed)
    draws = torch.Generator().manual_seed(seed)
    if variant.shuffled:
        maps = maps.copy()
        for part in (train, test):
            maps[part] = maps[part[torch.randperm(len(part), generator=draws).numpy()]]
    kind = variant.maps
    images, maps, labels = torch.from_numpy(images), torch.from_numpy(maps), torch.from_numpy(labels)
    network = Network(variant, images.shape[1]).to(memory_format=torch.channels_last)
    balance = recipes.class_weights("fast", labels[train])

    def given(batch: Tensor, done: float) -> tuple[Tensor, ...]:
        chosen = train[batch.numpy()]
        both = from_bytes(images[chosen]), inputs(maps[chosen], kind)
        if done < variant.small:
            both = tuple(recipes.halved(each) for each in both)
        return *recipes.augment(*both, draws), labels[chosen]

    def batch_loss(images: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        f, g, before = network(images, maps)
        total = loss(f, g, labels, balance)
        for each in before if variant.weak else []:
            flat = each.float().flatten(1)
            top = flat.topk(max(1, int(TOP * flat.shape[1])), dim=1).values.mean(1)
            weights = balance[labels]
            total = total + F.binary_cross_entropy_with_logits(top, labels.float(), weights)
        return total

    place = Place(device, None, lambda loss: None)
    if variant.painted:
        pretrain(network, images, maps, train[(labels[train] == 0).numpy()], dtype, seed, draws)
    how = {"recipe": "fast", "epochs": round(variant.epochs * EPOCHS)}
    how |= {"batch_size": variant.batch, "learning_rate": variant.rate}
    fit(network, given, batch_loss, len(train), **how, dtype=dtype, order_seed=seed, place=place, draws=draws)
    network.eval()
    found: dict[str, list[Tensor]] = {"f": [], "g": []}
    with torch.inference_mode(), devices.autocast(device, dtype):
        for chosen in torch.from_numpy(test).split(64):
            views = recipes.views(from_bytes(images[chosen]), inputs(maps[chosen], kind))
            said = [network(*view)[:2] for view in views]
            for name, each in zip(found, zip(*said, strict=True), strict=True):
                if each[0] is not None:
                    mean = torch.stack([logits.float() for logits in each]).mean(0)
                    found[name].append(mean[:, 1] - mean[:, 0])
    return {name: torch.cat(parts).numpy() for name, parts in found.items() if parts}
