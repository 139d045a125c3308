"""Arrays in files: rows as NumPy would give them, and no more memory than what is asked for."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch

from leanet.core import arrays
from leanet.core.arrays import ArrayFile
from leanet.core.parallel import in_order
from leanet.training.ondevice import OnDevice


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    "index",
    [
        3,
        -1,
        -7,
        np.int64(2),
        slice(2, 5),
        slice(None, None, -2),
        slice(5, 2),
        slice(-3, 99),
        np.array([6, 0, 6]),
        np.array([-1, 3, -7]),
        np.array([[1, 2], [-2, 0]]),
        np.array([], int),
        np.arange(7) % 2 == 0,
    ],
)
def test_rows_are_those_of_numpy(tmp_path, array, index):
    np.save(tmp_path / "a.npy", array)
    rows = ArrayFile(tmp_path / "a.npy")
    assert (rows.shape, rows.dtype, len(rows)) == (array.shape, array.dtype, 7)
    assert np.array_equal(rows[index], array[index])
    assert rows[index].shape == array[index].shape


@pytest.mark.parametrize("index", [7, -8, np.array([0, 7]), np.array([-8]), np.ones(6, bool), np.zeros(8, bool)])
def test_rows_that_are_not_there_are_refused_as_by_numpy(tmp_path, array, index):
    np.save(tmp_path / "a.npy", array)
    rows = ArrayFile(tmp_path / "a.npy", "r+b")
    for target in (array, rows):
        with pytest.raises(IndexError):
            target[index]
        with pytest.raises(IndexError):
            target[index] = 0
    assert np.array_equal(rows[:], array)


def test_rows_are_those_of_numpy_where_the_system_stops_short(tmp_path, array, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_AT_ONCE", 7)
    rows = ArrayFile.create(tmp_path / "a.npy", np.uint8, array.shape)
    rows[:5] = array[:5]
    rows[np.array([6, 5])] = array[[6, 5]]
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)
    assert np.array_equal(rows[1:], array[1:])


def test_threads_read_and_write_side_by_side(tmp_path):
    count, side = 64, 40
    rows = ArrayFile.create(tmp_path / "a.npy", np.uint16, (2 * count, side, side))
    rows[:count] = np.arange(count)[:, None, None]

    def copy(i: int) -> bool:
        """Whether rows i and those beside it hold their number, while others are written behind them."""
        rows[count + i] = rows[i] + count
        near = rows[max(i - 2, 0) : i + 1]
        return (near == np.arange(max(i - 2, 0), i + 1)[:, None, None]).all()

    for _ in range(5):
        assert all(in_order(copy, ((i,) for i in range(count)), threads=8))
        assert (rows[:] == np.arange(2 * count)[:, None, None]).all()


def test_one_row_costs_no_list_of_all(tmp_path):
    rows = ArrayFile.create(tmp_path / "a.npy", np.uint8, (4_000_000, 2))
    tracemalloc.start()
    try:
        assert rows[-1].sum() == rows[1_000_000:1_000_100].sum() == rows[np.array([5, -5])].sum() == 0
        rows[3_999_999] = 1
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


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
    for index in (5, slice(3, None), np.array([1, 5])):
        with pytest.raises(ValueError, match="cut off at row 5"):
            rows[index]
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
