"""`python -m benchmarks.soak DETECTOR`: an hour of good and hostile clients of one `leanet serve`, on loopback.

Good ones send images and forms, and count what they get and how long it takes. Hostile ones send what keeps a
server busy, stall, give up or do not read.
"""

import argparse
import io
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import requests
from PIL import Image

DEADLINE = 10  # seconds that a good client waits at most for its answer
PAUSE = 1.0  # seconds of a client between two requests, on average
HEAD = "POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"


class Tally:
    """What all clients saw; seconds are those of good requests."""

    def __init__(self):
        self.seconds: list[float] = []
        self.seen = Counter()
        self._lock = threading.Lock()

    def add(self, what: str, seconds: float | None = None) -> None:
        with self._lock:
            self.seen[what] += 1
            if seconds is not None:
                self.seconds.append(seconds)


def picture(side: int, seed: int, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def good(address: str, tally: Tally, chance: random.Random, images: list[bytes]) -> None:
    """One image or a form; told to come back, it does, and all of it counts as one wait."""
    begun, url = time.monotonic(), f"{address}/api/predict"
    pictures = {"pictures": chance.choice(("0", "0", "small", "1"))}
    several = [("image", chance.choice(images)) for _ in range(chance.choice((0, 0, 0, 5)))]
    while True:
        try:
            send = {"files": several} if several else {"data": chance.choice(images)}
            answer = requests.post(url, params=pictures, timeout=60, **send)
        except requests.RequestException as error:
            return tally.add(f"good: {type(error).__name__}")
        if answer.status_code != 503:
            break
        tally.add("good: told to come back")
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    seconds = time.monotonic() - begun
    tally.add(f"good: {answer.status_code}{' late' * (seconds > DEADLINE)}", seconds)


def connected(address: str, content: bytes) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=40)
    connection.sendall(content)
    return connection


def stalls(address: str, chance: random.Random) -> None:
    """Sends most of 20 MB, and waits until it is cut off."""
    with connected(address, HEAD.format(20_000_000).encode() + bytes(15_000_000)) as connection:
        while connection.recv(65536):
            pass


def gives_up(address: str, chance: random.Random) -> None:
    """Closes its connection in the middle of 40 MB."""
    connected(address, HEAD.format(40_000_000).encode() + bytes(30_000_000)).close()


def does_not_read(address: str, chance: random.Random) -> None:
    """Asks for pictures, and reads none of them."""
    content = picture(1000, 1)
    head = HEAD.replace("predict", "predict?pictures=1").format(len(content))
    with connected(address, head.encode() + content):
        time.sleep(20)


def sends_noise(address: str, chance: random.Random) -> None:
    """Sends bytes that are no request, or no image."""
    content = chance.randbytes(chance.choice((10, 1000, 100_000)))
    head = chance.choice((b"", HEAD.format(len(content)).encode(), b"GET / HTTP/1.1\r\nHost: "))
    with connected(address, head + content) as connection:
        connection.recv(65536)


def keeps_busy(address: str, chance: random.Random) -> None:
    """Sends images that are long to decode, or that are damaged."""
    whole = picture(300, 2, progressive=True)
    at = whole.rindex(b"\xff\xda")
    many = whole[:at] + whole[at:-2] * 400 + whole[-2:]
    large = picture(16, 3, "PNG")
    large = large[:16] + (8000).to_bytes(4) * 2 + large[24:]
    content = chance.choice((many, large, whole[: len(whole) // 2], picture(4000, 4)))
    with suppress(requests.RequestException):
        requests.post(f"{address}/api/predict", data=content, timeout=60)


HOSTILE: tuple[Callable[[str, random.Random], None], ...] = (
    stalls,
    gives_up,
    does_not_read,
    sends_noise,
    keeps_busy,
)


def client(number: int, address: str, tally: Tally, images: list[bytes], ends: float, hostile: int) -> None:
    chance = random.Random(number)
    while time.monotonic() < ends:
        if number < hostile:
            doing = HOSTILE[number % len(HOSTILE)]
            tally.add(f"hostile: {doing.__name__}")
            with suppress(OSError):
                doing(address, chance)
        else:
            good(address, tally, chance, images)
        time.sleep(chance.expovariate(1 / PAUSE))


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("detector", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--hostile", type=int, default=10, help="how many of them")
    parser.add_argument("--port", type=int, default=8099)
    arguments = parser.parse_args()
    address = f"http://127.0.0.1:{arguments.port}"
    command = [sys.executable, *f"-m leanet serve --port {arguments.port} --device cpu --detector".split()]
    server = subprocess.Popen([*command, arguments.detector], stdout=subprocess.DEVNULL)
    try:
        while True:
            with suppress(requests.ConnectionError):
                if requests.get(f"{address}/health", timeout=5).ok:
                    break
            time.sleep(0.2)
        tally, images = Tally(), [picture(256, seed, quality=80) for seed in range(20)]
        begun = time.monotonic()
        ends = begun + 60 * arguments.minutes
        rest = (address, tally, images, ends, arguments.hostile)
        clients = [threading.Thread(target=client, args=(at, *rest)) for at in range(arguments.clients)]
        for each in clients:
            each.start()
        while time.monotonic() < ends:
            time.sleep(min(60, max(0.0, ends - time.monotonic())))
            minute, held = (time.monotonic() - begun) / 60, len(os.listdir(f"/proc/{server.pid}/fd"))
            waits = np.quantile(tally.seconds, (0.5, 0.99, 1))
            said = ", ".join(f"{wait:.2f}" for wait in waits)
            print(
                f"minute {minute:.0f}: {len(tally.seconds)} good answers; median, 99 %, longest: {said} s; server "
                f"{resident(server.pid):.0f} MiB, {held} files open",
                flush=True,
            )
        for each in clients:
            each.join()
        for what, count in sorted(tally.seen.items()):
            print(f"{what}: {count}")
        begun = time.monotonic()
    finally:
        server.terminate()
        server.wait()
    print(f"ended {time.monotonic() - begun:.1f} s after the signal")


if __name__ == "__main__":
    main()
