"""What every vendor's stand-in is built on."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.vendors.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


TRANSPORT = "sandbox.transport"


@dataclass(frozen=True)
class Seen:
    """A request that arrived: its method, its path below the vendor's, its query as sent."""

    method: str
    path: str
    query: str


class Vendor(ABC):
    """A stand-in: an ASGI application with routes, deterministic data, faults and a request log.

    Faults are asked for with `faults.add(...)`, or by POST to `/sandbox/faults` below its own path.

    Attributes:
        name: The path it has on the sandbox's one server, and what the command line calls it.
        size: How much data it has; each vendor says of what. All of it comes from a fixed seed.
        requests: Every request so far, those that met a fault too.
    """

    name: ClassVar[str]

    def __init__(self, size: int = 200) -> None:
        self.size = size
        self.faults = Faults()
        self.requests: list[Seen] = []
        self._app: ASGIApp | None = None

    @abstractmethod
    def routes(self) -> Sequence[BaseRoute]:
        """Its endpoints, by their paths at the vendor's."""

    def seen(self, path: str) -> list[Seen]:
        """The requests whose path contains a text."""
        return [request for request in self.requests if path in request.path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            methods = ["GET", "POST", "DELETE"]
            control = Route("/sandbox/faults", self._change_faults, methods=methods)
            self._app = Starlette(routes=[control, *self.routes()])
        root = scope.get("root_path", "")
        path = scope.get("path", "").removeprefix(root)
        # Addresses that it gives out begin at its own path, not at the server's root.
        scope = {name: value for name, value in scope.items() if name != "router"}
        scope["app_root_path"] = root
        if scope["type"] != "http" or path.startswith("/sandbox/"):
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        self.requests.append(Seen(scope["method"], path, query))
        fault = self.faults.take(f"{path}?{query}")
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        if fault.status is not None:
            answer = Response(fault.body, fault.status, fault.headers)
            await answer(scope, receive, send)
        elif fault.cut_after is not None:
            cut = _cutting(send, fault.cut_after, scope[TRANSPORT])
            await self._app(scope, receive, cut)
        else:
            await self._app(scope, receive, send)

    async def _change_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.faults.add(**await request.json())
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        if request.method == "DELETE":
            self.faults.clear()
        return JSONResponse(self.faults.listed())


def with_transport(app: ASGIApp) -> ASGIApp:
    """Put the connection into the scope, where a fault finds it to break it."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # uvicorn's own `send`, which knows the connection
            scope[TRANSPORT] = send.__self__.transport  # type: ignore[attr-defined]
        await app(scope, receive, send)

    return wrapped


def _cutting(send: Send, after: int, transport: asyncio.Transport) -> Send:
    """Wrap `send` so that the connection breaks after some bytes of the body."""
    left = after

    async def cut(message: Message) -> None:
        nonlocal left
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = message.get("body", b"")
        if left < 0:
            return
        if len(body) <= left and message.get("more_body"):
            left -= len(body)
            await send(message)
            return
        await send({"type": "http.response.body", "body": body[:left], "more_body": True})
        left = -1
        transport.close()  # unlike abort() it sends first what is written already

    return cut
