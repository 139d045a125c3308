"""Where trainings run; no result depends on it beyond rounding."""

from dataclasses import dataclass
from typing import Annotated, Literal

from leanet.core.settings import Count, Rule


@dataclass(frozen=True)
class Execution:
    """Section `execution`: all of it may be left out."""

    engine: Literal["local", "ray"] = "local"
    workers: Count | None = None  # local: trainings at a time, each in a process of its own; 1 trains in the
    # stage's. null: as many as cores and memory allow; where the device is a GPU, one for each GPU.
    cpus: Count = 1  # cores a training
    gpus: Annotated[float, Rule("a number of at least 0", lambda x: x >= 0)] = 1  # ray: GPUs a training
    address: str | None = None  # ray: of the cluster; null starts one on this machine
