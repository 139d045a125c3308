"""`leanet serve`: the detector as a page to drop images on, and as a JSON API.

A request has one image, its bytes as the body, or a form of many. All of it is bounded (leanet.service.limits).
"""

import asyncio
import io
import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import Receive, Scope, Send

from leanet.core.errors import InputError
from leanet.detector.aside import Aside
from leanet.detector.detector import Detector
from leanet.images.decoding import FORMATS
from leanet.service import answer, arrival, limits
from leanet.service.answer import Answer, Pictures, Results
from leanet.service.arrival import Intake, Sent
from leanet.service.connection import Connection, Server
from leanet.service.limits import MIB

HERE = Path(__file__).parent
STYLES = (HERE.parent / "report/page.css", HERE / "serve.css")
SCRIPTS = tuple(
    HERE / f"serve{part}.js" for part in ("", "_queue", "_table", "_view", "_downloads", "_camera")
)  # as one, in this order
JSON = "application/json"
BEARER = HTTPBearer(auto_error=False)
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="one sentence")


REFUSALS = {
    400: "no image in the request, or a damaged form",
    401: "the token is missing or wrong",
    403: "a page of another site asks",
    408: "the request took too long to arrive",
    413: "an image or the request is too large, or the form has too many files",
    415: "no image that can be read; within a form, this is said of the file alone",
    422: "pictures is none of 1, small and 0",
    503: "too many images wait: come back after the seconds in Retry-After",
}


def bodies() -> dict:
    """What a request may hold, as OpenAPI says it."""
    return {
        "required": True,
        "description": (
            f"one image ({', '.join(FORMATS)}) as it is, or files as a form. At most "
            f"{limits.MAX_BYTES // MIB} MiB an image, {limits.MAX_FILES} files and "
            f"{limits.MAX_REQUEST // MIB} MiB a form."
        ),
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
        },
    }


class Health(BaseModel):
    """That the server answers."""

    status: str = "ok"


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


def own(request: Request) -> None:
    """Refuse what a page of another origin asks, through the browser of somebody who may.

    Browsers say so in Sec-Fetch-Site, but to https and localhost alone; elsewhere they name the page's origin.
    """
    origin = request.headers.get("origin")
    if site := request.headers.get("sec-fetch-site"):
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
    if foreign:
        raise HTTPException(403, "a page of another site asks; a proxy in front of this server needs https")


def application(
    detector: Detector, token: str | None = None, hosts: list[str] | None = None, aside: Aside | None = None
) -> FastAPI:
    """The page at /, the API below /api, its description at /openapi.json.

    token: what requests to the API must bear; None asks for none. hosts: names that the server answers to, so that
    no other site's page can reach it by a name of its own; None: all. aside: where unlike images go.
    """
    turn, intake = asyncio.Lock(), Intake()

    def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        if token and not (given and secrets.compare_digest(given.credentials.encode(), token.encode())):
            raise HTTPException(401, "this server wants its token: Authorization: Bearer …")

    asked = [Depends(own), Depends(allowed)]
    app = FastAPI(title="LEA-Net detector", docs_url=None, redoc_url=None)  # those pages load from the network
    app.state.asked = asked  # for who extends it
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
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        return response

    @app.exception_handler(RequestValidationError)
    async def in_one_line(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)

    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers; asks for no token."""
        return Health()

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def front() -> str:
        return page(HERE / "serve.html", STYLES, SCRIPTS)

    @app.get("/api/detector", dependencies=asked)
    def about() -> About:
        """What detector this is, and how often it errs."""
        at = detector.threshold
        return About(
            dataset=detector.facts["dataset"],
            row=detector.facts["row"],
            side=detector.side,
            threshold=at.value,
            criterion=at.criterion,
            recall="unknown" if at.recall is None else str(at.recall),
            false_alarms=str(at.false_alarms),
            doubts=detector.doubts,
            git_commit=detector.facts["provenance"]["git_commit"],
        )

    @app.post(
        "/api/predict",
        dependencies=asked,
        response_model=Answer | Results,
        responses={status: {"description": said, "model": Refusal} for status, said in REFUSALS.items()},
        openapi_extra={"requestBody": bodies()},
    )
    async def predict(
        request: Request,
        pictures: Annotated[
            Pictures, Query(description="1: all; small: thumbnails of image and map; 0: none")
        ] = "1",
    ) -> Response:
        """Judge one image, or the files of a form."""
        with ExitStack() as held:
            held.enter_context(intake.place())
            with intake.room() as take:
                sent = await arrival.receive(request, take)
                async with turn:
                    file = held.enter_context(await asyncio.to_thread(_answered, detector, sent, pictures, aside))
            return Reading(file, held.pop_all())

    return app


def page(html: Path, styles: Iterable[Path], scripts: Iterable[Path]) -> str:
    """A page with all that it needs in it."""
    text = html.read_text(encoding="utf-8")
    for mark, files in (("/* style */", styles), ("/* script */", scripts)):
        text = text.replace(mark, "\n".join(file.read_text(encoding="utf-8") for file in files))
    return text


class Reading(StreamingResponse):
    """An answer that is sent as fast as it is read."""

    def __init__(self, file: IO[bytes], held: ExitStack):
        """held: what is let go once it is read, or nobody reads on."""
        super().__init__(iter(partial(file.read, limits.PIECE), b""), media_type=JSON)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


def _answered(detector: Detector, sent: Sent, pictures: Pictures, aside: Aside | None) -> IO[bytes]:
    """The answer for one image, or the results for a form of them.

    Raises:
        HTTPException: 415, the one image cannot be read.
    """
    if sent.names is not None:
        return answer.write(detector, sent.names, sent.images, pictures, aside)
    (found,) = answer.answers(detector, sent.images, pictures, aside)
    if isinstance(found, InputError):
        raise HTTPException(415, str(found).removeprefix("image 0: "))
    return io.BytesIO(found.model_dump_json(exclude_none=True).encode())


def listen(host: str, port: int) -> socket.socket:
    """A socket that connections to `host` and `port` wait at; port 0: any that is free.

    Raises:
        InputError: the port is taken or forbidden, or the host is not this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--host {host} --port {port}: {str(reason).removeprefix('bind(): ').rstrip('.')}"
        ) from None


def serve(
    detector: Detector,
    listener: socket.socket,
    host: str,
    token: str | None,
    extend: Callable[[FastAPI], None] | None = None,
    path: str = "/",
    aside: Aside | None = None,
) -> None:
    """Answer those who wait at `listener` until interrupted; where others can reach it, only who has the token.

    extend: adds to the application. path: of the page that is named. aside: where unlike images go.
    """
    local = host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
    if not (local or token):
        token = secrets.token_urlsafe()
    app = application(detector, token, [*LOOPBACK, host] if local else None, aside)
    if extend:
        extend(app)
    named = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    print(f"LEA-Net on http://{named}:{listener.getsockname()[1]}{path}{f'#{token}' if token else ''}", flush=True)
    with suppress(KeyboardInterrupt):
        Server(config(app)).run(sockets=[listener])


def config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=Connection, ws="none", log_level="error", timeout_keep_alive=15, backlog=limits.BACKLOG
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
