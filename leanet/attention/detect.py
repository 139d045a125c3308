"""Training and applying LEA-Net on one fold at one attention point: a cell of the cross-validation."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from leanet.attention import rows
from leanet.attention.adn import imagenet_weights
from leanet.attention.leanet import LEANet, build, loss, score
from leanet.attention.painting import with_painted
from leanet.attention.settings import TrainLEANet
from leanet.color.lab import from_bytes
from leanet.core import device as devices
from leanet.core.arrays import ArrayFile
from leanet.core.settings import Precision
from leanet.images.counterfactuals import KINDS
from leanet.training import recipe as recipes
from leanet.training import state
from leanet.training.job import Outcome, Place
from leanet.training.loop import fit
from leanet.training.ondevice import OnDevice
from leanet.training.settings import Recipe


@dataclass(frozen=True)
class Samples:
    """Images with their anomaly maps and labels, on the device.

    images: uint8 (N, side, side, 3). maps: float16 (N, side, side), ΔE₀₀. labels: int64 (N,).
    map_scale: the ΔE₀₀ that enters a network as 1, or "own-maximum" to scale each map by its own.
    """

    images: OnDevice
    maps: OnDevice
    labels: Tensor
    map_scale: float | str

    @classmethod
    def on(
        cls,
        device: torch.device,
        images: ArrayFile | np.ndarray,
        maps: ArrayFile | np.ndarray,
        labels: np.ndarray,
        map_scale: float | str,
        chosen: np.ndarray,
    ) -> "Samples":
        """The rows `chosen` of arrays of the shapes above."""
        return cls(
            OnDevice(images, chosen, device),
            OnDevice(maps, chosen, device),
            torch.from_numpy(labels[chosen]).to(device),
            map_scale,
        )

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """What the network takes: images (B, 3, side, side) in [0, 1], maps (B, 1, side, side)."""
        return from_bytes(self.images[indices]), scale(self.maps[indices].float(), self.map_scale)


def scale(maps: Tensor, map_scale: float | str) -> Tensor:
    """Anomaly maps (B, side, side) in ΔE₀₀, as a network takes them, (B, 1, side, side)."""
    maps = maps[:, None]
    if map_scale == "own-maximum":
        return maps / maps.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    return maps / map_scale


def cell(
    arrays: dict,
    place: Place,
    *,
    row: str,
    point: int,
    fold: int,
    recipe: Recipe,
    precision: Precision,
    train_leanet: TrainLEANet,
) -> Outcome:
    """A job: train a row on one fold at one attention point, and score the fold's test images.

    arrays: images, maps and labels of the whole set, as in Samples; train, test and shown, which of them to
        train on, to score and to look at. If altered is there, places among the images <kind>_images and maps
        <kind>_maps, by leanet.images.counterfactuals.KINDS.
    Outcome: losses (epochs,), scores (test images,), scores_<kind> of altered images, of a row that attends what
    it sees in the shown images, and the weights.
    """
    dtype = devices.number_format(precision, place.device)
    every = arrays["images"], arrays["maps"], arrays["labels"], train_leanet.map_scale
    train, test, shown = (Samples.on(place.device, *every, arrays[part]) for part in ("train", "test", "shown"))
    network, losses = train_cell(row, point, train, train_leanet, place, recipe=recipe, fold=fold, dtype=dtype)
    scores_of = {"scores": predict(network, test, recipe=recipe, dtype=dtype)}
    if "altered" in arrays:
        for kind in KINDS:
            nothing = np.zeros(len(arrays[f"{kind}_images"]), int)  # of labels
            asked = arrays[f"{kind}_images"], arrays[f"{kind}_maps"], nothing, train_leanet.map_scale
            samples = Samples.on(place.device, *asked, arrays["altered"])
            scores_of[f"scores_{kind}"] = predict(network, samples, recipe=recipe, dtype=dtype)
    seen = look(network, shown, dtype=dtype) if len(shown.labels) else {}
    trained = len(train.labels) * len(losses)
    if is_painted(row):
        trained += 2 * int((train.labels == 0).sum()) * train_leanet.epochs
    facts = {"device": str(place.device), "precision": str(dtype), "images_trained": trained}
    return Outcome({"losses": np.array(losses), **scores_of, **seen}, facts, state.weights(network))


def train_cell(
    row: str,
    point: int,
    data: Samples,
    settings: TrainLEANet,
    place: Place,
    *,
    recipe: Recipe,
    fold: int,
    dtype: torch.dtype,
) -> tuple[LEANet, list[float]]:
    """Train `row` at attention `point` on one fold's training images.

    First weights and order of images depend on the seed and the fold, so that rows and points differ by
    nothing else.
    Returns the network and its loss (Eq. 1) by epoch.
    """
    devices.seed(settings.seed, fold)
    weights = imagenet_weights(rows.parts(row).adn) if settings.pretrained else None
    network = build(row, side=data.images.side, point=point, pretrained=settings.pretrained, weights=weights)
    network = network.to(place.device, memory_format=torch.channels_last)
    side = data.images.side
    halves = recipes.is_small(recipe, side, 0) and takes(network, side // 2)
    balance = recipes.class_weights(recipe, data.labels)
    draws = torch.Generator().manual_seed(settings.seed + fold)

    def given(batch: Tensor, done: float) -> tuple[Tensor, ...]:
        images, maps = data.batch(batch)
        if halves and recipes.is_small(recipe, side, done):
            images, maps = recipes.halved(images), recipes.halved(maps)
        if recipe == "fast":
            images, maps = recipes.augment(images, maps, draws)
        return images, maps, data.labels[batch]

    def batch_loss(images: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        logits, external_logits, _ = network(images, maps)
        return loss(logits, external_logits, labels, balance)

    how = {
        "recipe": recipe,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate_of(row),
        "dtype": dtype,
        "order_seed": settings.seed + fold,
        "draws": draws,
    }
    if is_painted(row) and (place.checkpoint is None or place.checkpoint.load() is None):
        teach_by_painted(network, data, place, batch_size=max(1, settings.batch_size // 2), **how)
    history = fit(network, given, batch_loss, len(data.labels), batch_size=settings.batch_size, place=place, **how)
    return network, history


def takes(network: LEANet, side: int) -> bool:
    """Whether the network takes images of that side, too."""
    shapes = copy.deepcopy(network).to("meta").eval()
    try:
        shapes(torch.empty(1, 3, side, side, device="meta"), torch.empty(1, 1, side, side, device="meta"))
    except RuntimeError:  # its layers are of the other side
        return False
    return True


def is_painted(row: str) -> bool:
    """Whether the row is taught by painted anomalies first, which takes as many epochs again."""
    return rows.parts(row).external == "painted"


def teach_by_painted(network: LEANet, data: Samples, place: Place, *, batch_size: int, **how) -> None:
    """Train on `batch_size` normal images of `data` at a time and the same with painted anomalies.

    Eq. 1 tells the two apart; the cross-entropy of the attention map with what is painted is added to it. how: as
    leanet.training.loop.fit takes it. A training that is killed meanwhile begins anew.
    """
    normals = (data.labels == 0).nonzero()[:, 0]

    def given(batch: Tensor, _done: float) -> tuple[Tensor, ...]:
        chosen = normals[batch]
        images, maps = from_bytes(data.images[chosen]), data.maps[chosen].float()[:, None]
        images, maps, where = with_painted(images, maps, how["draws"])
        maps = torch.cat((scale(maps[:, 0], data.map_scale), where), dim=1)
        if how["recipe"] == "fast":
            images, maps = recipes.augment(images, maps, how["draws"])
        labels = torch.arange(2, device=batch.device).repeat_interleave(len(batch))
        return images, maps[:, :1], maps[:, 1:], labels

    def batch_loss(images: Tensor, maps: Tensor, where: Tensor, labels: Tensor) -> Tensor:
        logits, external_logits, attention = network(images, maps)
        shown = F.adaptive_avg_pool2d(where, attention.shape[2:])
        with devices.autocast(place.device, torch.float32):
            of_map = F.binary_cross_entropy(attention.float(), shown)
        return loss(logits, external_logits, labels) + of_map

    before = Place(place.device, None, lambda epoch: place.on_epoch(replace(epoch, number=0)))
    fit(network, given, batch_loss, len(normals), batch_size=batch_size, place=before, **how)


@torch.inference_mode()
def predict(
    network: LEANet, data: Samples, *, recipe: Recipe, dtype: torch.dtype, batch_size: int = 64
) -> np.ndarray:
    """Scores (N,) in [0, 1], anomalous above 0.5."""
    network.eval()
    device = data.images.device
    scores = []
    for indices in torch.arange(len(data.labels), device=device).split(batch_size):
        batch = data.batch(indices)
        with devices.autocast(device, dtype):
            logits, _ = judge(network, *batch, recipe=recipe)
        scores.append(score(logits))
    return torch.cat(scores).numpy()


def judge(network: LEANet, images: Tensor, maps: Tensor, *, recipe: Recipe) -> tuple[Tensor, Tensor | None]:
    """The logits (N, 2) that images are scored by, and the attention map of the images as they are, or None.

    With the recipe `fast`, logits are means over eight views, and the external network's count as well.
    """
    views = recipes.views(images, maps) if recipe == "fast" else [(images, maps)]
    said = [network(*view) for view in views]
    votes = [recipes.vote(recipe, logits, external_logits) for logits, external_logits, _ in said]
    return torch.stack(votes).mean(dim=0), said[0][2]


def look(network: LEANet, data: Samples, *, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """What LEANet.look sees in `data`, float32."""
    network.eval()
    device = data.images.device
    with devices.autocast(device, dtype):
        seen = network.look(*data.batch(torch.arange(len(data.labels), device=device)))
    return {name: features.float().cpu().numpy() for name, features in seen.items()}
