"""The application of `leanet serve` inside the process of a test, and what is sent to it."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import requests
import uvicorn
from fastapi import FastAPI
from PIL import Image

from leanet import Detector
from leanet.service import application


@contextmanager
def inside(
    detector: Detector, port: int = 0, extend: Callable[[FastAPI], None] = lambda _: None, **options
) -> Iterator[str]:
    """The application in a thread, for tests that change its limits or stop it; its address."""
    listener = socket.create_server(("127.0.0.1", port))
    app = application.application(detector, **options)
    extend(app)
    server = uvicorn.Server(application.config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield "http://{}:{}".format(*listener.getsockname())
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()


def written(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def leaf(seed: int = 0, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def sent(address: str, content: bytes, **options) -> requests.Response:
    return requests.post(f"{address}/api/predict", data=content, timeout=60, **options)


def form(address: str, *files: tuple[str, bytes], pictures: str = "0") -> requests.Response:
    """The answer to files, of names and contents, sent together."""
    fields = [("image", file) for file in files]
    return requests.post(f"{address}/api/predict", files=fields, params={"pictures": pictures}, timeout=120)


def connected(address: str, head: str = "", body: bytes = b"", wait: float = 60) -> socket.socket:
    """A socket that these bytes have been sent by."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=wait)
    connection.sendall(head.replace("\n", "\r\n").encode() + body)
    return connection


def raw(address: str, head: str, body: bytes = b"", wait: float = 5) -> bytes:
    """What a server says to bytes on a socket; empty where it closes without a word."""
    with connected(address, head, body, wait) as connection:
        said = b""
        while piece := connection.recv(65536):
            said += piece
            if b"}" in said:
                break
        return said


def upload(size: int, *headers: str) -> str:
    """The head of a request with an image of so many bytes."""
    return "\n".join(
        ["POST /api/predict HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *headers, "", ""]
    )


def eventually(happened: Callable[[], bool]) -> None:
    """Wait for it; by the number of looks, since a single one may take a minute on a busy machine."""
    assert any(happened() or time.sleep(0.1) for _ in range(600))
