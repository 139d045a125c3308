"""`leanet serve`: the detector as a page to drop images on, and as a JSON API.

One image a request, its bytes as the body. What comes in is bounded: bytes, pixels (leanet.images.decoding), the
time that it takes to arrive, and how many requests there are while one is judged.
"""

import asyncio
import base64
import io
import secrets
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from PIL import Image
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from leanet.core.errors import InputError
from leanet.detector import overlay
from leanet.detector.detector import Detector
from leanet.images.decoding import FORMATS, picture

HERE = Path(__file__).parent
MAX_BYTES = 64 * 2**20  # of one image
MAX_WAITING = 32  # images, those that arrive included; more are told to come back
ARRIVAL = 30  # seconds that a request may take to arrive, head and body each
NEIGHBOURS = 3  # of each class
BEARER = HTTPBearer(auto_error=False)
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


class Neighbour(BaseModel):
    """A training image that looks like the one judged."""

    path: str = Field(description="in the data set")
    likeness: float = Field(description="cosine of both images' features, at most 1")
    picture: str = Field(description="PNG as a data URL")


class Answer(BaseModel):
    """What the detector finds in one image."""

    score: float = Field(description="probability that it is anomalous, 0 to 1")
    anomalous: bool = Field(description="whether the score is above the threshold")
    threshold: float
    map_p99: float = Field(description="99th percentile of the anomaly map, ΔE₀₀")
    picture: str = Field(description="the image, upright, PNG as a data URL")
    layers: dict[str, str] = Field(description="heat over the image by name, map or attention: PNG as data URLs")
    normal: list[Neighbour] = Field(description="the nearest normal training images")
    anomalous_like: list[Neighbour] = Field(description="the nearest anomalous training images")


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="one sentence")


REFUSALS = {
    400: "no image in the request",
    401: "the token is missing or wrong",
    408: "the image took too long to arrive",
    413: "the image is too large",
    415: "no image that can be read",
    503: "too many images wait: come back after the seconds in Retry-After",
}


class About(BaseModel):
    """What the detector is."""

    dataset: str
    row: str
    side: int = Field(description="pixels of the side that images are resized to")
    threshold: float
    criterion: str
    recall: str
    false_alarms: str
    doubts: list[str]
    git_commit: str


def application(detector: Detector, token: str | None = None, hosts: list[str] | None = None) -> FastAPI:
    """The page at /, the API below /api, its description at /openapi.json.

    token: what requests to the API must bear; None asks for none. hosts: names that the server answers to, so that
    no other site's page can reach it by a name of its own; None: all.
    """
    turn, waiting = asyncio.Lock(), 0

    def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        if token and not (given and secrets.compare_digest(given.credentials.encode(), token.encode())):
            raise HTTPException(401, "this server wants its token: Authorization: Bearer …")

    app = FastAPI(title="LEA-Net detector", docs_url=None, redoc_url=None)  # those pages load from the network
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)

    @app.middleware("http")
    async def closed(request: Request, call_next):
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        html = (HERE / "serve.html").read_text(encoding="utf-8")
        return html.replace("/* style */", (HERE.parent / "report/page.css").read_text(encoding="utf-8"))

    @app.get("/api/detector", dependencies=[Depends(allowed)])
    def about() -> About:
        """What detector this is, and how often it errs."""
        at = detector.threshold
        return About(
            dataset=detector.facts["dataset"],
            row=detector.facts["row"],
            side=detector.side,
            threshold=at.value,
            criterion=at.criterion,
            recall=str(at.recall),
            false_alarms=str(at.false_alarms),
            doubts=detector.doubts,
            git_commit=detector.facts["provenance"]["git_commit"],
        )

    @app.post(
        "/api/predict",
        dependencies=[Depends(allowed)],
        responses={status: {"description": said, "model": Refusal} for status, said in REFUSALS.items()},
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": f"the bytes of one image ({', '.join(FORMATS)}), at most {MAX_BYTES // 2**20} MiB",
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def predict(request: Request) -> Answer:
        """Judge one image."""
        nonlocal waiting
        if waiting >= MAX_WAITING:
            raise HTTPException(503, "too many images wait; try again in a moment", {"Retry-After": "2"})
        waiting += 1
        try:
            content = await _body(request)
            async with turn:
                return await asyncio.to_thread(answer, detector, content)
        except InputError as error:
            raise HTTPException(415, str(error)) from None
        finally:
            waiting -= 1

    return app


async def _body(request: Request) -> bytes:
    """The body, if it arrives whole and in time and is not too large."""
    content = bytearray()
    too_large = HTTPException(413, f"the image has more than {MAX_BYTES // 2**20} MiB")
    if int(request.headers.get("content-length") or 0) > MAX_BYTES:
        raise too_large
    try:
        async with asyncio.timeout(ARRIVAL):
            async for piece in request.stream():
                content += piece
                if len(content) > MAX_BYTES:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the image took more than {ARRIVAL} seconds to arrive") from None
    if not content:
        raise HTTPException(400, "the request has no image: send its bytes as the body")
    return bytes(content)


def answer(detector: Detector, content: bytes) -> Answer:
    """What the detector finds in the image of these bytes.

    Raises:
        InputError: it is none.
    """
    judged = detector.predict([content])
    image = picture(content, overlay.LONGEST)
    attention = None if judged.attention is None else judged.attention[0]
    normal, anomalous = detector.nearest(judged.features[0], NEIGHBOURS)
    return Answer(
        score=float(judged.scores[0]),
        anomalous=bool(judged.labels[0]),
        threshold=detector.threshold.value,
        map_p99=float(judged.statistics[0, -1]),
        picture=_url(image),
        layers={name: _url(heat) for name, heat in overlay.heats(image.size, judged.maps[0], attention).items()},
        normal=[_neighbour(*each) for each in normal],
        anomalous_like=[_neighbour(*each) for each in anomalous],
    )


def _neighbour(path: str, likeness: float, image: np.ndarray) -> Neighbour:
    return Neighbour(path=path, likeness=likeness, picture=_url(Image.fromarray(image)))


def _url(image: Image.Image) -> str:
    written = io.BytesIO()
    image.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


class Prompt(H11Protocol):
    """Closes a connection whose request's head does not arrive: uvicorn itself would wait for ever."""

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head.cancel()  # it is here
        elif self._head.cancelled():
            self._await_head()  # the first bytes of the next

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(ARRIVAL, self.transport.close)


def listen(host: str, port: int) -> socket.socket:
    """A socket that connections to `host` and `port` wait at; port 0: any that is free.

    Raises:
        InputError: the port is taken or forbidden, or the host is not this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{reason}; --host and --port name another place") from None


def serve(detector: Detector, listener: socket.socket, host: str, token: str | None) -> None:
    """Answer those who wait at `listener` until interrupted; where others can reach it, only who has the token."""
    local = host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
    if not local and token is None:
        token = secrets.token_urlsafe()
    app = application(detector, token, [*LOOPBACK, host] if local else None)
    named = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    print(f"LEA-Net on http://{named}:{listener.getsockname()[1]}/{f'#{token}' if token else ''}", flush=True)
    config = uvicorn.Config(app, http=Prompt, log_level="warning", timeout_keep_alive=15)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
