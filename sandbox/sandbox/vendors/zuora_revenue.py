"""Stand-in for Zuora Revenue's BI view API ("zuora_revenue.md").

Where it departs from the vendor or guesses what no public source says: the body of the 404 behind
the last page and the text of the refusal for too many queries are invented; both bounds of a
window belong to it; pages stay readable as long as their task is listed; a task's rows are those
of its first moment; the tenant's classic log-in and OneID answer at the same host.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import csv
import gzip
import io
import time
from typing import TYPE_CHECKING, Any, ClassVar

import jwt
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors.vendor import Vendor
from sandbox.vendors.zuora_revenue_data import Row, make_views
from sandbox.vendors.zuora_revenue_tasks import QUEUES, Clock, ServerTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    Handler = Callable[[Request], Awaitable[Response]]

API = "/api/integration"
NOT_CACHED = "Page still not yet cached. Please retry."
LARGEST_PAGES = {"csv": 10_000, "gzip": 20_000}


class ZuoraRevenue(Vendor):
    """One tenant: log-ins, the background tasks of queries, and pages of CSV.

    Attributes:
        views: The data, by the views' names; `size` rows in each of the long ones.
        tasks: The background tasks, oldest first.
        clock: The server's clock.
        page_seconds: How long the server needs for a page, by its clock.
        hold_seconds: How long it waits itself, by its clock, before a page is "not yet cached".
        pending_answers: How often each page but the first is "not yet cached" before it comes.
        gateway_timeouts: How many first pages answer 504 while their tasks go on.
        failing_pages: At which page the next tasks fail, one after the other.
        refusals: How many queries were refused since too many were running.
        token_seconds: How long a log-in is good for.
        token_uses: How many requests a log-in is good for; None for any number.
        token_exp: Whether a token says when it ends.
        row_limit: Rows at which a query stops.
        query_limit: Queries that may run at once.
        largest_pages: The tenant's limits of `pageSize`, by output type.
        content_encoding: Whether packed pages are declared as `Content-Encoding: gzip`.
        header_on_every_page: Or on the first only.
        extra_columns: By view: from which page on there is one more column, and its name.
        end_answer: What the page behind the last one answers: 404, 204 or 400.
        says_totals: Whether that 404 says how many rows and pages there are.
        flat_status: Whether `biviews-status` has the shape of API 3.0.
        enabled: Whether the API service is switched on for the tenant.
    """

    name: ClassVar[str] = "zuora-revenue"
    username, password = "sandbox", "sandbox-password"
    role, client_name, client_id = "API Role", "Default", "1"
    oauth_client_id, oauth_client_secret = "sandbox-client", "sandbox-secret"

    def __init__(self, size: int = 200) -> None:
        super().__init__(size)
        self.views = make_views(size)
        self.tasks: list[ServerTask] = []
        self.clock = Clock()
        self.page_seconds = 0.0
        self.hold_seconds = 60.0
        self.pending_answers = 0
        self.failing_pages: list[int] = []
        self.refusals = 0
        self.gateway_timeouts = 0
        self.token_seconds = 1800.0
        self.token_uses: int | None = None
        self.token_exp = True
        self.row_limit = 5_000_000
        self.query_limit = 5
        self.largest_pages = dict(LARGEST_PAGES)
        self.content_encoding = False
        self.header_on_every_page = True
        self.extra_columns: dict[str, tuple[int, str]] = {}
        self.end_answer = 404
        self.says_totals = True
        self.flat_status = False
        self.enabled = True
        self._tokens: dict[str, tuple[float, int]] = {}  # when it ends, and how often it was used

    @override
    def routes(self) -> Sequence[BaseRoute]:
        views = f"{API}/v2/biviews"
        status = f"{API}/v2/biviews-status"
        return [
            Route(f"{API}/v1/authenticate", self._authenticate, methods=["POST"]),
            Route("/oauth2/token", self._oauth_token, methods=["POST"]),
            Route(views + "/count/{view}", self._guarded(self._count)),
            Route(views + "/{view}/describe-columns", self._guarded(self._columns)),
            Route(views + "/{view}", self._guarded(self._data)),
            Route(status, self._guarded(self._status)),
            Route(status + "/{task_id}", self._guarded(self._one_task), methods=["GET", "DELETE"]),
        ]

    def expire_tokens(self) -> None:
        """Let every log-in so far be refused."""
        self._tokens.clear()

    def begin_task(self, view: str, start: str, end: str, page_size: int) -> ServerTask:
        """Begin a query, as another client of the tenant may do."""
        rows = self.views[view].between(start, end)[: self.row_limit]
        task = ServerTask(view, (start, end), rows, page_size, self.page_seconds, self.clock.now())
        self.tasks.append(task)
        return task

    def page_body(self, task: ServerTask, number: int) -> bytes:
        """One page as CSV."""
        header = list(self.views[task.view].header)
        rows = task.page(number)
        from_page, extra = self.extra_columns.get(task.view, (0, ""))
        if extra and number >= from_page:
            header, rows = [*header, extra], [[*row, "added"] for row in rows]
        with_header = self.header_on_every_page or number == 1
        return _csv_text([header, *rows] if with_header else rows)

    # Log-ins

    async def _authenticate(self, request: Request) -> Response:
        if not self.enabled:
            return PlainTextResponse("Method Not Allowed", 405)
        if request.headers.get("clientname", "Default") != self.client_name:
            return _error(400, "Invalid client name")
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        try:
            pair = base64.b64decode(given).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        if pair != f"{self.username}:{self.password}" or request.headers.get("role") != self.role:
            return _error(401, "Invalid user or password")
        body = {"Message": "Token Generated", "status": "success"}
        return JSONResponse(body, headers={"Revpro-Token": self._new_token()})

    async def _oauth_token(self, request: Request) -> Response:
        form = dict(
            pair.split("=", 1) for pair in (await request.body()).decode().split("&") if "=" in pair
        )
        wanted = {
            "client_id": self.oauth_client_id,
            "client_secret": self.oauth_client_secret,
            "grant_type": "client_credentials",
        }
        if form != wanted:
            return JSONResponse({"error": "invalid_client"}, 401)
        token = {"access_token": self._new_token(), "expires_in": int(self.token_seconds)}
        return JSONResponse({**token, "token_type": "Bearer"})

    def _new_token(self) -> str:
        now = time.time()
        payload = {"username": self.username, "iat": now, "n": len(self._tokens)}
        if self.token_exp:
            payload["exp"] = now + self.token_seconds / self.clock.speed
        token = jwt.encode(payload, "the sandbox's own signing key, no secret")
        self._tokens[token] = (self.clock.now() + self.token_seconds, 0)
        return token

    def _guarded(self, handler: Handler) -> Handler:
        """Let only those with a token in."""

        async def guarded(request: Request) -> Response:
            if not self.enabled:
                return PlainTextResponse("Method Not Allowed", 405)
            bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
            token = request.headers.get("token", bearer)
            ends, uses = self._tokens.get(token, (0.0, 0))
            is_used_up = self.token_uses is not None and uses >= self.token_uses
            if self.clock.now() >= ends or is_used_up:
                return _error(401, "Token has expired")
            self._tokens[token] = (ends, uses + 1)
            return await handler(request)

        return guarded

    # Queries

    async def _count(self, request: Request) -> Response:
        if refusal := self._refuse_query(request):
            return refusal
        start, end = (request.query_params[name] for name in ("fromDate", "toDate"))
        rows = self.views[request.path_params["view"]].between(start, end)
        return JSONResponse({"count": len(rows)})

    async def _columns(self, request: Request) -> Response:
        view = self.views.get(request.path_params["view"])
        if view is None:
            return _error(400, "Invalid BI view name")
        columns = [
            {"column_name": name, "data_type": "VARCHAR2", "data_length": 240}
            for name in sorted(view.header)
        ]
        content = JSONResponse(columns).body
        return Response(content, media_type="text/html")

    async def _data(self, request: Request) -> Response:
        if refusal := self._refuse_query(request) or self._refuse_page(request):
            return refusal
        number = int(request.query_params.get("pagenum", 1))
        if number < 1:
            return Response(status_code=204)
        if token := request.headers.get("continuation-token"):
            task = next((task for task in self.tasks if task.id == token), None)
            if task is None or task.status or task.queue(self.clock.now()) is None:
                return _error(400, NOT_CACHED)
            return await self._page(request, task, number)
        return await self._first_page(request, number)

    async def _first_page(self, request: Request, number: int) -> Response:
        """A query without a token: whatever page is asked for, it runs anew."""
        view, query = request.path_params["view"], request.query_params
        if self._is_busy(view):
            self.refusals += 1
            return _error(400, "Rate limit alert: too many queries are running for this client")
        task = self.begin_task(view, query["fromDate"], query["toDate"], int(query["pageSize"]))
        if not task.rows:
            self.tasks.remove(task)
            return Response(status_code=204)
        if self.gateway_timeouts > 0:
            self.gateway_timeouts -= 1
            return PlainTextResponse("Gateway Time-out", 504)
        return await self._page(request, task, number)

    def _is_busy(self, view: str) -> bool:
        now = self.clock.now()
        running = [task for task in self.tasks if task.queue(now) in ("active", "stale")]
        return len(running) >= self.query_limit or any(task.view == view for task in running)

    async def _page(self, request: Request, task: ServerTask, number: int) -> Response:
        if number > task.pages:
            return self._behind_the_end(task)
        if number > 1 and task.asked.get(number, 0) < self.pending_answers:
            task.asked[number] = task.asked.get(number, 0) + 1
            return _error(400, NOT_CACHED)
        if self.failing_pages and number == self.failing_pages[0]:
            del self.failing_pages[0]
            task.fail("FAILED", self.clock.now(), "ORA-01555: snapshot too old")
        wait = min(task.ready_at(number) - self.clock.now(), self.hold_seconds)
        await asyncio.sleep(max(0.0, wait / self.clock.speed))
        if self.clock.now() < task.ready_at(number) or task.status or task.stuck is not None:
            return _error(400, NOT_CACHED)
        headers = {"continuation-token": task.id, "content-type": "text/html"}
        body = self.page_body(task, number)
        if request.query_params.get("outputType", "gzip") == "gzip":
            body = gzip.compress(body, compresslevel=1, mtime=0)
            if self.content_encoding:
                headers["content-encoding"] = "gzip"
        return Response(body, headers=headers)

    def _behind_the_end(self, task: ServerTask) -> Response:
        if self.end_answer == 204:  # noqa: PLR2004 - a status
            return Response(status_code=204)
        if self.end_answer == 400:  # noqa: PLR2004 - a status
            return _error(400, NOT_CACHED)
        if not self.says_totals:
            return _error(404, "This page will not exist")
        return JSONResponse(
            {
                "status": "error",
                "message": "This page does not exist. The number of total pages and the number of "
                "total rows are returned.",
                "total_pages": task.pages,
                "total_rows": len(task.rows),
            },
            404,
        )

    def _refuse_query(self, request: Request) -> Response | None:
        query = request.query_params
        if request.path_params["view"] not in self.views:
            return _error(400, "Invalid BI view name")
        if query.get("clientId", "1") != self.client_id:
            return _error(400, "Invalid client id")
        if not query.get("toDate", "") > query.get("fromDate", ""):
            return _error(400, "toDate must be later than fromDate")
        return None

    def _refuse_page(self, request: Request) -> Response | None:
        query = request.query_params
        largest = self.largest_pages.get(query.get("outputType", "gzip"))
        if largest is None:
            return _error(400, "Invalid outputType")
        size = query.get("pageSize", "1000")
        if not size.isdigit() or not 1 <= int(size) <= largest:
            return _error(400, "Invalid pageSize")
        return None

    # Tasks

    async def _status(self, _: Request) -> Response:
        now = self.clock.now()
        lists: dict[str, list[Any]] = {queue: [] for queue in QUEUES}
        for task in self.tasks:
            if queue := task.queue(now):
                plain = self.flat_status and queue == "draining"
                lists[queue].append(task.id if plain else task.listed(now))
        if not any(lists.values()):
            return Response(status_code=204)
        return JSONResponse(lists if self.flat_status else {"result": lists})

    async def _one_task(self, request: Request) -> Response:
        wanted, now = request.path_params["task_id"], self.clock.now()
        task = next((task for task in self.tasks if task.id == wanted and task.queue(now)), None)
        if task is None:
            return Response(status_code=204)
        if request.method == "DELETE":
            task.fail("CANCELLED", now)
        return JSONResponse({"result": {"completed": [task.listed(now)]}})


def _error(status: int, message: str) -> Response:
    return JSONResponse({"status": "error", "message": message}, status)


def _csv_text(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
