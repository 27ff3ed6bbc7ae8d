"""The application: routes, checks before them, and what is counted and logged after them."""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from hqmd_cli.inference.open import OpenModel
from hqmd_cli.serving import openapi, page
from hqmd_cli.serving.line import STOPPING, Gone, Line
from hqmd_cli.serving.metrics import MEDIA_TYPE, Metrics
from hqmd_cli.serving.problems import Problem, answer
from hqmd_cli.serving.security import HEADERS, PROBES, require_allowed
from hqmd_cli.serving.settings import ServerSettings
from hqmd_cli.serving.uploads import Hold, Room, receive
from hqmd_cli.serving.wishes import wish_of
from hqmd_cli.serving.worker import Worker

DEPTH = "/v1/depth"
SENT = 2**20  # bytes at a time
OPENING = "the process that computes is being started; ask again in some seconds"
Log = Callable[[str], None]


class Service:
    """What the endpoints share. `log` gets one line for each answered request, without anything that clients sent."""

    def __init__(
        self, models: Mapping[str, OpenModel], worker: Worker, settings: ServerSettings, log: Log | None = None
    ) -> None:
        self.models, self.worker, self.settings, self.log = models, worker, settings, log
        self.files = page.files()
        self.line, self.room = Line(settings.waiting), Room(settings)
        endpoints: dict[str, tuple[str, Callable[[Request], Coroutine[Any, Any, Response]]]] = {
            DEPTH: ("POST", self.depth),
            "/v1/models": ("GET", self.list_models),
            "/openapi.json": ("GET", self.describe),
            "/metrics": ("GET", self.count),
            "/healthz": ("GET", self.live),
            "/readyz": ("GET", self.ready),
        }
        endpoints |= {path: ("GET", partial(page.send, file)) for path, file in self.files.items()}
        routes = [Route(path, endpoint, methods=[method]) for path, (method, endpoint) in endpoints.items()]
        self.metrics = Metrics(
            tuple(endpoints),
            {
                "hqmd_photos_waiting": ("Photos that wait.", lambda: self.line.waiting),
                "hqmd_photos_working": ("Photos in work.", lambda: self.line.working),
                "hqmd_upload_bytes": ("Bytes of photos that are held.", lambda: self.room.taken),
            },
        )
        handlers: dict[Any, Any] = {Problem: refuse, HTTPException: explain, Gone: leave, Exception: fail}
        self.routed = Starlette(routes=routes, exception_handlers=handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: ASGI."""
        if scope["type"] != "http":
            await self.routed(scope, receive, send)
            return
        path, status, began = scope["path"], 0, monotonic()

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "Cache-Control": "no-store"}.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if path not in PROBES:
                require_allowed(scope, self.settings, path in self.files)
        except Problem as problem:
            await answer(problem)(scope, receive, send_guarded)
        else:
            with suppress(Exception):  # which `fail` has printed and answered
                await self.routed(scope, receive, send_guarded)
        self.metrics.note(path, status)
        if self.log and path not in PROBES:
            known = self.metrics.route_of(path)
            self.log(f"{known} {status} {monotonic() - began:.3f} s")

    async def depth(self, request: Request) -> Response:
        """POST /v1/depth."""
        wish = wish_of(request.query_params, ",".join(request.headers.getlist("accept")), self.models)
        self.line.require_room()  # before the photo is received
        with Hold(self.room) as hold:
            upload = await receive(request, hold)
            began = monotonic()
            done = await self.line.do(partial(self.worker, (upload, wish)), lambda: until_gone(request))
        self.metrics.note_depth(monotonic() - began)
        return StreamingResponse(taken_from(done.pieces), 200, done.headers, media_type=done.media_type)

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models."""
        rows = [
            {
                "name": name,
                "kind": model.kind,
                "engine": model.engine,
                "knows_uncertainty": model.surely is not None,
                "follows_camera": model.follows_camera,
            }
            for name, model in self.models.items()
        ]
        return JSONResponse({"models": rows})

    async def describe(self, request: Request) -> Response:
        """GET /openapi.json."""
        return JSONResponse(openapi.document(self.models))

    async def count(self, request: Request) -> Response:
        """GET /metrics."""
        return Response(self.metrics.text(), media_type=MEDIA_TYPE)

    async def live(self, request: Request) -> Response:
        """GET /healthz."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """GET /readyz."""
        if self.line.is_closed:
            raise Problem(503, STOPPING)
        if not self.worker.is_ready:
            raise Problem(503, OPENING)
        return PlainTextResponse("ok\n")


async def taken_from(pieces: list[bytes]) -> AsyncIterator[memoryview]:
    """Yield the pieces and empty the list: to free a large answer in one step would keep the others waiting."""
    pieces.reverse()
    while pieces:
        piece = memoryview(pieces.pop())
        for start in range(0, len(piece), SENT):
            yield piece[start : start + SENT]
            await asyncio.sleep(0)  # a client that reads quickly would keep the others waiting


async def until_gone(request: Request) -> None:
    """Wait until the client closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def refuse(request: Request, problem: Problem) -> Response:
    """Answer with a problem."""
    return answer(problem)


async def explain(request: Request, error: HTTPException) -> Response:
    """Answer for what the router refuses."""
    reasons = {404: "there is no such page; GET /openapi.json lists what is there", 405: "not with this method"}
    return answer(Problem(error.status_code, reasons.get(error.status_code, error.detail), error.headers))


async def leave(request: Request, error: Gone) -> Response:
    """Answer a client that is gone; nobody gets it, but it is counted."""
    return Response(status_code=499)


async def fail(request: Request, error: Exception) -> Response:
    """Answer for a bug, and print its traceback."""
    traceback.print_exception(error, file=sys.stderr)
    return answer(Problem(500, "a fault of hqmd, which has printed it where it runs; please report it"))
