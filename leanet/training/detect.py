"""Training and applying LEA-Net on one fold at one attention point: a cell of the cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leanet import device as devices
from leanet.color import from_bytes
from leanet.models.leanet import LEANet, build, loss, score
from leanet.params import TrainLEANet
from leanet.training.loop import fit


@dataclass(frozen=True)
class Samples:
    """Images with their anomaly maps and labels, on the device.

    images: uint8 (N, side, side, 3). maps: float16 (N, side, side), ΔE₀₀. labels: int64 (N,).
    map_scale: the ΔE₀₀ that enters a network as 1, or "own-maximum" to scale each map by its own.
    """

    images: Tensor
    maps: Tensor
    labels: Tensor
    map_scale: float | str

    @classmethod
    def on(
        cls,
        device: torch.device,
        images: np.ndarray,
        maps: np.ndarray,
        labels: np.ndarray,
        map_scale: float | str,
    ) -> "Samples":
        """From arrays of the shapes above."""
        arrays = (torch.from_numpy(np.array(array)).to(device) for array in (images, maps, labels))
        return cls(*arrays, map_scale)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """What the network takes: images (B, 3, side, side) in [0, 1], maps (B, 1, side, side)."""
        maps = self.maps[indices].float()[:, None]
        if self.map_scale == "own-maximum":
            maps = maps / maps.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        else:
            maps = maps / self.map_scale
        return from_bytes(self.images[indices]), maps


def train_cell(
    row: str,
    point: int,
    data: Samples,
    settings: TrainLEANet,
    *,
    fold: int,
    dtype: torch.dtype,
    on_epoch: Callable[[float], None],
) -> tuple[LEANet, list[float]]:
    """Train `row` at attention `point` on one fold's training images.

    First weights and order of images depend on the seed and the fold, so that rows and points differ by
    nothing else. Returns the network and its loss (Eq. 1) by epoch.
    """
    devices.seed(settings.seed, fold)
    network = build(row, side=data.images.shape[1], point=point)
    network = network.to(data.images.device, memory_format=torch.channels_last)

    def batch_loss(batch: Tensor) -> Tensor:
        logits, external_logits, _ = network(*data.batch(batch))
        return loss(logits, external_logits, data.labels[batch])

    history = fit(
        network,
        batch_loss,
        len(data.labels),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        dtype=dtype,
        order_seed=settings.seed + fold,
        on_epoch=on_epoch,
    )
    return network, history


@torch.inference_mode()
def predict(
    network: LEANet, data: Samples, *, dtype: torch.dtype, batch_size: int = 64
) -> tuple[np.ndarray, np.ndarray | None]:
    """Scores (N,) in [0, 1], anomalous above 0.5, and attention maps (N, side / 2**p, side / 2**p) or None."""
    network.eval()
    device = data.images.device
    scores, attentions = [], []
    for indices in torch.arange(len(data.labels), device=device).split(batch_size):
        with devices.autocast(device, dtype):
            logits, _, attention = network(*data.batch(indices))
        scores.append(score(logits).cpu())
        if attention is not None:
            attentions.append(attention[:, 0].float().cpu())
    return torch.cat(scores).numpy(), torch.cat(attentions).numpy() if attentions else None
