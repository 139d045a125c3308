"""How much memory a training is said to take, and how much it takes."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from torch import nn

from leanet.attention.cells import Cell, jobs
from leanet.cli.params import load
from leanet.color.colorize import needed_memory
from leanet.color.settings import TrainUNet
from leanet.core.arrays import ArrayFile
from leanet.images import imageset
from leanet.training.memory import COPIES, PROCESS, needed

MIB = 2**20
UNET = {
    "epochs": 2,
    "patience": 2,
    "batch_size": 16,
    "learning_rate": 0.001,
    "betas": [0.9, 0.999],
    "dropout": 0.5,
}


def test_it_is_the_most_that_is_held_at_once_and_copies_of_the_weights():
    with torch.device("meta"):
        network = nn.Linear(512, 512, bias=False)
        weights = 512 * 512 * 4

        def one_after_another():
            for size in (3, 1, 2):
                torch.empty(size * MIB, dtype=torch.uint8)
            return torch.empty(0)

        def side_by_side():
            one, other = (torch.empty(size * MIB, dtype=torch.uint8) for size in (3, 1))
            view, _ = one[:MIB].view(torch.int8), torch.relu_(other)  # no memory of their own
            return view

        def linear():
            return network(torch.empty(64, 512)).square().sum()

        def forward():
            with torch.no_grad():
                return linear()

        least = PROCESS + (1 + COPIES) * weights
        assert needed(network) == least
        assert needed(network, one_after_another) == least + 3 * MIB
        assert needed(network, side_by_side) == least + 4 * MIB
        assert needed(network, one_after_another, side_by_side) == least + 7 * MIB
        assert needed(network, forward) == least + 2 * 64 * 512 * 4
        assert needed(network, linear) >= needed(network, forward) + weights  # its gradients


def test_every_cell_says_its_own(finished, monkeypatch):
    monkeypatch.chdir(finished.root)
    settings, data = load().train_leanet, imageset.load(finished.root / "data/split/leaf")
    maps = {0: ArrayFile(finished.root / "data/maps/leaf/fold0.npy")}
    how = {"recipe": "fast", "precision": "float32"}
    early, late = jobs("cnn-direct", [Cell(0, 1), Cell(0, 5)], data, maps, settings, **how)
    (alone,) = jobs("cnn", [Cell(0, 0)], data, maps, settings, **how)
    assert early.memory > late.memory > alone.memory > PROCESS


MEASURED = """
import re, sys
from pathlib import Path
import numpy as np
import torchvision.models  # as beside other trainings
from leanet.color.colorize import colouriser
from leanet.color.settings import TrainUNet
from leanet.core import device
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Place
images = np.random.default_rng(0).integers(0, 256, (48, 128, 128, 3), np.uint8)
arrays = {"images": images, "normals": np.arange(48), "eigenvalues": np.ones(3), "eigenvectors": np.eye(3)}
place = Place(device.prepare("cpu"), Checkpoint(Path(sys.argv[1])), lambda loss: None)
settings = TrainUNet(**eval(sys.argv[2]))
how = {"number": 0, "std": 0.1, "recipe": "fast", "precision": "float32", "train_unet": settings}
colouriser(arrays, place, **how)
place.checkpoint.wait()
peak, of_files = (int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
                  for name in ("VmHWM", "RssFile"))
print(1024 * (peak - of_files))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process took")
def test_it_is_about_what_a_training_takes(tmp_path):
    settings = UNET | {"width": 32, "out_of_sample": False, "seed": 1}
    command = [sys.executable, "-c", MEASURED, tmp_path / "state", repr(settings)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    assert needed_memory(TrainUNet(**settings), 128) == pytest.approx(int(done.stdout), rel=0.25)
