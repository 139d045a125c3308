"""What a request brings: the bytes of one image, or a form with several files. All of it is bounded."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fastapi import HTTPException, Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

MIB = 2**20
MAX_BYTES = 64 * MIB  # of one image
MAX_REQUEST = 256 * MIB  # of a form
MAX_FILES = 256  # of a form
MAX_WAITING = 32  # requests, those that arrive included; more are told to come back
MAX_HELD = 1024 * MIB  # of all requests together; what goes beyond is told to come back
ARRIVAL = 30  # seconds that a request may take to arrive, head and body each


class Sent(NamedTuple):
    """What arrived: images as they are in their files, and their names; None for one image without a form."""

    images: list[bytes]
    names: list[str] | None


class Intake:
    """How many requests, and bytes of them, are here and not yet answered."""

    def __init__(self):
        self.requests = self.held = 0

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """A place for one request; gives what counts its bytes as they come.

        Raises:
            HTTPException: 503 where there is no place, also while it arrives.
        """
        busy = HTTPException(503, "too many images wait; try again in a moment", {"Retry-After": "2"})
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self.held + size > MAX_HELD:
                raise busy
            self.held += size
            taken += size

        if self.requests >= MAX_WAITING:
            raise busy
        self.requests += 1
        try:
            yield take
        finally:
            self.requests -= 1
            self.held -= taken


async def receive(request: Request, take: Callable[[int], None]) -> Sent:
    """The images of a request, if it arrives whole and in time and is not too large.

    take: is told how many bytes came.

    Raises:
        HTTPException: 400 without an image or with a damaged form, 408 too late, 413 too large.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    parts = Form(options.get(b"boundary", b"")) if kind == b"multipart/form-data" else Alone()
    if int(request.headers.get("content-length") or 0) > parts.most:
        raise parts.too_large
    came = 0
    try:
        async with asyncio.timeout(ARRIVAL):
            async for piece in request.stream():
                came += len(piece)
                if came > parts.most:
                    raise parts.too_large
                take(len(piece))
                parts.write(piece)
    except TimeoutError:
        raise HTTPException(408, f"the image took more than {ARRIVAL} seconds to arrive") from None
    return parts.sent()


def _image_too_large() -> HTTPException:
    return HTTPException(413, f"the image has more than {MAX_BYTES // MIB} MiB")


class Alone:
    """A body that is one image."""

    def __init__(self):
        self.most, self.too_large = MAX_BYTES, _image_too_large()
        self._content = bytearray()

    def write(self, piece: bytes) -> None:
        self._content += piece

    def sent(self) -> Sent:
        if not self._content:
            raise HTTPException(400, "the request has no image: send its bytes as the body, or files as a form")
        return Sent([bytes(self._content)], None)


class Form:
    """A body of multipart/form-data; each of its parts is an image, whatever the field is called."""

    def __init__(self, boundary: bytes):
        self.most = MAX_REQUEST
        self.too_large = HTTPException(413, f"the request has more than {MAX_REQUEST // MIB} MiB")
        self._images: list[bytes] = []
        self._names: list[str] = []
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_begin": self._begin_header,
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._end_all,
                },
            )
        except FormParserError as error:
            raise _damaged(error) from None

    def write(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _damaged(error) from None

    def sent(self) -> Sent:
        if not self._ended:
            raise _damaged("it has no end")
        if not self._images:
            raise HTTPException(400, "the form has no file")
        return Sent(self._images, self._names)

    def _begin(self) -> None:
        if len(self._images) >= MAX_FILES:
            raise HTTPException(413, f"the form has more than {MAX_FILES} files")
        self._content, self._name = bytearray(), f"image {len(self._images) + 1}"

    def _begin_header(self) -> None:
        self._field, self._value = bytearray(), bytearray()

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            if name := options.get(b"filename") or options.get(b"name"):
                self._name = name.decode(errors="replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        if len(self._content) > MAX_BYTES:
            raise _image_too_large()

    def _end(self) -> None:
        self._images.append(bytes(self._content))
        self._names.append(self._name)

    def _end_all(self) -> None:
        self._ended = True


def _damaged(why: object) -> HTTPException:
    return HTTPException(400, f"the form is damaged: {why}")
