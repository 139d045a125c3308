"""A worker of `leanet predict --out`: holds a detector, fetches images and judges them. Ray starts it anywhere."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
import pyarrow as pa
import ray
from fsspec.implementations.local import LocalFileSystem

from leanet.core.addresses import without_password
from leanet.core.errors import InputError
from leanet.core.parallel import in_order
from leanet.detector.detector import Detector
from leanet.detector.table import SCHEMA
from leanet.detector.threshold import Threshold

FETCHES = 8  # at a time, while others are decoded and judged: an answer of a far server takes long


class Judge:
    """Rows of a table for the images that a block of addresses names."""

    def __init__(self, files: ray.ObjectRef, device: str, threshold: Threshold, prevalence: float | None):
        """files: name and bytes of those of the detector's folder.

        Raises:
            InputError: the device is not on this node.
        """
        os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # this worker's share; other workers have the other cores
        with TemporaryDirectory() as folder:
            for name, content in ray.get(files).items():
                Path(folder, name).write_bytes(content)
            self.detector = Detector.load(folder, device)
        self.detector.threshold = threshold
        self.prevalence = prevalence

    def __call__(self, block: pa.Table) -> pa.Table:
        """block: a column `file` of addresses. Returns SCHEMA, a row each.

        Raises:
            InputError: the images cannot be fetched, for a reason that is none of a single image.
        """
        addresses = block["file"].to_pylist()
        absent: dict[int, str] = {}
        rows: list[tuple] = []
        with closing(in_order(_fetch, ((address,) for address in addresses), FETCHES, FETCHES)) as fetched:
            for found, faults in self.detector.stream(_contents(fetched, absent), prevalence=self.prevalence):
                good = zip(found.scores, found.labels, *found.statistics.T, strict=True)
                for at, fault in enumerate(faults, len(rows)):
                    row = [None] * (len(SCHEMA) - 2) if fault else next(good)
                    reason = absent.get(at) or str(fault).removeprefix(f"image {at}: ") if fault else None
                    rows.append((without_password(addresses[at]), *row, reason and without_password(reason)))
        return pa.table(dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True)), SCHEMA)


def _contents(fetched: Iterator[bytes | str], absent: dict[int, str]) -> Iterator[bytes]:
    """What was fetched; of an image that was not, nothing, and in `absent` why."""
    for at, content in enumerate(fetched):
        if isinstance(content, str):
            absent[at] = content
            content = b""
        yield content


def _fetch(address: str) -> bytes | str:
    """An image's bytes, or why there are none.

    Raises:
        InputError: it is not for this image alone.
    """
    fs, path = fsspec.url_to_fs(address)
    if isinstance(fs, LocalFileSystem) and os.path.exists(path) and not os.path.isfile(path):
        return "it is no regular file"  # a pipe would be waited for
    try:
        try:
            return fs.cat_file(path)
        except PermissionError as error:
            fs.info(path.rpartition("/")[0])  # refused as well, if it is that the credentials have expired
            return f"no permission to read it ({error})"
    except FileNotFoundError:
        return "no such file"
    except Exception as error:
        raise InputError(f"{address} cannot be fetched ({type(error).__name__}: {error})") from None
