"""Scores of any number of images as one Parquet data set: a folder of parts, each there whole or not at all."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from leanet.core.errors import InputError
from leanet.detector.stores import explained

STATISTICS = ["lightness", "chroma", "map_mean", "map_p99"]  # leanet.detector.drift.STATISTICS
SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        ("score", pa.float32()),
        ("anomalous", pa.bool_()),
        *((name, pa.float32()) for name in STATISTICS),
        ("error", pa.string()),  # why the image cannot be read; then all between is null
    ]
)
ABOUT = b"leanet"  # the key of a part's metadata
ROWS, SECONDS = 5_000, 30  # a part is written at so many rows, or so long after the last: what a stop can cost


class Seen(NamedTuple):
    """What a table holds: how many rows of each kind, and statistics (N, 4) of good ones, evenly drawn."""

    good: int
    anomalous: int
    unreadable: int
    statistics: np.ndarray


class Table:
    """The table at a folder's path or address. Add to it within `with`, which writes what is left at the end.

    Whatever reads or writes it raises InputError where its store does not let it.
    """

    def __init__(self, place: str, about: dict[str, str]):
        """about: what the scores rest on, by what it is called. Nothing is read or written yet."""
        self.place, self.about = place, about
        with explained(f"--out {place}"):
            # Without a cache, since this process adds to the folder.
            self.fs, self.root = fsspec.url_to_fs(place, use_listings_cache=False)
        self._rows: list[pa.Table] = []
        self._written = time.monotonic()

    def files(self) -> pa.ChunkedArray:
        """The images that have a row.

        Raises:
            InputError: a part is damaged, or rests on something else than this table.
        """
        found = [part["file"] for part in self._parts(["file"])]
        return pa.chunked_array([chunk for column in found for chunk in column.chunks], pa.string())

    def seen(self, most: int) -> Seen:
        """Count all rows, and take the statistics of about `most` good ones, if there are so many."""
        good, anomalous, unreadable = 0, 0, 0
        for part in self._parts(["anomalous"]):
            good += pc.count(part["anomalous"]).as_py()
            anomalous += pc.sum(part["anomalous"]).as_py() or 0
            unreadable += part["anomalous"].null_count
        taken, each = [np.empty((0, len(STATISTICS)), np.float32)], max(1, good // most)
        for part in self._parts(STATISTICS):
            taken.append(np.column_stack([column.drop_null() for column in part.columns])[::each])
        return Seen(good, anomalous, unreadable, np.concatenate(taken))

    def add(self, rows: pa.Table) -> None:
        """Take rows of SCHEMA; they are written with others, some time later."""
        self._rows.append(rows)
        if sum(map(len, self._rows)) >= ROWS or time.monotonic() - self._written >= SECONDS:
            self._write()

    def __enter__(self) -> "Table":
        if not self._names():
            self._rows = [SCHEMA.empty_table()]
            self._write()  # where nothing can be written, this shows before the work
        return self

    def __exit__(self, *_: object) -> None:
        if self._rows:
            self._write()

    def _names(self) -> list[str]:
        with explained(f"--out {self.place}"):
            return sorted(self.fs.glob(f"{self.root}/*.parquet"))

    def _parts(self, columns: list[str]) -> Iterator[pa.Table]:
        for name in self._names():
            with explained(f"--out {self.place}"), self.fs.open(name) as stream:
                part = self._part(name, stream, columns)
            yield part

    def _part(self, name: str, stream: BinaryIO, columns: list[str]) -> pa.Table:
        try:
            file = pq.ParquetFile(stream)
            about = json.loads(file.schema_arrow.metadata[ABOUT])
        except (pa.ArrowInvalid, KeyError, TypeError):
            raise InputError(f"--out {self.place}: {name} is no part of a table of scores, or damaged") from None
        for what, ours in self.about.items():
            if about[what] != ours:
                raise InputError(
                    f"--out {self.place}: the {what} of the scores there is {about[what]}, and would now be "
                    f"{ours}; name another place"
                )
        return file.read(columns)

    def _write(self) -> None:
        content = io.BytesIO()
        about = {ABOUT: json.dumps(self.about)}
        pq.write_table(pa.concat_tables(self._rows).replace_schema_metadata(about), content)
        name = f"{self.root}/part-{uuid4().hex}.parquet"
        with explained(f"--out {self.place}"):
            if isinstance(self.fs, LocalFileSystem):
                hidden = Path(self.root, ".part")  # whoever reads the folder passes over it
                hidden.parent.mkdir(parents=True, exist_ok=True)
                hidden.write_bytes(content.getvalue())
                hidden.rename(name)
            else:
                self.fs.pipe_file(name, content.getvalue())
        self._rows, self._written = [], time.monotonic()
