"""What `leanet serve` takes on at most. How an image is decoded has limits of its own (leanet.images.decoding)."""

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
