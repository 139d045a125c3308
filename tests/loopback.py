"""A server on loopback that answers as it is told to, faults included, and counts what it is asked for."""

import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 2**16


@dataclass(frozen=True)
class Answer:
    """What to answer to one GET or POST; as it stands, an honest 200, or 206 where a range is asked for."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = '"1"'
    ranges: bool = True
    cut: int | None = None  # close the connection after that many bytes of the body
    length: bool = True  # whether to announce it
    gate: threading.Event | None = None  # nothing is sent before it is set
    drip: float = 0  # seconds after each byte of the body


class Loopback:
    """Serves {path: body, or an answer, or answers to one request each, the last for all that follow}.

    Use as a context manager. `asked` has the headers of each request for a path, `served` the bytes of its bodies.
    """

    def __init__(self, pages: dict[str, bytes | Answer | list[Answer]]):
        self.pages = {
            path: [Answer(page)] if isinstance(page, bytes) else page if isinstance(page, list) else [page]
            for path, page in pages.items()
        }
        self.asked = {path: [] for path in pages}
        self.served = dict.fromkeys(pages, 0)
        self.closing = threading.Event()
        self.lock = threading.Lock()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                loopback.answer(self)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                loopback.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def __enter__(self) -> "Loopback":
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        with self.lock:
            answers = self.pages[path]
            answer = answers[min(len(self.asked[path]), len(answers) - 1)]
            self.asked[path].append(request.headers)
        if answer.gate:
            answer.gate.wait(20)
        with suppress(ConnectionError):  # the other side has heard enough
            self._send(request, answer, path)

    def _send(self, request: BaseHTTPRequestHandler, answer: Answer, path: str) -> None:
        body, status, headers = answer.body, answer.status, dict(answer.headers)
        if answer.etag and status == 200:
            headers["ETag"] = answer.etag
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        unchanged = request.headers.get("If-Range", answer.etag) in (answer.etag, headers.get("Last-Modified"))
        if answer.ranges and status == 200 and wanted and unchanged:
            start, whole = int(wanted[1]), len(body)
            body, status = body[start:], 206 if start < whole else 416
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}" if body else f"bytes */{whole}"
        request.send_response(status)
        if answer.length:
            headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        piece = 1 if answer.drip else PIECE
        body = body[: answer.cut]
        for at in range(0, len(body), piece):
            sent = body[at : at + piece]
            request.wfile.write(sent)
            with self.lock:
                self.served[path] += len(sent)
            if answer.drip and self.closing.wait(answer.drip):
                return
