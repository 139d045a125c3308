"""Arrays of images that need not fit into memory."""

from pathlib import Path

import numpy as np


class ArrayFile:
    """The rows of a `.npy` file, read and written where they are asked for.

    A memory map would count every page it ever touched as the process's own; this holds nothing, and the
    operating system's file cache makes reading again as quick.

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
        rows = np.arange(len(self))[index]
        values = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        for row, value in zip(rows.flat, values.reshape(-1, *self.shape[1:]), strict=True):
            self._seek(row)
            if self._file.readinto(value) != self._row_bytes:
                raise ValueError(f"{self._file.name}: cut off at row {row}")
        return values

    def __setitem__(self, index: int | slice | np.ndarray, values: np.ndarray) -> None:
        rows = np.arange(len(self))[index]
        values = np.broadcast_to(np.asarray(values, self.dtype), (*rows.shape, *self.shape[1:]))
        values = np.ascontiguousarray(values).reshape(rows.size, *self.shape[1:])
        for row, value in zip(rows.flat, values, strict=True):
            self._seek(row)
            self._file.write(value)

    def _seek(self, row: int) -> None:
        self._file.seek(self._start + int(row) * self._row_bytes)
