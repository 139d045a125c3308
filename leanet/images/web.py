"""Asking a server that may refuse, fail for a while, or fall silent."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

# Some hosts refuse the library's own name; encodings would make lengths mean something else than bytes.
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; leanet)", "Accept-Encoding": "identity"}
TIMEOUTS = (15, 60)  # seconds to connect, and without any byte
PAUSES = (2, 8, 30, 60)  # seconds before each retry at the same address
UNREACHED = 2  # retries where nobody answers at all: most likely there is no network
LONGEST_WAIT = 300  # seconds, whatever Retry-After asks for
GAIN = 2**20  # bytes by which the part must grow for a failed try not to count

_LOST = (
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)
T = TypeVar("T")


class RefusedError(Exception):
    """Nothing to hope for at this address."""


class PassingError(Exception):
    """The same address may do better after `wait` seconds; it is worth so many `retries`."""

    def __init__(self, reason: str, wait: float = 0, retries: int | None = None):
        super().__init__(reason)
        self.wait, self.retries = wait, len(PAUSES) if retries is None else retries


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and is_weaker(urljoin(resp.url, target), resp.url):
            raise RefusedError("leads from https to http")
        return target


def is_weaker(address: str, than: str) -> bool:
    """Whether what comes from `address` could be changed on its way, and from the other not."""
    return urlsplit(than).scheme == "https" and urlsplit(address).scheme == "http"


@contextmanager
def ask(address: str, **headers: str) -> Iterator[requests.Response]:
    """The answer to a GET, 200 or one to the header Range, its body still to be read.

    Raises, while the body is read too:
        PassingError: the server is busy or failing, or the connection does not hold.
        RefusedError: any other answer, an HTML page among them.
    """
    try:
        with _answer(address, HEADERS | headers) as response:
            status = response.status_code
            if status in (408, 429) or status >= 500:
                raise PassingError(f"answered {status}", _asked_wait(response))
            if status not in ((200, 206, 416) if "Range" in headers else (200,)):
                raise RefusedError(f"answered {status}")
            if response.headers.get("Content-Type", "").lower().startswith("text/html"):
                raise RefusedError("answered with an HTML page")
            yield response
    except requests.ConnectionError as error:
        if isinstance(getattr(error.args[0], "reason", None), urllib3.exceptions.NewConnectionError):
            raise PassingError("cannot be reached", retries=UNREACHED) from None
        raise PassingError(f"no whole answer ({type(error).__name__})") from None
    except _LOST as error:
        raise PassingError(f"no whole answer ({type(error).__name__})") from None
    except requests.RequestException as error:
        raise RefusedError(f"no answer ({type(error).__name__})") from None


def _answer(address: str, headers: dict[str, str]) -> requests.Response:
    try:
        return _Session().get(address, headers=headers, stream=True, timeout=TIMEOUTS)
    except requests.RequestException:
        raise
    except ValueError as error:  # an address that it is redirected to
        raise RefusedError(f"no answer ({type(error).__name__})") from None


def _asked_wait(response: requests.Response) -> float:
    """Seconds that Retry-After asks for, at most LONGEST_WAIT; 0 where it does not."""
    said = response.headers.get("Retry-After", "")
    try:
        seconds = int(said) if said.isdecimal() else parsedate_to_datetime(said).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0
    return min(seconds, LONGEST_WAIT)


def patiently(address: str, attempt: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
    """`attempt`, and again with growing pauses after a PassingError.

    Failures after which `reached()`, in bytes, has grown well do not count.

    Raises:
        RefusedError: it failed too often.
    """
    failures, best = 0, reached()
    while True:
        try:
            return attempt()
        except PassingError as fault:
            if reached() >= best + GAIN:
                failures, best = 0, reached()
            if failures >= fault.retries:
                raise RefusedError(f"{fault}, after {failures} retries") from None
            pause = max(PAUSES[failures], fault.wait)
            failures += 1
            print(f"{urlsplit(address).hostname}: {fault}; trying again in {pause:.0f} s", file=sys.stderr)
            time.sleep(pause)
