"""Connections of `leanet serve`: so many at once, none for ever, and an end to all of them."""

import asyncio
import signal
import socket
import sys

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from leanet.service import limits

FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connection(H11Protocol):
    """Closed where a request's head does not arrive, or nobody reads: uvicorn itself would wait for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # writing is paused for as long as anything waits to be read
        self._unread = None
        self._await_head()
        if len(self.connections) > limits.MAX_CONNECTIONS:
            transport.write(FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head.cancel()  # it is here
        elif self._head.cancelled():
            self._await_head()  # the first bytes of the next

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(limits.READING, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.cancel()
        if self._unread:
            self._unread.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(limits.ARRIVAL, self.transport.close)


class Server(uvicorn.Server):
    """Ends soon after a signal, whatever is still being judged, sent or read."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(limits.ENDING, _end)
        await super().shutdown(sockets)


def _end() -> None:
    """End this process as a signal would, without a wait for its threads."""
    print("leanet: ended; not all requests were answered", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
