"""HTTP: fakesnow's routes, with logins, faults, a query log and streamed uploads around them."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fakesnow.server
from fakesnow.transforms import stage
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.warehouse import logins, repairs
from sandbox.warehouse.engine import Engine
from sandbox.warehouse.errors import INTERNAL, SESSION_GONE, SESSION_GONE_MESSAGE
from sandbox.warehouse.faults import Faults
from sandbox.warehouse.query_log import QueryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from sandbox.settings import Settings
    from sandbox.warehouse.session import Session

REAP_SECONDS = 0.25
SERVER_ERROR = 500


class CutConnection(Response):
    """No answer at all: the TCP connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        scope["sandbox.transport"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class Warehouse:
    """The routes and what they share."""

    def __init__(self, settings: Settings) -> None:
        folder = settings.warehouse_folder
        self.keys = folder / "keys"
        self.keys.mkdir(parents=True, exist_ok=True)
        repairs.install()
        self.engine = Engine(folder, settings.warehouse_memory)
        fakesnow.server.shared_fs = self.engine
        self.sessions: dict[str, Session] = fakesnow.server.sessions
        self.faults = Faults()
        self.log = QueryLog(folder / "queries.jsonl")
        self.idle_seconds = settings.idle_transaction_seconds

    def app(self) -> ASGIApp:
        routes = [
            Route("/session/v1/login-request", self.login, methods=["POST"]),
            Route("/session", self.session, methods=["POST"]),
            Route("/session/heartbeat", self.session, methods=["POST"]),
            Route("/queries/v1/query-request", self.query, methods=["POST"]),
            Route("/queries/v1/abort-request", self.abort, methods=["POST"]),
            Route("/telemetry/send", self.abort, methods=["POST"]),
            Route("/monitoring/queries/{sfqid}", fakesnow.server.monitoring_query),
            Route("/fs_bucket/{path:path}", self.upload, methods=["PUT"]),
            Route("/sandbox/health", self.health),
            Route("/sandbox/faults", self.change_faults, methods=["GET", "POST", "DELETE"]),
        ]
        app = Starlette(routes=routes, lifespan=self.lifespan)

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":  # uvicorn's own `send`, which knows the connection
                scope["sandbox.transport"] = send.__self__.transport  # type: ignore[attr-defined]
            await app(scope, receive, send)

        return with_transport

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        reaper = asyncio.create_task(self._reap())
        yield
        reaper.cancel()
        self.engine.close()

    async def login(self, request: Request) -> Response:
        data = (await _json(request))["data"]
        data.setdefault("SESSION_PARAMETERS", {}).pop("FAKESNOW_DB_PATH", None)
        if refused := logins.refusal(data, self.keys):
            return _failure(*refused, sqlstate="08001")
        response = await fakesnow.server.login_request(request)
        answer = json.loads(bytes(response.body))
        token = answer["data"]["token"]
        self.sessions[token].user = str(data["LOGIN_NAME"]).lower()
        # Without a master token the connector never says goodbye.
        answer["data"]["masterToken"] = token
        return JSONResponse(answer)

    async def session(self, request: Request) -> Response:
        token = _token(request)
        if token not in self.sessions:
            return _session_gone()
        if request.query_params.get("delete"):
            self.sessions.pop(token).end()
        return JSONResponse({"success": True, "code": None, "message": None, "data": None})

    async def query(self, request: Request) -> Response:
        token = _token(request)
        session = self.sessions.get(token)
        if session is None:
            return _session_gone()
        sql = str((await _json(request))["sqlText"])
        session.busy = True
        try:
            response = await self._answer(request, sql)
        finally:
            session.busy = False
            session.last_used = time.monotonic()
        if isinstance(response, CutConnection):
            self.sessions.pop(token).end()
        self.log.add(session, sql, _error_text(response))
        return response

    async def _answer(self, request: Request, sql: str) -> Response:
        fault = self.faults.take(sql)
        if fault and fault.kind == "cut_before":
            return CutConnection()
        if fault and fault.kind == "fail":
            return _failure(f"{fault.errno:06d}", fault.message)
        response: Response = await fakesnow.server.query_request(request)
        if fault:
            return CutConnection()
        if response.status_code >= SERVER_ERROR:
            # The Python connector retries HTTP 5xx for minutes; Snowflake itself answers 200.
            return _failure(f"{INTERNAL:06d}", f"The stand-in cannot run this statement: {sql}")
        return response

    async def abort(self, _request: Request) -> Response:
        return JSONResponse({"success": True})

    async def upload(self, request: Request) -> Response:
        """Store a file of an internal stage, a piece at a time."""
        target = Path(stage.LOCAL_BUCKET_PATH) / request.path_params["path"]
        if ".." in target.parts:
            return Response(status_code=403)
        part = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                async for piece in request.stream():
                    file.write(piece)
            part.replace(target)
        except (OSError, ClientDisconnect) as error:
            part.unlink(missing_ok=True)
            # Not a 5xx, which the client would retry: a full disk stays full.
            return Response(f"The upload could not be stored: {error}", status_code=413)
        return Response()

    async def health(self, _request: Request) -> Response:
        working = [s for s in self.sessions.values() if s.busy or s.in_transaction]
        return JSONResponse(
            {"status": "up", "sessions": len(self.sessions), "working": len(working)}
        )

    async def change_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.faults.add(await request.json())
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        if request.method == "DELETE":
            self.faults.clear()
        return JSONResponse(self.faults.listed())

    async def _reap(self) -> None:
        """End sessions whose client died in mid-transaction: it never says goodbye."""
        while True:
            await asyncio.sleep(REAP_SECONDS)
            latest = time.monotonic() - self.idle_seconds
            for token, session in list(self.sessions.items()):
                if session.in_transaction and not session.busy and session.last_used < latest:
                    self.sessions.pop(token).end()


def _token(request: Request) -> str:
    # Authorization: Snowflake Token="..."
    return request.headers.get("Authorization", "").removeprefix('Snowflake Token="')[:-1]


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    content: dict[str, Any] = json.loads(body)
    return content


def _failure(code: str, message: str, sqlstate: str = "XX000") -> Response:
    data = {"errorCode": code, "sqlState": sqlstate}
    return JSONResponse({"data": data, "code": code, "message": message, "success": False})


def _session_gone() -> Response:
    return _failure(str(SESSION_GONE), SESSION_GONE_MESSAGE, sqlstate="08001")


def _error_text(response: Response) -> str | None:
    if isinstance(response, CutConnection):
        return "connection cut by a fault"
    body = bytes(response.body)
    if body.endswith(b'"success":true}'):  # results may be large: do not parse them for this
        return None
    return str(json.loads(body)["message"])
