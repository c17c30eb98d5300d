"""Stand-in for Xactly Connect over HTTPS: token, execute, paged results, sessions."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors.vendor import TRANSPORT, Vendor
from sandbox.vendors.xactly_data import ZONED, Data, Row, SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

USERNAME, PASSWORD = "etl@example.com", "made-up-password"
CLIENT_ID, CONSUMER = "made-up-client", "made-up-consumer"
MOST_ROWS = 1000  # of a page; a larger `size` is cut silently


@dataclass
class Session:
    """A session: its token, how often it was used, and its stored results."""

    token: str
    session_id: str
    uses: int = 0
    results: dict[str, tuple[list[str], list[Row]]] = field(default_factory=dict)


class Xactly(Vendor):
    """Xactly Connect, as far as an extractor sees it (fact sheet, sections 3, 8 and 10).

    It departs from the vendor where the sheet knows nothing: bodies of errors are
    `{"message": ...}`, a table without privilege is a 400, pages are cut at 1000 rows, and the list
    of sessions stands under `items`. Statements other than SELECT are carried out, as the vendor
    would, and show in `commands`. `size` is the number of rows of each table.

    Attributes:
        data: The tables.
        commands: Every statement that arrived, in order.
        denied: Tables that the user may not read, in lower case.
        takes_or: Whether OR is understood.
        most_result_rows: A limit of the server's own on the rows of a result, or None.
        token_uses: After so many requests a token is refused; None for never.
        reset_at: The number, from 0, of a request whose connection is reset without an answer.
        before_statement: Called with the number of the statement, before it runs.
    """

    name: ClassVar[str] = "xactly"

    def __init__(self, size: int = 200) -> None:
        super().__init__(size)
        self.data = Data(size)
        self.commands: list[str] = []
        self.denied: set[str] = set()
        self.takes_or = True
        self.most_result_rows: int | None = None
        self.token_uses: int | None = None
        self.reset_at: int | None = None
        self.before_statement: Callable[[int], None] = lambda _: None
        self.sessions: dict[str, Session] = {}

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or len(self.requests) != self.reset_at:
            await super().__call__(scope, receive, send)
            return
        self.reset_at = None
        scope[TRANSPORT].abort()
        while (await receive())["type"] != "http.disconnect":
            continue

    @override
    def routes(self) -> Sequence[BaseRoute]:
        base = "/api/connect/v1"
        return [
            Route("/api/oauth2/token", self._log_in, methods=["POST"]),
            Route(f"{base}/xdbc/execute", self._execute, methods=["POST"]),
            Route(f"{base}/xdbc/results/{{name}}", self._result),
            Route(f"{base}/sessions", self._list_sessions),
            Route(f"{base}/sessions/{{name}}", self._end_session, methods=["DELETE"]),
        ]

    def drop_results(self) -> None:
        """Forget every stored result, as a server does that has been restarted."""
        for session in self.sessions.values():
            session.results.clear()

    def run(self, command: str, schema: str = "xactly") -> tuple[list[str], list[Row]]:
        """Run a statement as the vendor would, with its limits.

        Raises:
            SqlError: it is refused.
        """
        self.commands.append(command)
        self.before_statement(len(self.commands))
        text = command.rstrip().removesuffix(";")
        if denied := next((t for t in self.denied if re.search(rf"\b{t}\b", text.lower())), None):
            raise SqlError(f"User has no privilege to read {denied.upper()}")
        if re.search(r"\bOFFSET\b", text, re.IGNORECASE):
            raise SqlError("OFFSET is not part of xSQL")
        if not self.takes_or and re.search(r"\bOR\b", text):
            raise SqlError("OR is not supported")
        names, rows = self.data.run(text, schema)
        return names, rows[: self.most_result_rows]

    async def _log_in(self, request: Request) -> Response:
        body = await _json(request)
        if body is None or request.query_params.get("api") != "connect":
            return _refusal(400, "Malformed token request")
        query = request.query_params
        given = (query.get("client_id"), query.get("consumer"))
        login = (body.get("username"), body.get("password"))
        if given != (CLIENT_ID, CONSUMER) or login != (USERNAME, PASSWORD):
            return _refusal(401, "Bad credentials")
        session = Session(f"token-{uuid.uuid4()}", str(uuid.uuid4()))
        self.sessions[session.token] = session
        return JSONResponse({"access_token": session.token})

    async def _execute(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _refusal(401, "Session is not valid")
        body = await _json(request)
        if body is None or "command" not in body:
            return _refusal(400, "Malformed statement request")
        try:
            result = self.run(body["command"], body.get("defaultSchema", "xactly"))
        except SqlError as error:
            return _refusal(400, str(error))
        name = str(uuid.uuid4())
        session.results[name] = result
        path = f"/connect/v1/xdbc/results/{name}"
        prefix = request.scope.get("root_path", "")
        whole = f"{prefix}/api{path}"
        origin = f"{request.url.scheme}://{request.url.netloc}"
        forms = (path, whole, f"{origin}{whole}")  # section 3.2: the sources disagree
        return Response(None, 201, {"Location": forms[len(self.commands) % len(forms)]})

    async def _result(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _refusal(401, "Session is not valid")
        if request.path_params["name"] not in session.results:
            return _refusal(404, "No such result")
        names, rows = session.results[request.path_params["name"]]
        start = int(request.query_params.get("start", 0))
        size = min(int(request.query_params.get("size", 100)), MOST_ROWS)
        kinds = [name in ZONED for name in names]
        page = ",".join(_row(row, kinds) for row in rows[start : start + size])
        text = f'{{"data":{{"rows":[{page}],"totalRows":{len(rows)}}}}}'
        return Response(text, media_type="application/json")

    async def _list_sessions(self, request: Request) -> Response:
        current = self._session(request)
        if current is None:
            return _refusal(401, "Session is not valid")
        items = [
            {"id": s.session_id, "username": USERNAME, "isCurrentSession": s is current}
            for s in self.sessions.values()
        ]
        return JSONResponse({"items": items})

    async def _end_session(self, request: Request) -> Response:
        if self._session(request) is None:
            return _refusal(401, "Session is not valid")
        name = request.path_params["name"]
        self.sessions = {t: s for t, s in self.sessions.items() if s.session_id != name}
        return Response(None, 204)

    def _session(self, request: Request) -> Session | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        session = self.sessions.get(token)
        if session is None:
            return None
        session.uses += 1
        if self.token_uses is not None and session.uses > self.token_uses:
            del self.sessions[token]
            return None
        return session


async def _json(request: Request) -> dict[str, str] | None:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)


def _row(row: Row, is_zoned: list[bool]) -> str:
    values = (_value(v, zoned=zoned) for v, zoned in zip(row, is_zoned, strict=True))
    return f"[{','.join(values)}]"


def _value(value: object, *, zoned: bool) -> str:
    """A value as JSON; numbers with every digit."""
    if value is None:
        return "null"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime):
        return f'"{value.isoformat()}{"Z" if zoned else ""}"'
    return json.dumps(value)
