"""Stand-in for the REST API, version 2, of Thought Industries' learning platform.

Written from the sheet thought_industries.md; its sections are named below.
"""

from __future__ import annotations

import asyncio
import base64
import math
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors.thought_industries_data import (
    EVENT_FIELDS,
    OBJECT_FIELDS,
    events,
    milliseconds,
    objects,
)
from sandbox.vendors.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

KEY = "sandbox-key"
PATHS = {"contentItems": "content"}  # where the list's key is not the path (section 8)
RESET_SECONDS = 30


class ThoughtIndustries(Vendor):
    """Log-in, date filters in milliseconds, newest first, both envelopes, cursors, rate limit.

    It departs from the vendor where the sheet leaves a choice, by its attributes, and in that it
    counts requests only when `requests_left` is set: the sandbox would wait for the limit else.
    Parameters other than startDate, endDate, cursor and page are not known.

    Attributes:
        size: Events of each kind, over `days` days from 2026-01-01; a tenth as many objects.
        events: Events by the last part of their path, newest first.
        objects: Objects by the key of their list.
        page_size: Events or objects of an answer.
        envelope: Whether events stand at the top or below data.APIEvents (sections 3.1 and 3.2).
        cursors: "time", the millisecond below the last event in base64 (section 4); "plain", the
            same as a number (section 2.1); "opaque", the exact place; "none", without a cursor;
            "bare", without any pageInfo.
        object_form: "cursor", "pages" or "meta", the three forms of section 3.3; "total" is "meta"
            without a cursor, and "bare" without any word of pages.
        refused: Paths that the key's role may not read.
        requests_left: How many requests are allowed until the next reset; None is no limit.
        waits_told: Whether a 429 has the header Retry-After.
        answer_seconds: How long an answer of data takes.
        requests_at_once: Requests answered at once; one more gets a 429. None is no limit.
        most_at_once: How many there were at once so far.
    """

    name: ClassVar[str] = "thought-industries"

    def __init__(
        self, size: int = 200, days: int = 14, kinds: Iterable[str] = tuple(EVENT_FIELDS)
    ) -> None:
        super().__init__(size)
        self.days = days
        self.events = {kind: events(kind, size, days) for kind in kinds}
        self.objects = {kind: objects(kind, max(size // 10, 3)) for kind in OBJECT_FIELDS}
        self.page_size = 100
        self.envelope: Literal["top", "nested"] = "top"
        self.cursors: Literal["time", "plain", "opaque", "none", "bare"] = "time"
        self.object_form: Literal["cursor", "pages", "meta", "total", "bare"] = "cursor"
        self.refused: set[str] = set()
        self.requests_left: int | None = None
        self.waits_told = True
        self.answer_seconds = 0.0
        self.requests_at_once: int | None = None
        self.most_at_once = 0
        self._at_once = 0

    @override
    def routes(self) -> Sequence[BaseRoute]:
        lists = [
            Route(f"/incoming/v2/{PATHS.get(key, key)}", self._guarded(self._objects_of(key)))
            for key in self.objects
        ]
        ping = Route("/incoming/v2/ping", self._guarded(self._ping))
        return [
            Route("/incoming/v2/events/{kind}", self._guarded(self._list_events)),
            ping,
            *lists,
        ]

    def _guarded(
        self, answer: Callable[[Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return Response(status_code=401)  # with an empty body: section 1
            if request.url.path.rpartition("/")[2] in self.refused:
                return JSONResponse({"error": "forbidden"}, 403)
            if refusal := self._over_limit():
                return refusal
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            await asyncio.sleep(self.answer_seconds)
            self._at_once -= 1
            response = answer(request)
            response.headers.update(self._limit_headers())
            return response

        return guarded

    def _over_limit(self) -> Response | None:
        """A 429 of section 5, or a place among the requests that are allowed."""
        crowded = self.requests_at_once is not None and self._at_once >= self.requests_at_once
        if not crowded and self.requests_left != 0:
            if self.requests_left is not None:
                self.requests_left -= 1
            return None
        body = {"error": "rate_limit_exceeded", "message": "Too many.", "retryAfter": RESET_SECONDS}
        headers = {"Retry-After": str(RESET_SECONDS)} if self.waits_told else {}
        return JSONResponse(body, 429, headers)

    def _limit_headers(self) -> dict[str, str]:
        if self.requests_left is None:
            return {}
        return {
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Remaining": str(self.requests_left),
            "X-RateLimit-Reset": str(int(time.time()) + RESET_SECONDS),
        }

    def _ping(self, _: Request) -> Response:
        return JSONResponse({"valid": True})

    # Events

    def _list_events(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in self.events:
            return JSONResponse({"error": "not found"}, 404)
        query = request.query_params
        try:
            first = int(query.get("startDate", 0))
            last = int(query.get("endDate", 10**13))
            place, below = self._place(query.get("cursor"))
        except ValueError:  # such as ISO 8601
            return JSONResponse({"error": "bad request", "message": "Wrong parameter."}, 400)
        found = self._between(kind, first, min(last, below))
        page = found[place : place + self.page_size]
        has_more = len(found) > place + self.page_size
        body: dict[str, Any] = {"events": page}
        if self.cursors != "bare":
            body["pageInfo"] = {"hasMore": has_more}
            if has_more and self.cursors != "none":
                body["pageInfo"]["cursor"] = self._cursor(page, place)
        return JSONResponse(body if self.envelope == "top" else {"data": {"APIEvents": body}})

    def _between(self, kind: str, first: int, last: int) -> list[dict[str, Any]]:
        """Both bounds belong to it (section 4)."""
        listed = self.events[kind]  # newest first
        begin = bisect_left(listed, -last, key=_descending)
        return listed[begin : bisect_left(listed, -first + 1, key=_descending)]

    def _place(self, cursor: str | None) -> tuple[int, int]:
        """What a cursor says: how many events to pass over, and the last millisecond."""
        if cursor is None:
            return 0, 10**13
        if cursor.isdigit():
            return 0, int(cursor)
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        place = text.removeprefix("place ")
        return (int(place), 10**13) if place != text else (0, int(text))

    def _cursor(self, page: list[dict[str, Any]], place: int) -> str | int:
        below = milliseconds(page[-1]["timestamp"]) - 1
        if self.cursors == "plain":
            return below
        text = str(below) if self.cursors == "time" else f"place {place + len(page)}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    # Objects

    def _objects_of(self, key: str) -> Callable[[Request], Response]:
        def listed(request: Request) -> Response:
            query = request.query_params
            number = int(query.get("page", 1))
            place = int(query.get("cursor", (number - 1) * self.page_size))
            page = self.objects[key][place : place + self.page_size]
            following = place + len(page)
            has_more = following < len(self.objects[key])
            if self.object_form == "bare":
                return JSONResponse({key: page})
            if self.object_form == "meta":
                meta = {"perPage": self.page_size, "nextCursor": str(following)}
                return JSONResponse({"data": page, "meta": meta if has_more else {"page": number}})
            if self.object_form == "total":
                count = math.ceil(len(self.objects[key]) / self.page_size)
                return JSONResponse({"data": page, "meta": {"page": number, "totalPages": count}})
            about: dict[str, Any] = {"hasMore": has_more}
            if self.object_form == "pages":
                about |= {"currentPage": number, "total": len(self.objects[key])}
            elif has_more:
                about["cursor"] = str(following)
            return JSONResponse({key: page, "pageInfo": about})

        return listed


def _descending(event: dict[str, Any]) -> int:
    return -milliseconds(event["timestamp"])
