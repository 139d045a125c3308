"""Image files and ICC profiles put together byte by byte: no encoder shares a mistake with a decoder."""

import struct
import zlib

import numpy as np

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png(samples: np.ndarray, bits: int, kind: int, *, chunks: bytes = b"", interlaced: bool = False) -> bytes:
    """samples: (height, width, channels). kind: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    height, width = samples.shape[:2]
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    lines = b"".join(b"\0" + _packed(line, bits) for part in passes for line in part)
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    body = chunk(b"IHDR", head) + chunks + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _packed(line: np.ndarray, bits: int) -> bytes:
    if bits == 16:
        return line.astype(">u2").tobytes()
    every = np.unpackbits(line.reshape(-1, 1).astype(np.uint8), axis=1)
    return np.packbits(every[:, 8 - bits :]).tobytes()


def bmp(lines: bytes, width: int, height: int, bits: int, *, palette: bytes = b"", compression: int = 0) -> bytes:
    """lines: as stored, bottom line first unless `height` is negative. palette: BGR0, or masks of bits."""
    start = 54 + len(palette)
    colors = len(palette) // 4 if bits <= 8 else 0
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(lines), 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", start + len(lines), 0, 0, start) + head + palette + lines


def tiff(data: bytes, tags: dict[int, int], order: str = "<") -> bytes:
    """One strip, `data`; `tags`: of one 32-bit value each."""
    tags = {**tags, 273: 8, 279: len(data)}
    data += b"\0" * (len(data) % 2)
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(data))
    return head + data + struct.pack(order + "H", len(tags)) + entries + b"\0" * 4


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 from `space` (four letters) to `connection` (XYZ or Lab)."""
    places, body, start = b"", b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        places += name + struct.pack(">II", start + len(body), len(tag))
        body += tag + b"\0" * (-len(tag) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, kind, space, connection)
    head += struct.pack(">6H4s28s", 2026, 1, 1, 0, 0, 0, b"acsp", b"") + _fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + places + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def table(corners: np.ndarray) -> bytes:
    """A profile's table of the Lab of ink: uint8 (2, 2, 2, 2, 3), by C, M, Y and K without and with."""
    straight = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return head + straight * 4 + corners.tobytes() + straight * 3


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
