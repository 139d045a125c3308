"""What `leanet serve` takes on at most. How an image is decoded has limits of its own (leanet.images.decoding)."""

from leanet.core.errors import InputError

MIB = 2**20

MAX_BYTES = 64 * MIB  # of one image
MAX_PIXELS = 65_000_000  # of one image: as many as cameras have, and no more, since others wait for it
MAX_REQUEST = 256 * MIB  # of a form
MAX_FILES = 256  # of a form
MAX_WAITING = 32  # requests, from their arrival until their answers are read; more are told to come back
MAX_HELD = 1024 * MIB  # of all requests together until they are judged; what goes beyond is told to come back
KEPT = MIB  # of an answer in memory; a longer one waits on disk
MAX_CONNECTIONS = 128  # with those that are just being refused, far fewer than the files a process may open
BACKLOG = 32  # connections that are accepted at a time
ARRIVAL = 30  # seconds that a request may take to arrive, head and body each
READING = 30  # seconds that each PIECE of an answer may take to be read; who reads nothing is cut off
PIECE = 2**16  # bytes
ENDING = 4  # seconds after a signal that what is under way has to end

NAMES = {
    name.lower().replace("_", "-"): name for name in globals() if name.isupper() and name not in ("MIB", "PIECE")
}


def change(text: str) -> None:
    """Set a limit of this process, before it serves; text: its name and a number, such as max-pixels=20000000.

    Raises:
        InputError: there is no such limit, or it is no whole number of at least 1.
    """
    name, _, number = text.partition("=")
    if name not in NAMES:
        raise InputError(f"--limit {text}: expected NAME=NUMBER, where NAME is one of {', '.join(NAMES)}")
    if not (number.isascii() and number.isdecimal() and 0 < int(number[:20]) < 10**12):
        raise InputError(f"--limit {text}: expected a whole number from 1 to 999,999,999,999")
    globals()[NAMES[name]] = int(number)
