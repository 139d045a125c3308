"""All that the rest of a training depends on, as tensors and facts that a checkpoint can hold."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class State:
    """What training changes; `draws` is what the loss of a batch draws from, on the CPU."""

    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    shuffler: torch.Generator
    draws: torch.Generator | np.random.Generator | None

    def read(self, history: list[float]) -> tuple[dict[str, Tensor], dict]:
        """Tensors by name and facts, for a Checkpoint."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for place, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": tensor for name, tensor in moments.items()}
        tensors |= {"random.order": self.shuffler.get_state(), "random.torch": torch.get_rng_state()}
        facts = {"history": history, "schedule": self.schedule.state_dict()}
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        if isinstance(self.draws, torch.Generator):
            tensors["random.draws"] = self.draws.get_state()
        elif self.draws is not None:
            facts["draws"] = self.draws.bit_generator.state
        return tensors, facts

    def restore(self, tensors: dict[str, Tensor], facts: dict) -> list[float]:
        """Put everything back; the loss of the epochs so far."""
        self.network.load_state_dict(_below("network", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below("optimizer", tensors).items():
            place, _, kind = name.partition(".")
            moments.setdefault(int(place), {})[kind] = tensor
        self.schedule.load_state_dict(facts["schedule"])
        groups = self.optimizer.state_dict()["param_groups"]
        for group, rate in zip(groups, self.schedule.get_last_lr(), strict=True):
            group["lr"] = rate
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.shuffler.set_state(tensors["random.order"])
        torch.set_rng_state(tensors["random.torch"])
        if torch.cuda.is_available() and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        if isinstance(self.draws, torch.Generator):
            self.draws.set_state(tensors["random.draws"])
        elif self.draws is not None:
            self.draws.bit_generator.state = facts["draws"]
        return facts["history"]


def _below(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): x for name, x in tensors.items() if name.startswith(f"{part}.")}


def weights(network: nn.Module) -> dict[str, np.ndarray]:
    """The network's weights and statistics by name, on the CPU."""
    # In plain order: safetensors writes an array of numpy's as it lies in memory, whatever its strides.
    return {name: weight.cpu().contiguous().numpy() for name, weight in network.state_dict().items()}
