"""The loop that both networks are trained by; what differs is the loss of a batch."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from leanet.core.device import autocast
from leanet.core.errors import InputError
from leanet.training import recipe as recipes
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Epoch, Place
from leanet.training.products import with_products
from leanet.training.settings import Recipe
from leanet.training.state import State
from leanet.training.steps import Steps, own_stream

SECONDS_TO_LOSE = 5  # by a kill, on a GPU: there an epoch may well take less time than keeping it


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
    given: Callable[[Tensor, float], tuple[Tensor, ...]],
    batch_loss: Callable[..., Tensor],
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

    given: from the indices (B,) of a batch, on the network's device, and the share of the epochs that are done, in
        [0, 1), to the tensors that its loss is computed from. What is drawn at random on the CPU is drawn here.
    batch_loss: from those to a scalar loss, as leanet.training.steps.Steps takes it.
    count: how many training images there are; every epoch takes each once, in an order that depends on
        `order_seed` alone.
    recipe: see leanet.training.recipe; here it shapes the learning rate.
    place: told of each epoch; its checkpoint is kept after each epoch, on a GPU every SECONDS_TO_LOSE
        at most, and gone on from where it has something.
    patience: stop after so many epochs in a row without a lower loss; None trains all `epochs`.
    draws: what `given` draws from, on the CPU: it goes on where it stood as well.

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
    step = Steps(network, batch_loss, device, dtype)
    history: list[float] = []
    if checkpoint is not None and (kept := checkpoint.load()):
        history = state.restore(*kept)
    saved, saved_at = len(history), time.monotonic()
    network.train()
    with own_stream(device):
        while len(history) < epochs and not given_up(history, patience):
            began = time.monotonic()
            total = torch.zeros((), device=device)  # summed there: reading it earlier would wait for the device
            for batch in batches(torch.randperm(count, generator=shuffler).to(device), batch_size):
                with autocast(device, dtype):
                    tensors = given(batch, len(history) / epochs)
                loss = step(*tensors)
                for weight, view, order in weights:
                    view.grad = None if weight.grad is None else weight.grad.permute(order)
                optimizer.step()
                schedule.step()
                total += loss * len(batch)
            history.append(total.item() / count)
            speed = count / (time.monotonic() - began)
            if not math.isfinite(history[-1]):
                raise InputError(diverged(history, saved, checkpoint))
            if checkpoint is not None and (device.type == "cpu" or time.monotonic() - saved_at >= SECONDS_TO_LOSE):
                checkpoint.save(*state.read(history))
                saved, saved_at = len(history), time.monotonic()
            rate = optimizer.param_groups[0]["lr"]
            place.on_epoch(Epoch(len(history), history[-1], rate, speed))
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


def diverged(history: list[float], saved: int, checkpoint: Checkpoint | None) -> str:
    """What to say of a loss that is no longer a number; `saved` epochs of it are in the checkpoint."""
    said = f"the training loss is {history[-1]} in epoch {len(history)}; lower learning_rate"
    if checkpoint is not None and saved:
        said += f" (epoch {saved} is kept in {checkpoint.files[0].parent})"
    return said
