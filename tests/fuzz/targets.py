"""What reads bytes from outside: functions that may raise nothing but InputError, and inputs to begin with."""

import bz2
import gzip
import hashlib
import io
import json
import logging
import lzma
import os
import re
import socket
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from fuzz import made
from packing import make_rar, make_rar5, make_tar, make_zip
from PIL import Image
from serving import inside
from torchvision import models  # noqa: F401 (else the first unknown row of a params.yaml would load it)

from leanet.cli import params
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.detector import Detector
from leanet.detector.folder import KNOWN
from leanet.images import archives, decoding, layout, sources
from leanet.images.reading import is_image
from leanet.review import adopt
from leanet.review.estimate import points
from leanet.review.log import Log, Said
from leanet.service import limits

SIDE = 16
WAITS = 0.3  # seconds that the server waits here for what does not come
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
MOST_PIXELS = 200_000  # of an image here: what a few bytes ask for is seen by its time and memory
RGB = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8) // 64 * 64


@dataclass(frozen=True)
class Target:
    """read: may raise InputError alone. seeds: whole inputs to change. words: what such inputs are made of."""

    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    text: bool = False  # words take one another's place
    mend: Callable[[bytes], bytes] = bytes  # sums that every change would make wrong


def review(content: bytes) -> None:
    """The log of a review, and what it would do to a data set."""
    with TemporaryDirectory() as folder:
        root, log = Path(folder, "parts"), Log(Path(folder, "new/labels.jsonl"))
        (root / "Negative").mkdir(parents=True)
        log.file.parent.mkdir()
        (root / "Negative/a.png").write_bytes(_images()[0])
        (log.file.parent / "b.png").write_bytes(_images()[0])
        log.file.write_bytes(content)
        points(log.read(), [])
        adopt.plan(log, log.file.parent, root).text.encode()


def _words() -> list[bytes]:
    digest = hashlib.sha256(_images()[0]).hexdigest()
    said = [
        Said("2026-11-01T10:00:00Z", who, "b.png", digest, label, "random", "abc", 0.25, 0.5, place)
        for who, label, place in (
            ("anna", "normal", None),
            ("bo", "anomalous", [[(0, 0), (1, 0), (1, 1)]]),
            ("bo", None, None),
        )
    ]
    return [b"".join(json.dumps(asdict(each)).encode() + b"\n" for each in said)]


def image(content: bytes) -> None:
    """An image file in a data set or a batch."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "image")
        file.write_bytes(content)
        assert decoding.decode(file, SIDE, most_pixels=MOST_PIXELS).shape == (SIDE, SIDE, 3)
        # What was decoded once is not asked again whether it can be.
        assert decoding.decode_mask(file, SIDE).shape == (SIDE, SIDE)
        assert max(decoding.picture(file, SIDE).size) <= SIDE
        decoding.size(file)
        decoding.taken(file)


def archive(content: bytes) -> None:
    """A download."""
    with TemporaryDirectory() as folder:
        file, to = Path(folder, "archive"), Path(folder, "to")
        file.write_bytes(content)
        to.mkdir()
        try:
            archives.unpack(file, to, lambda name: name if is_image(name) else None)
        finally:
            assert sorted(os.listdir(folder)) == ["archive", "to"]
            written = [file for file in to.rglob("*") if not file.is_dir()]
            assert not any(file.is_symlink() for file in written)
            assert sum(file.stat().st_size for file in written) <= archives._most_unpacked(len(content))


def table(content: bytes) -> None:
    """images.csv of a folder of the user's own."""
    with TemporaryDirectory() as folder:
        source, to = Path(folder, "source"), Path(folder, "to")
        (source / "deep").mkdir(parents=True)
        to.mkdir()
        for name in ("a.png", "b.png", "deep/c.png", "=1.png"):
            (source / name).touch()
        (source / "images.csv").write_bytes(content)
        sources.fetch(source, to)
        there, here = (Counter(item.label for item in layout.read_own(root)) for root in (source, to))
        assert here == there


def settings(content: bytes) -> None:
    """params.yaml."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "params.yaml")
        file.write_bytes(content)
        params.load(file)


def facts(content: bytes) -> None:
    """What a detector says of itself."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        made.detector(folder)
        (folder / paths.FACTS).write_bytes(content)
        _used(folder)


def known(content: bytes) -> None:
    """What a detector's folder holds of the images it was made from."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        said = made.detector(folder)
        (folder / KNOWN).write_bytes(content)
        said["files"][KNOWN] = hashlib.sha256(content).hexdigest()
        (folder / paths.FACTS).write_text(json.dumps(said))
        _used(folder)


def _used(folder: Path) -> None:
    if line := made.use(folder):
        raise InputError(line)


def request(content: bytes) -> None:
    """What comes in over a connection to `leanet serve`; InputError where it is refused."""
    address, errors, _ = _served()
    with patch.object(limits, "ARRIVAL", WAITS):
        statuses = _statuses(_answer(address, content, 2 * WAITS))
    assert not errors, errors
    assert all(status < 500 for status in statuses), statuses
    assert _statuses(_answer(address, HEALTH, 30)) == {200}
    if 200 not in statuses:
        raise InputError(f"answered with {statuses}")


def _answer(address: tuple[str, int], content: bytes, seconds: float) -> bytes:
    """All that comes back until the server closes the connection, or sends nothing for so many seconds."""
    answer = b""
    with socket.create_connection(address, timeout=seconds) as connection, suppress(ConnectionError, TimeoutError):
        connection.sendall(content)
        while piece := connection.recv(2**16):
            answer += piece
    return answer


def _statuses(answer: bytes) -> set[int]:
    return {int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.1 (\d{3}) ", answer)}


@cache
def _served() -> tuple[tuple[str, int], list[str], AbstractContextManager]:
    """The address of a server in this process, what it logs of errors of its own, and what would stop it."""
    with TemporaryDirectory() as folder:
        made.detector(Path(folder))
        detector = Detector.load(folder, "cpu")
    server = inside(detector, hosts=["127.0.0.1"])
    address = server.__enter__()
    errors: list[str] = []
    kept = logging.Handler(logging.ERROR)
    kept.emit = lambda record: errors.append(kept.format(record))
    logging.getLogger("uvicorn.error").addHandler(kept)
    host, _, port = address.removeprefix("http://").partition(":")
    return (host, int(port)), errors, server


def _saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


@cache
def _images() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110], exif[0x0132] = 6, "camera", "2026:01:01 00:00:00"
    frames = {"save_all": True, "append_images": [Image.new("RGB", (SIDE, SIDE), "red")]}
    return [
        _saved("PNG", exif=exif),
        _saved("PNG", "P", transparency=3),
        _saved("PNG", "I;16"),
        _saved("PNG", "LA"),
        _saved("JPEG", exif=exif),
        _saved("JPEG", "CMYK", progressive=True),
        _saved("BMP"),
        _saved("BMP", "P"),
        *(_saved("TIFF", compression=how) for how in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
        _saved("TIFF", "1", compression="group4"),
        _saved("TIFF", "I;16", exif=exif),
        _saved("WEBP", exif=exif),
        _saved("WEBP", "RGBA", lossless=True),
        _saved("WEBP", **frames),
        _saved("GIF", **frames),
    ]


@cache
def _archives() -> list[bytes]:
    members = [
        ("set/", b""),
        ("set/a.png", RGB.tobytes()),
        ("set/deep/b.jpg", bytes(999)),
        ("notes.txt", b"hello"),
    ]
    plain = make_tar(members)
    packed = [gzip.compress(plain, mtime=0), bz2.compress(plain), lzma.compress(plain, preset=0)]
    return [make_zip(members), plain, *packed, make_rar(members), make_rar5(members)]


def _tables() -> list[bytes]:
    return [
        b"path,label\na.png,1\nb.png,0\n",
        "\ufeffpath;label;group\r\ndeep/c.png;anomalous;Blätter\r\n=1.png;good;\r\n".encode(),
        b'path,label,mask,box\n"a.png",1,b.png,1 2 3 4\n./deep//c.png,0,,\n',
    ]


def _settings() -> list[bytes]:
    root = Path(__file__).parent.parent.parent
    return [(root / paths.PARAMS).read_bytes()]


@cache
def _made() -> dict[str, bytes]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        made.detector(folder)
        return {file.name: file.read_bytes() for file in folder.iterdir()}


@cache
def _requests() -> list[bytes]:
    head = "HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    image = _saved("PNG")
    part = (
        '--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    form = part.encode() + image + b"\r\n" + part.encode() + _saved("JPEG") + b"\r\n--x--\r\n"
    posted = f"POST /api/predict?pictures=small {head}Content-Length: "
    alone = f"{posted}{len(image)}\r\nContent-Type: image/png\r\n\r\n".encode() + image
    many = f"{posted}{len(form)}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + form
    pieces = f"POST /api/predict {head}Transfer-Encoding: chunked\r\n\r\n{len(image):x}\r\n".encode() + image
    gets = [f"GET {path} {head}\r\n".encode() for path in ("/", "/health", "/api/detector", "/openapi.json")]
    return [alone, many, pieces + b"\r\n0\r\n\r\n", *gets]


def _length(content: bytes) -> bytes:
    """A request with the length of its body."""
    head, blank, body = content.partition(b"\r\n\r\n")
    return re.sub(rb"(?<=Content-Length: )\d+", str(len(body)).encode(), head) + blank + body


def _sums(content: bytes) -> bytes:
    """A PNG with the sums of its chunks."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    mended, at = content[:8], 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        mended += content[at:end] + zlib.crc32(content[at + 4 : end]).to_bytes(4)
        at = end + 4
    return mended + content[at:]


SETTINGS = (
    *b"null true .nan .inf -1 0 1.5 1e999 0x9 [] {} && *a &a <<: !!python/name:os - ? : | > # ~ 'x'".split(b" "),
    *(b"9" * 99, b"leaf", b"resnet18", b"[[[[]]]]"),
)
FACTS = (
    *b'null true NaN -1 0 1 1.5 1e999 [] {} "" "x" "\\ud800" "../x" "light" "ensemble"'.split(b" "),
    *(b'{"x":1}', b"[[1]]", b"[null]", b"9" * 99),
)
TARGETS = {
    "image": Target(image, _images, (b"IDAT", b"tRNS", b"iCCP", b"acTL", b"\xff\xd9", b"ANMF", b"II*\0"), _sums),
    "archive": Target(
        archive, _archives, (b"../", b"/", b"\\", b"C:", b"PK\1\2", b"PK\5\6", b"ustar", b"Rar!\x1a\7")
    ),
    "table": Target(
        table,
        _tables,
        (*b'path label object , ; \n \r " ../ / = a.png \xff \0 \x1b[2J'.split(b" "), b"a" * 300, b"-1 0 9 9"),
    ),
    "settings": Target(settings, _settings, SETTINGS, text=True),
    "facts": Target(facts, lambda: [_made()[paths.FACTS]], FACTS, text=True),
    "review": Target(
        review,
        _words,
        (
            *b'null "normal" "anomalous" "other" "../a" "/a" 1e999 -1 NaN [] {} \\ud800 \n'.split(b" "),
            b"[[[0,0],[1,0],[1,1]]]",
        ),
        text=True,
    ),
    "known": Target(known, lambda: [_made()[KNOWN]], (*b"F16 F32 F64 I64 U8 BF16 [] 0 -1 9".split(b" "),)),
    "request": Target(
        request,
        _requests,
        (
            *b"/ ? % %00 .. * HEAD PUT OPTIONS chunked -1 ;boundary= filename*=UTF-8''% \r\n \0 \xff".split(b" "),
            *(b"\r\nOrigin: http://x\r\n", b"\r\nExpect: 100-continue\r\n", b"\r\nContent-Length: 9\r\n"),
            *(b"\r\nTransfer-Encoding: chunked\r\n", b"\r\nUpgrade: websocket\r\n", b"a" * 70_000),
        ),
        _length,
    ),
}
