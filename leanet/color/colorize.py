"""Training the colouriser on normal images (section 3-1)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from leanet.color.fancy_pca import Basis
from leanet.color.lab import from_bytes, rgb_to_lab
from leanet.color.left_out import LeftOut, name
from leanet.color.settings import Augment, TrainUNet
from leanet.color.unet import UNet, to_unit
from leanet.core import device as devices
from leanet.core.settings import Precision
from leanet.images.imageset import ImageSet
from leanet.training import memory
from leanet.training import recipe as recipes
from leanet.training.job import Job, Outcome, Place
from leanet.training.loop import fit
from leanet.training.ondevice import OnDevice
from leanet.training.settings import Recipe
from leanet.training.state import weights


def job(
    data: ImageSet,
    left_out: LeftOut,
    basis: Basis,
    augment: Augment,
    settings: TrainUNet,
    *,
    number: int,
    recipe: Recipe,
    precision: Precision,
) -> Job:
    """The training of a colouriser that does not see the folds `left_out`; number, basis: as in `fit_unet`."""
    return Job(
        name={"colouriser": name(left_out)},
        function=colouriser,
        arrays={
            "images": data.images,
            "normals": data.normals(*left_out),
            "eigenvalues": basis.eigenvalues,
            "eigenvectors": basis.eigenvectors,
        },
        settings={
            "number": number,
            "std": augment.std,
            "recipe": recipe,
            "precision": precision,
            "train_unet": settings,
        },
        epochs=settings.epochs,
        memory=needed_memory(settings, data.side),
        keep_weights=True,
        shapes={"losses": (None,)},
    )


def colouriser(
    arrays: dict,
    place: Place,
    *,
    number: int,
    std: float,
    recipe: Recipe,
    precision: Precision,
    train_unet: TrainUNet,
) -> Outcome:
    """A job: a colouriser.

    arrays: images uint8 (N, side, side, 3); normals (n,), which of them to train on; eigenvalues (3,) and
        eigenvectors (3, 3) of their Fancy-PCA basis. number: of the colouriser, which has
        random draws of its own. std: of Fancy PCA's draws.
    Outcome: losses (epochs,), and the weights.
    """
    dtype = devices.number_format(precision, place.device)
    normals = OnDevice(arrays["images"], arrays["normals"], place.device)
    basis = Basis(arrays["eigenvalues"], arrays["eigenvectors"])
    network, losses = fit_unet(normals, basis, std, train_unet, place, recipe=recipe, number=number, dtype=dtype)
    facts = {"device": str(place.device), "precision": str(dtype), "images_trained": len(normals) * len(losses)}
    return Outcome({"losses": np.array(losses)}, facts, weights(network))


def fit_unet(
    normals: OnDevice,
    basis: Basis,
    std: float,
    settings: TrainUNet,
    place: Place,
    *,
    recipe: Recipe,
    number: int,
    dtype: torch.dtype,
) -> tuple[UNet, list[float]]:
    """Train a colouriser on normal images.

    normals: uint8 (N, side, side, 3), on the device to train on.
    basis, std: Fancy PCA, drawn afresh for each image and epoch. number: as in `colouriser`.

    Returns the network and its loss by epoch: mean squared error of a*b* scaled to [0, 1].
    """
    devices.seed(settings.seed, number)
    network = UNet(side=normals.side, width=settings.width, dropout=settings.dropout)
    network = network.to(normals.device, memory_format=torch.channels_last)
    draws = np.random.default_rng([settings.seed, number])

    def given(batch: Tensor, done: float) -> tuple[Tensor, ...]:
        rgb = from_bytes(normals[batch])
        if recipes.is_small(recipe, normals.side, done):
            rgb = recipes.halved(rgb)
        shifts = torch.from_numpy(basis.shifts(draws.normal(0, std, (len(batch), 3)))).to(rgb)
        return (rgb_to_lab((rgb + shifts[:, :, None, None]).clamp(0, 1)),)

    def batch_loss(lab: Tensor) -> Tensor:
        return F.mse_loss(network(lab[:, :1] / 100), to_unit(lab[:, 1:]))

    history = fit(
        network,
        given,
        batch_loss,
        len(normals),
        recipe=recipe,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        betas=tuple(settings.betas),
        dtype=dtype,
        order_seed=settings.seed + number,
        place=place,
        # A learning rate that still has to fall is no reason to give up.
        patience=settings.patience if recipe == "paper" else None,
        draws=draws,
    )
    return network, history


def needed_memory(settings: TrainUNet, side: int) -> int:
    """Bytes that training a colouriser takes at most."""
    count = settings.batch_size
    with torch.device("meta"):
        network = UNet(side=side, width=settings.width, dropout=settings.dropout)

        def trained() -> Tensor:
            return F.mse_loss(network(torch.empty(count, 1, side, side)), torch.empty(count, 2, side, side))

        return memory.needed(network, trained)
