"""The loop that both networks are trained by; what differs is the loss of a batch."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from leanet.core.device import autocast
from leanet.core.errors import InputError
from leanet.training import recipe as recipes
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Place
from leanet.training.products import with_products
from leanet.training.settings import Recipe
from leanet.training.state import State


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut `order` (N,) into batches of `size`; a last batch of a single image joins the one before.

    Batch normalisation has nothing to normalise by where one image has shrunk to one pixel.
    """
    pieces = list(order.split(size))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def fit(
    network: nn.Module,
    batch_loss: Callable[[Tensor, float], Tensor],
    count: int,
    *,
    recipe: Recipe,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    dtype: torch.dtype,
    order_seed: int,
    place: Place,
    patience: int | None = None,
    draws: torch.Generator | np.random.Generator | None = None,
) -> list[float]:
    """Train `network` in place by Adam and return its mean loss in each epoch.

    batch_loss: from the indices (B,) of a batch, on the network's device, and the share of the epochs that are
        done, in [0, 1), to a scalar loss.
    count: how many training images there are; every epoch takes each once, in an order that depends on
        `order_seed` alone.
    recipe: see leanet.training.recipe; here it shapes the learning rate.
    place: told the loss after each epoch; its checkpoint is kept after each epoch, and gone on from where it has
        something.
    patience: stop after so many epochs in a row without a lower loss; None trains all `epochs`.
    draws: what `batch_loss` draws from, on the CPU: it goes on where it stood as well.

    Raises:
        InputError: the loss is no longer a number.
    """
    device, checkpoint = place.device, place.checkpoint
    with_products(network)
    weights = as_they_lie(network)
    optimizer = torch.optim.Adam([view for _, view, _ in weights], lr=learning_rate, betas=betas, fused=True)
    steps = epochs * len(batches(torch.arange(count), batch_size))
    schedule = recipes.schedule(recipe, optimizer, learning_rate, steps)
    shuffler = torch.Generator().manual_seed(order_seed)
    state = State(network, optimizer, schedule, shuffler, draws)
    history: list[float] = []
    if checkpoint is not None and (kept := checkpoint.load()):
        history = state.restore(*kept)
    network.train()
    while len(history) < epochs and not given_up(history, patience):
        total = torch.zeros((), device=device)  # summed there: reading it earlier would wait for the device
        for batch in batches(torch.randperm(count, generator=shuffler).to(device), batch_size):
            network.zero_grad()
            with autocast(device, dtype):
                loss = batch_loss(batch, len(history) / epochs)
            loss.backward()
            for weight, view, order in weights:
                view.grad = None if weight.grad is None else weight.grad.permute(order)
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(batch)
        history.append(total.item() / count)
        if not math.isfinite(history[-1]):
            raise InputError(diverged(history, checkpoint))
        if checkpoint is not None:
            checkpoint.save(*state.read(history))
        place.on_epoch(history[-1])
    return history


def as_they_lie(network: nn.Module) -> list[tuple[Tensor, Tensor, tuple[int, ...]]]:
    """Each weight of `network`, a view of it in the order of memory, and that order of its dimensions.

    Adam copies what it is given in any other order, at every step: a tenth of a step's time at 64×64.
    """
    orders = [
        (0, 2, 3, 1) if weight.dim() == 4 and not weight.is_contiguous() else tuple(range(weight.dim()))
        for weight in network.parameters()
    ]
    return [
        (weight, nn.Parameter(weight.detach().permute(order)), order)
        for weight, order in zip(network.parameters(), orders, strict=True)
    ]


def given_up(history: list[float], patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no lower loss."""
    return patience is not None and len(history) - 1 - int(np.argmin([*history, math.inf])) >= patience


def diverged(history: list[float], checkpoint: Checkpoint | None) -> str:
    """What to say of a loss that is no longer a number."""
    said = f"the training loss is {history[-1]} in epoch {len(history)}; lower learning_rate"
    if checkpoint is not None and len(history) > 1:
        said += f" (epoch {len(history) - 1} is kept in {checkpoint.files[0].parent})"
    return said
