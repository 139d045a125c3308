"""Training the colouriser on normal images (section 3-1)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from leanet import device as devices
from leanet.color import from_bytes, rgb_to_lab
from leanet.data.ondevice import OnDevice
from leanet.execution.checkpoint import Checkpoint
from leanet.execution.job import Outcome, Place
from leanet.fancy_pca import Basis
from leanet.models.unet import UNet, to_unit
from leanet.params import TrainUNet
from leanet.training import weights
from leanet.training.loop import fit


def colouriser(arrays: dict, settings: dict, place: Place) -> Outcome:
    """A job: the colouriser of one fold.

    arrays: images uint8 (N, side, side, 3); normals (n,), which of them to train on; eigenvalues and eigenvectors
        of their Fancy-PCA basis. settings: fold, std, recipe, precision, and train_unet as in params.yaml.
    Outcome: losses (epochs,), and the weights (leanet.training.weights).
    """
    dtype = devices.number_format(settings["precision"], place.device)
    normals = OnDevice(arrays["images"], arrays["normals"], place.device)
    network, losses = train_unet(
        normals,
        Basis(arrays["eigenvalues"], arrays["eigenvectors"]),
        settings["std"],
        TrainUNet(**settings["train_unet"]),
        recipe=settings["recipe"],
        fold=settings["fold"],
        dtype=dtype,
        on_epoch=place.on_epoch,
        checkpoint=place.checkpoint,
    )
    facts = {"device": str(place.device), "precision": str(dtype), "images_trained": len(normals) * len(losses)}
    return Outcome({"losses": np.array(losses), **weights.pack(network)}, facts)


def train_unet(
    normals: OnDevice,
    basis: Basis,
    std: float,
    settings: TrainUNet,
    *,
    recipe: str,
    fold: int,
    dtype: torch.dtype,
    on_epoch: Callable[[float], None],
    checkpoint: Checkpoint | None = None,
) -> tuple[UNet, list[float]]:
    """Train a colouriser on one fold's training normals.

    normals: uint8 (N, side, side, 3), on the device to train on.
    basis, std: Fancy PCA, drawn afresh for each image and epoch. recipe: see leanet.training.recipe.
    checkpoint: where each epoch is kept, and gone on from.

    Returns the network and its loss by epoch: mean squared error of a*b* scaled to [0, 1].
    """
    devices.seed(settings.seed, fold)
    network = UNet(side=normals.side, dropout=settings.dropout)
    network = network.to(normals.device, memory_format=torch.channels_last)
    draws = np.random.default_rng([settings.seed, fold])

    def batch_loss(batch: Tensor) -> Tensor:
        rgb = from_bytes(normals[batch])
        shifts = torch.from_numpy(basis.shifts(draws.normal(0, std, (len(batch), 3)))).to(rgb)
        with torch.autocast(normals.device.type, enabled=False):
            lab = rgb_to_lab((rgb + shifts[:, :, None, None]).clamp(0, 1))
        return F.mse_loss(network(lab[:, :1] / 100), to_unit(lab[:, 1:]))

    history = fit(
        network,
        batch_loss,
        len(normals),
        recipe=recipe,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        betas=tuple(settings.betas),
        dtype=dtype,
        order_seed=settings.seed + fold,
        on_epoch=on_epoch,
        # A learning rate that still has to fall is no reason to give up.
        patience=settings.patience if recipe == "paper" else None,
        checkpoint=checkpoint,
        draws=draws,
    )
    return network, history
