"""The four ways in which the Zendesk stand-in pages."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from sandbox.vendors.zendesk_records import Record

YOUNGEST_SECONDS = 300  # a start_time may not be younger
SETTLING_SECONDS = 60  # what changed in the last minute is left out
MOST_EXPORTED, MOST_LISTED = 1000, 100
MOST_OFFSET = 10_000

Place = tuple[int, int]  # second and id


@dataclass
class Paging:
    """How the exports page, which tests change.

    Attributes:
        export_size: Records on a page of a time-based export, and most of a cursor export.
        hollow_pages: How many of the next pages of cursor exports are empty without being the end.
        border_twice: Whether a cursor export gives the last record of a page again on the next.
        refused_cursors: Cursors that have expired.
    """

    clock: Callable[[], float]
    export_size: int = MOST_EXPORTED
    hollow_pages: int = 0
    border_twice: bool = False
    refused_cursors: frozenset[str] | None = frozenset()

    def cursor_export(
        self,
        request: Request,
        url: str,
        key: str,
        read: Callable[[Place, float, int], list[tuple[Place, Record]]],
    ) -> Response:
        """A page of records behind a cursor, or from start_time on."""
        query = request.query_params
        size = min(int(query.get("per_page", MOST_EXPORTED)), self.export_size)
        if cursor := query.get("cursor"):
            place = _place(cursor)
            if place is None or self.refused_cursors is None or cursor in self.refused_cursors:
                return invalid("cursor is invalid or has expired", 400)
        else:
            start = self._start(query.get("start_time"))
            if not isinstance(start, int):
                return start
            place = (start, -1)
        until = self.clock() - SETTLING_SECONDS
        found = read(place, until, size + 1)
        page, ended = found[:size], len(found) <= size
        if self.hollow_pages and page:
            self.hollow_pages -= 1
            page, ended = [], False
        last = page[-1][0] if page else place
        if self.border_twice and len(page) > 1 and not ended:
            last = page[-2][0]
        after = base64.b64encode(f"{last[0]}.0||{last[1]}|".encode()).decode()
        body = {"after_cursor": after, "after_url": f"{url}?cursor={after}", "end_of_stream": ended}
        records = [record for _, record in page]
        return JSONResponse({key: records, **body, "before_cursor": None, "before_url": None})

    def time_export(
        self, request: Request, url: str, key: str, found: Iterable[tuple[int, Record]]
    ) -> Response:
        """A page of records from start_time on; not in order within the page."""
        start = self._start(request.query_params.get("start_time"))
        if not isinstance(start, int):
            return start
        until = self.clock() - SETTLING_SECONDS
        ordered = sorted(
            ((second, record) for second, record in found if start <= second <= until),
            key=lambda item: (item[0], item[1]["id"]),
        )
        page = ordered[: self.export_size]
        end = page[-1][0] if page else start
        records = [record for _, record in reversed(page)]
        body: dict[str, Any] = {"count": len(page), "end_time": end}
        body |= {"next_page": f"{url}?start_time={end}", "end_of_stream": len(page) == len(ordered)}
        return JSONResponse({key: records, **body})

    def _start(self, text: str | None) -> int | Response:
        if text is None or not text.isdigit():
            return invalid("start_time must be a number of seconds", 400)
        if int(text) > self.clock() - YOUNGEST_SECONDS:
            return invalid("Too recent start_time. Use a start_time older than 5 minutes", 422)
        return int(text)


def listed(request: Request, url: str, key: str, records: list[Record]) -> Response:
    """A page of a list with `page[size]`, or by `page` and `per_page` as offsets."""
    query = request.query_params
    if "page[size]" not in query:
        return _offset(request, url, key, records)
    size = min(int(query["page[size]"]), MOST_LISTED)
    begin = int(query.get("page[after]") or 0)
    page, more = records[begin : begin + size], begin + size < len(records)
    after = str(begin + size)
    meta = {"has_more": more, "after_cursor": after if more else None, "before_cursor": None}
    following = f"{url}?page[size]={size}&page[after]={after}" if more else None
    return JSONResponse({key: page, "meta": meta, "links": {"next": following, "prev": None}})


def _offset(request: Request, url: str, key: str, records: list[Record]) -> Response:
    size = min(int(request.query_params.get("per_page", MOST_LISTED)), MOST_LISTED)
    number = int(request.query_params.get("page", 1))
    if number * size > MOST_OFFSET:
        return invalid("Requested response size was greater than Search Response Limits", 400)
    page, more = records[(number - 1) * size : number * size], number * size < len(records)
    body = {"next_page": f"{url}?page={number + 1}&per_page={size}" if more else None}
    return JSONResponse({key: page, **body, "previous_page": None, "count": len(records)})


def invalid(text: str, status: int) -> Response:
    """The answer to a parameter that cannot be."""
    return JSONResponse({"error": "InvalidValue", "description": text}, status)


def _place(cursor: str) -> Place | None:
    try:
        second, _, number = base64.b64decode(cursor, validate=True).decode().partition("||")
        return int(float(second)), int(number.rstrip("|"))
    except (ValueError, binascii.Error):
        return None
