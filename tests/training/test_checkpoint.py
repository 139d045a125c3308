"""Trainings that are cut off and go on as if they had not been."""

import numpy as np
import pytest
import torch
from torch import nn

from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Place
from leanet.training.loop import fit


class CutError(Exception):
    pass


def train(folder, recipe="fast", cut=None, draws=torch.Generator, keep=True):
    """A small training with every kind of state, cut off after `cut` epochs; its losses, and its end."""
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(6 * 9, 1)
    ).to(memory_format=torch.channels_last)
    data = torch.randn(21, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    draws = draws().manual_seed(3) if draws is torch.Generator else np.random.default_rng(3)
    seen = []

    def noise(count):
        if isinstance(draws, torch.Generator):
            return torch.randn(count, 1, 1, 1, generator=draws)
        return torch.from_numpy(draws.normal(size=(count, 1, 1, 1))).float()

    def given(batch, _done):
        return (data[batch] + noise(len(batch)),)

    def batch_loss(noisy):
        return (network(noisy) ** 2).mean()

    def on_epoch(loss):
        seen.append(loss)
        if cut is not None and len(seen) > cut:
            raise CutError

    checkpoint = Checkpoint(folder / "cell") if keep else None
    settings = {"recipe": recipe, "epochs": 5, "batch_size": 4, "learning_rate": 0.01, "dtype": torch.float32}
    try:
        history = fit(
            network,
            given,
            batch_loss,
            21,
            order_seed=4,
            place=Place(torch.device("cpu"), checkpoint, on_epoch),
            draws=draws,
            **settings,
        )
    except CutError:
        checkpoint.wait()
        return seen, None
    if checkpoint:
        checkpoint.wait()
    return seen, (history, network.state_dict())


@pytest.mark.parametrize("draws", [torch.Generator, np.random.Generator])
@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_a_training_cut_off_anywhere_ends_with_the_same_weights(tmp_path, recipe, draws):
    _, (history, weights) = train(tmp_path, recipe, draws=draws, keep=False)
    epochs = 0
    for cut in (0, 1, None):
        seen, end = train(tmp_path, recipe, cut, draws)
        epochs += len(seen)
    assert epochs == 5  # none of them again
    assert end[0] == history
    assert all(torch.equal(end[1][name], weights[name]) for name in weights)


def test_what_was_trained_to_its_end_is_not_trained_on(tmp_path):
    _, end = train(tmp_path)
    seen, again = train(tmp_path)
    assert seen == []
    assert again[0] == end[0]
    assert all(torch.equal(again[1][name], end[1][name]) for name in end[1])


def test_patience_counts_the_epochs_before_the_cut(tmp_path):
    network, losses = nn.Linear(1, 1), [5.0, 4.0, 4.5, 4.1, 4.2, 3.0]

    def fit_from(losses):
        given, checkpoint = iter(losses), Checkpoint(tmp_path / "cell")
        settings = {"recipe": "paper", "epochs": 6, "batch_size": 4, "learning_rate": 0.1, "dtype": torch.float32}

        def nothing(_batch, _done):
            return ()

        def batch_loss():
            return network.weight.sum() * 0 + next(given)

        place = Place(torch.device("cpu"), checkpoint, on_epoch=lambda loss: None)
        try:
            return fit(network, nothing, batch_loss, 4, order_seed=0, place=place, patience=3, **settings)
        finally:
            checkpoint.wait()

    with pytest.raises(StopIteration):
        fit_from(losses[:4])
    assert fit_from(losses[4:]) == pytest.approx(losses[:5])
    assert fit_from([]) == pytest.approx(losses[:5])


def test_a_damaged_file_is_left_out_for_the_other(tmp_path, capsys):
    train(tmp_path, cut=3)
    states = {file: file.read_bytes() for file in tmp_path.glob("*.safetensors")}
    assert len(states) == 2
    for file, whole in states.items():
        for at in np.linspace(0, len(whole) - 1, 40).astype(int):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            file.write_bytes(damaged)
            _, facts = Checkpoint(tmp_path / "cell").load()
            assert len(facts["history"]) in (3, 4)
            assert f"{file} is damaged" in capsys.readouterr().err
        file.write_bytes(whole)
    for file in states:
        file.write_bytes(b"x")
    assert Checkpoint(tmp_path / "cell").load() is None


def test_an_end_leaves_nothing(tmp_path):
    train(tmp_path, cut=1)
    Checkpoint(tmp_path / "cell").drop()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_is_said_by_the_next_epoch(tmp_path):
    folder = tmp_path / "kept"
    folder.write_text("no folder")
    with pytest.raises(OSError, match="kept"):
        train(folder)
