"""Weights from files that others may have written."""

import re

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from leanet.core.errors import InputError
from leanet.training import weights

GOOD = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}
OTHERS = {
    "empty": b"",
    "cut off": save(GOOD)[:-1],
    "no weights": b"hello, world" * 9,
    "another shape": save(GOOD | {"bias": np.zeros(3, np.float32)}),
    "another type": save(GOOD | {"bias": np.zeros(2)}),
    "one less": save({"weight": GOOD["weight"]}),
    "one more": save(GOOD | {"more": GOOD["bias"]}),
}


def test_weights_are_put_where_they_belong(tmp_path):
    (tmp_path / "good").write_bytes(save(GOOD))
    network = nn.Linear(3, 2)
    weights.put(network, weights.read(tmp_path / "good"))
    assert network(torch.ones(1, 3)).tolist() == [[3, 3]]


@pytest.mark.parametrize("other", OTHERS)
def test_others_are_one_line(tmp_path, other):
    (tmp_path / "weights").write_bytes(OTHERS[other])
    with pytest.raises(InputError, match=f"({re.escape(str(tmp_path))}/weights|another network)") as error:
        weights.put(nn.Linear(3, 2), weights.read(tmp_path / "weights"))
    assert str(error.value).isprintable()
