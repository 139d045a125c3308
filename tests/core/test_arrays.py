"""Arrays in files: rows as NumPy would give them, and no more memory than what is asked for."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from leanet.core.arrays import ArrayFile
from leanet.training.ondevice import OnDevice


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    "index", [3, -1, slice(2, 5), np.array([6, 0, 6]), np.array([], int), np.arange(7) % 2 == 0]
)
def test_rows_are_those_of_numpy(tmp_path, array, index):
    np.save(tmp_path / "a.npy", array)
    rows = ArrayFile(tmp_path / "a.npy")
    assert (rows.shape, rows.dtype, len(rows)) == (array.shape, array.dtype, 7)
    assert np.array_equal(rows[index], array[index])
    assert rows[index].shape == array[index].shape


def test_what_is_written_is_a_numpy_file(tmp_path, array):
    written = ArrayFile.create(tmp_path / "a.npy", np.float16, array.shape)
    written[np.array([5, 1])] = array[[5, 1]]
    written[2:4] = array[2:4]
    written[6] = array[6]
    expected = np.zeros(array.shape, np.float16)
    for i in (1, 2, 3, 5, 6):
        expected[i] = array[i]
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected)
    with pytest.raises(IndexError):
        written[7]


def test_a_file_that_is_cut_off_is_no_array(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(128 + 5 * 48 + 7)
    rows = ArrayFile(tmp_path / "a.npy")
    assert np.array_equal(rows[:5], array[:5])
    with pytest.raises(ValueError, match="cut off at row 5"):
        rows[5]
    np.save(tmp_path / "b.npy", np.asfortranarray(array))
    with pytest.raises(ValueError, match="C order"):
        ArrayFile(tmp_path / "b.npy")


@pytest.mark.parametrize("held", [False, True])
def test_chosen_rows_reach_the_device(tmp_path, array, held, monkeypatch):
    monkeypatch.setattr("leanet.training.ondevice.fits", lambda size, device: held)
    np.save(tmp_path / "a.npy", array)
    for source in (array, ArrayFile(tmp_path / "a.npy")):
        chosen = OnDevice(source, np.array([6, 2, 4]), torch.device("cpu"))
        assert (chosen._held is not None) == held
        assert (len(chosen), chosen.side) == (3, 4)
        assert np.array_equal(chosen[torch.tensor([2, 0])].numpy(), array[[4, 6]])


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_reading_a_file_through_holds_no_more_of_it_than_a_batch(tmp_path):
    code = """
import numpy as np, re, sys
from pathlib import Path
from leanet.core.arrays import ArrayFile
def resident():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
rows = ArrayFile.create(Path(sys.argv[1]), np.uint8, (4000, 128, 128, 3))
before = resident()
for start in range(0, len(rows), 100):
    rows[start : start + 100] = np.full((100, 128, 128, 3), start // 100, np.uint8)
total = sum(int(rows[start : start + 100].max()) for start in range(0, len(rows), 100))
print(total, resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.npy"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    total, grown = done.stdout.split()
    assert int(total) == sum(range(40))
    assert float(grown) < 40  # MiB, of the file's 188
