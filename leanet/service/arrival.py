"""What a request brings: the bytes of one image, or a form with several files. All of it is bounded."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fastapi import HTTPException, Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from leanet.service import limits
from leanet.service.limits import MIB


class Sent(NamedTuple):
    """What arrived: images as they are in their files, and their names; None for one image without a form."""

    images: list[bytes]
    names: list[str] | None


class Intake:
    """How many requests are here and not yet answered, and how many bytes of them not yet judged."""

    def __init__(self):
        self.requests = self.held = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request.

        Raises:
            HTTPException: 503, there is none.
        """
        if self.requests >= limits.MAX_WAITING:
            raise _busy()
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Room for the bytes of one request; gives what counts them as they come.

        Raises:
            HTTPException: 503 where there is no more, while it arrives.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self.held + size > limits.MAX_HELD:
                raise _busy()
            self.held += size
            taken += size

        try:
            yield take
        finally:
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
        raise _too_large(parts.what, parts.most)
    came = 0
    try:
        async with asyncio.timeout(limits.ARRIVAL):
            async for piece in request.stream():
                came += len(piece)
                if came > parts.most:
                    raise _too_large(parts.what, parts.most)
                take(len(piece))
                parts.write(piece)
    except TimeoutError:
        raise HTTPException(408, f"the image took more than {limits.ARRIVAL} seconds to arrive") from None
    except ClientDisconnect:  # nobody hears this; left alone, it would be logged, and kept with all that came
        raise HTTPException(400, "the connection was closed before the image had arrived") from None
    return parts.sent()


class Alone:
    """A body that is one image."""

    def __init__(self):
        self.what, self.most = "image", limits.MAX_BYTES
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
        self.what, self.most = "request", limits.MAX_REQUEST
        self._parts = Parts()
        try:
            self._parser = MultipartParser(boundary, self._parts.callbacks())
        except FormParserError as error:
            raise _damaged(error) from None

    def write(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _damaged(error) from None

    def sent(self) -> Sent:
        if not self._parts.ended:
            raise _damaged("it has no end")
        if not self._parts.images:
            raise HTTPException(400, "the form has no file")
        return Sent(self._parts.images, self._parts.names)


class Parts:
    """What the parser found. Nothing here leads back to it: hundreds of MiB go when the request does."""

    def __init__(self):
        self.images: list[bytes] = []
        self.names: list[str] = []
        self.ended = False

    def callbacks(self) -> dict:
        return {
            "on_part_begin": self._begin,
            "on_header_begin": self._begin_header,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._end_all,
        }

    def _begin(self) -> None:
        if len(self.images) >= limits.MAX_FILES:
            raise HTTPException(413, f"the form has more than {limits.MAX_FILES} files")
        self._content, self._name = bytearray(), f"image {len(self.images) + 1}"

    def _begin_header(self) -> None:
        self._field, self._value = bytearray(), bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            if name := options.get(b"filename") or options.get(b"name"):
                self._name = name.decode(errors="replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        if len(self._content) > limits.MAX_BYTES:
            raise _too_large("image", limits.MAX_BYTES)

    def _end(self) -> None:
        self.images.append(bytes(self._content))
        self.names.append(self._name)

    def _end_all(self) -> None:
        self.ended = True


# An exception that were kept would keep, by its traceback, all that the request holds.
def _busy() -> HTTPException:
    return HTTPException(503, "too many images wait; try again in a moment", {"Retry-After": "2"})


def _too_large(what: str, most: int) -> HTTPException:
    return HTTPException(413, f"the {what} has more than {most // MIB} MiB")


def _damaged(why: object) -> HTTPException:
    return HTTPException(400, f"the form is damaged: {why}")
