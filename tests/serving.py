"""The application of `leanet serve` inside the process of a test, and images to send to it."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import uvicorn
from PIL import Image

from leanet import Detector
from leanet.service import application


@contextmanager
def inside(detector: Detector, port: int = 0, **options) -> Iterator[str]:
    """The application in a thread, for tests that change its limits or stop it; its address."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(application.config(application.application(detector, **options)))
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
