"""Arrays of images that need not fit into memory."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

MOST_AT_ONCE = 2**30  # bytes of one call: some systems refuse 2 GiB


class ArrayFile:
    """The rows of a `.npy` file, read and written where they are asked for.

    A memory map would count every page it ever touched as the process's own; this holds nothing, and the
    operating system's file cache makes reading again as quick. Threads may read and write side by side.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is no `.npy` file in C order.
    """

    def __init__(self, file: Path, mode: str = "rb"):
        self._place = file.absolute()
        self._file = file.open(mode, buffering=0)
        np.lib.format.read_magic(self._file)
        self.shape, columns_first, self.dtype = np.lib.format.read_array_header_1_0(self._file)
        if columns_first or self.dtype.hasobject:
            raise ValueError(f"{file}: expected plain numbers in C order")
        self._start = self._file.tell()
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))

    @classmethod
    def create(cls, file: Path, dtype: type, shape: tuple[int, ...]) -> "ArrayFile":
        """A new file of zeros."""
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        with file.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            stream.truncate(stream.tell() + np.dtype(dtype).itemsize * int(np.prod(shape)))
        return cls(file, "r+b")

    def __reduce__(self) -> tuple:
        """To another process of this machine goes the name."""
        return ArrayFile, (self._place,)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """One row, or those of a slice or an array of indices, as an array of their own."""
        shape, rows = self._rows(index)
        values = np.empty((*shape, *self.shape[1:]), self.dtype)
        for row, part in self._pieces(rows, values):
            done = self._through(os.preadv, row, part)
            if done < part.size:
                raise ValueError(f"{self._file.name}: cut off at row {row + done // self._row_bytes}")
        return values

    def __setitem__(self, index: int | slice | np.ndarray, values: np.ndarray) -> None:
        shape, rows = self._rows(index)
        values = np.broadcast_to(np.asarray(values, self.dtype), (*shape, *self.shape[1:]))
        for row, part in self._pieces(rows, np.ascontiguousarray(values)):
            self._through(os.pwritev, row, part)

    def _rows(self, index: int | slice | np.ndarray) -> tuple[tuple[int, ...], range | np.ndarray]:
        """The shape in which `index` asks for rows, and their numbers."""
        if isinstance(index, slice):
            rows = range(len(self))[index]
            return (len(rows),), rows
        if np.ndim(index) == 0:
            row = range(len(self))[index]
            return (), range(row, row + 1)
        rows = np.asarray(index)
        if rows.dtype == bool:
            rows = np.arange(len(self))[rows]
        beyond = (rows < -len(self)) | (rows >= len(self))
        if beyond.any():
            raise IndexError(f"row {rows[beyond][0]} of {len(self)}")
        return rows.shape, np.where(rows < 0, rows + len(self), rows).ravel()

    def _pieces(self, rows: range | np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """What lies together in the file: the first row, and where its bytes are in `values`."""
        raw = values.reshape(-1).view(np.uint8)
        if isinstance(rows, range) and rows.step == 1:
            yield rows.start, raw
            return
        for row, part in zip(rows, raw.reshape(len(rows), self._row_bytes), strict=True):
            yield int(row), part

    def _through(self, move: Callable[[int, list, int], int], row: int, part: np.ndarray) -> int:
        """How many bytes `move` read or wrote, from the start of `row` on: all, or those up to the file's end.

        Each call names its place in the file: threads share no position. It may stop short, as at 2 GiB on Linux.
        """
        done, start = 0, self._start + row * self._row_bytes
        while done < part.size:
            moved = move(self._file.fileno(), [part[done : done + MOST_AT_ONCE]], start + done)
            if not moved:
                break
            done += moved
        return done
