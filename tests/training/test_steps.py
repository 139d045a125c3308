"""Recorded steps of training on a GPU, beside the same steps one by one."""

import copy
import math

import pytest
import torch
from torch import nn

from leanet.training import steps
from leanet.training.job import Place
from leanet.training.loop import fit

needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


def trained(network: nn.Module, device: str, sides=(8,)) -> tuple[list[float], nn.Module]:
    """The losses of a small training, whose last batch is smaller than the others; and what it trained."""
    network = copy.deepcopy(network).to(device, memory_format=torch.channels_last)
    images = torch.rand(23, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(device)

    def given(batch, done):
        side = sides[int(done * len(sides))]
        return images[batch, :, :side, :side], (batch % 2).float()

    def batch_loss(images, labels):
        return nn.functional.binary_cross_entropy_with_logits(network(images).mean(dim=(1, 2, 3)), labels)

    how = {"recipe": "fast", "epochs": 12, "batch_size": 8, "learning_rate": 0.01, "dtype": torch.float32}
    place = Place(torch.device(device), None, lambda loss: None)
    return fit(network, given, batch_loss, len(images), order_seed=0, place=place, **how), network


def small() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 3)
    return nn.Sequential(*layers)


@needs_a_gpu
@pytest.mark.parametrize("sides", [(8,), (4, 8)])
def test_recorded_steps_come_to_what_steps_one_by_one_come_to(sides, monkeypatch):
    losses, network = trained(small(), "cuda", sides)
    monkeypatch.setattr(steps, "AS_IT_IS", math.inf)
    expected, other = trained(small(), "cuda", sides)
    assert losses == pytest.approx(expected, rel=1e-4)
    for ours, theirs in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.allclose(ours.float(), theirs.float(), atol=1e-4)


@needs_a_gpu
def test_every_shape_is_recorded_once(monkeypatch):
    recorded = []
    record = steps._Recorded.__init__

    def watched(self, compute, weights, given):
        recorded.append(tuple(given[0].shape))
        record(self, compute, weights, given)

    monkeypatch.setattr(steps._Recorded, "__init__", watched)
    trained(small(), "cuda", sides=(4, 8))
    assert sorted(recorded) == [(7, 3, 4, 4), (7, 3, 8, 8), (8, 3, 4, 4), (8, 3, 8, 8)]


@needs_a_gpu
def test_a_recorded_step_draws_anew():
    """Dropout of a replayed step is not that of the step before."""
    dropout, device = nn.Dropout(), torch.device("cuda")
    weight = nn.Linear(1, 1).to(device)
    step = steps.Steps(weight, lambda x: (dropout(x) * weight.weight).mean(), device, torch.float32)
    with steps.own_stream(device):
        losses = [step(torch.ones(1000, device=device)).item() for _ in range(8)]
    assert len(set(losses)) == 8


@needs_a_gpu
def test_a_gpu_learns_what_the_cpu_learns():
    on_gpu, _ = trained(small(), "cuda")
    on_cpu, _ = trained(small(), "cpu")
    assert on_gpu == pytest.approx(on_cpu, rel=0.02)
