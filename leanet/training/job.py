"""A training as a plain function of arrays and settings: the same wherever it runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from leanet.core.arrays import ArrayFile
from leanet.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Outcome:
    """What a training came to: arrays by name, facts that JSON can say, and the network's weights by name."""

    arrays: dict[str, np.ndarray]
    facts: dict
    weights: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch:
    """What is said after each epoch.

    number: from 1; 0 for one that comes before the training proper. learning_rate: of its last step.
    """

    number: int
    loss: float
    learning_rate: float
    images_per_second: float


@dataclass(frozen=True)
class Place:
    """Where a training runs; its outcome does not depend on it, beyond rounding.

    checkpoint: to keep each epoch in and go on from; None keeps nothing. on_epoch: told of each epoch as it ends.
    """

    device: torch.device
    checkpoint: Checkpoint | None
    on_epoch: Callable[[Epoch], None]


@dataclass(frozen=True)
class Job:
    """`function(arrays, place, **settings)`, with nothing else that its outcome depends on.

    name: which of its kind it is, {"fold": 2, "point": 4}. arrays: by name; a file is read where it is asked for.
    settings: of JSON's types, or dataclasses of those. epochs: how many it takes at most. memory: bytes of the
    machine's that it takes at most, as estimated; 0 where nobody has. keep_weights: whether its weights are kept,
    too. shapes: of its outcome's arrays; None is any number of at least 1.
    """

    name: dict[str, object]
    function: Callable[..., Outcome]
    arrays: dict[str, ArrayFile | np.ndarray]
    settings: dict[str, object]
    epochs: int
    memory: int = 0
    keep_weights: bool = False
    shapes: dict[str, tuple[int | None, ...]] = field(default_factory=dict)

    def comes_to(self, outcome: Outcome) -> bool:
        """Whether it could be the outcome of this job, and not of another, or of somebody's hand."""
        facts = outcome.facts
        return (
            isinstance(facts.get("device"), str)
            and isinstance(facts.get("precision"), str)
            and type(facts.get("images_trained")) is int
            and facts["images_trained"] >= 0
            and all(_is_of(outcome.arrays.get(name), shape) for name, shape in self.shapes.items())
        )

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.name.items())


def _is_of(array: np.ndarray | None, shape: tuple[int | None, ...]) -> bool:
    """Whether it is an array of numbers of that shape."""
    if array is None or array.ndim != len(shape) or array.dtype.kind not in "fiu":
        return False
    fits = all(size == asked or (asked is None and size) for size, asked in zip(array.shape, shape, strict=True))
    return fits and bool(np.isfinite(array).all())


def history(jobs: Sequence[Job], outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """The loss of every epoch of every job: the columns of its name, then epoch (from 1) and loss."""
    return pd.concat(
        pd.DataFrame({**job.name, "epoch": range(1, len(losses) + 1), "loss": losses})
        for job, losses in zip(jobs, (outcome.arrays["losses"] for outcome in outcomes), strict=True)
    )
