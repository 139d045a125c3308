"""Images and maps where the networks are."""

import numpy as np
import torch
from torch import Tensor

from leanet.core.arrays import ArrayFile


def fits(size: int, device: torch.device) -> bool:
    """Whether `size` bytes shall live on `device`: on a GPU, if half of its free memory holds them.

    Never on the CPU: the file cache holds them there already.
    """
    return device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 2


class OnDevice:
    """Some rows of an array as tensors on a device: held there if they fit, else read when asked for."""

    def __init__(self, array: ArrayFile | np.ndarray, indices: np.ndarray, device: torch.device):
        self._array, self._indices, self.device = array, indices, device
        one = torch.from_numpy(array[indices[:1]])
        self._held: Tensor | None = None
        if fits(one.nbytes * len(indices), device):
            self._held = torch.empty((len(indices), *one.shape[1:]), dtype=one.dtype, device=device)
            for start in range(0, len(indices), 256):  # a copy of all of it on the way would double the memory
                rows = array[indices[start : start + 256]]
                self._held[start : start + len(rows)] = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def side(self) -> int:
        """Pixels along a row's side."""
        return self._array.shape[1]

    def __getitem__(self, places: Tensor) -> Tensor:
        """The rows at `places` (B,) among the chosen ones."""
        if self._held is not None:
            return self._held[places]
        return torch.from_numpy(self._array[self._indices[places.cpu().numpy()]]).to(self.device)
