"""What `leanet serve` takes on at most. How an image is decoded has limits of its own (leanet.images.decoding)."""

MIB = 2**20

MAX_BYTES = 64 * MIB  # of one image
MAX_REQUEST = 256 * MIB  # of a form
MAX_FILES = 256  # of a form
MAX_WAITING = 32  # requests, those that arrive included; more are told to come back
MAX_HELD = 1024 * MIB  # of all requests together; what goes beyond is told to come back
KEPT = 16 * MIB  # of an answer in memory; a longer one waits on disk
ARRIVAL = 30  # seconds that a request may take to arrive, head and body each
