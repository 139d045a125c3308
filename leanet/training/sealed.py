"""Files of arrays that know whether they are whole: safetensors with a checksum and a few facts inside."""

import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from leanet.core import files

FACTS, CHECKSUM = "facts", "crc32"  # arrays of bytes beside the caller's own
PAGE = 2**16  # bytes: facts are filled up to a multiple, so that a few more of them fit into the same file


def write(file: Path, arrays: dict[str, np.ndarray], facts: dict) -> None:
    """Write `arrays` by name and `facts` that JSON can say; `file` is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_file(file) as part:
        part.write_bytes(save(_sealed(arrays, facts)))


def overwrite(file: Path, arrays: dict[str, np.ndarray], facts: dict, sync: bool) -> None:
    """The same into the file that is there, which is half old and half new if this is cut off, and known to be.

    A seventh of the time of `write`: the operating system looks for no new memory. What is written outlives
    the process; it outlives a loss of power from the next `sync` on.
    """
    sealed = _sealed(arrays, facts)
    places = _places(file)
    if {name: size for name, (_, size) in places.items()} != {name: x.nbytes for name, x in sealed.items()}:
        write(file, arrays, facts)
        return
    with file.open("r+b", buffering=0) as stream:
        for name, (start, _) in places.items():
            stream.seek(start)
            stream.write(_bytes(sealed[name]))
        if sync:
            os.fsync(stream.fileno())


def read(file: Path) -> tuple[dict[str, np.ndarray], dict] | None:
    """What was written; None, and a warning, if it is damaged; None if there is no such file."""
    try:
        arrays = load(file.read_bytes())
        if arrays.pop(CHECKSUM)[0] == _checksum(arrays):
            facts = files.from_json(bytes(arrays.pop(FACTS)).rstrip(b"\0"))
            if isinstance(facts, dict):
                return arrays, facts
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, ValueError, IndexError, TypeError):
        pass  # damaged where its parts are listed
    print(f"warning: {file} is damaged or was being written; it is left out", file=sys.stderr)
    return None


def _sealed(arrays: dict[str, np.ndarray], facts: dict) -> dict[str, np.ndarray]:
    said = json.dumps(facts).encode()
    page = np.zeros(-(-len(said) // PAGE) * PAGE, np.uint8)
    page[: len(said)] = np.frombuffer(said, np.uint8)
    sealed = {name: np.asarray(array, order="C") for name, array in arrays.items()} | {FACTS: page}
    return sealed | {CHECKSUM: np.array([_checksum(sealed)], np.uint32)}


def _checksum(arrays: dict[str, np.ndarray]) -> int:
    """Over names, types, shapes and contents, whatever their order."""
    total = 0
    for name in sorted(arrays):
        array = arrays[name]
        total = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), total)
        total = zlib.crc32(_bytes(array), total)
    return total


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)


def _places(file: Path) -> dict[str, tuple[int, int]]:
    """Where in a safetensors file each array begins, and its bytes; empty where there is no such file."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
    except (FileNotFoundError, struct.error, ValueError, OverflowError, MemoryError):
        return {}
    header.pop("__metadata__", None)
    starts = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: (8 + length + start, end - start) for name, (start, end) in starts.items()}
