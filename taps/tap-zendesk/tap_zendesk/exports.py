"""The incremental exports, by cursor and by time: zendesk.md, sections 4.1 and 4.2."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_zendesk.client import OK, lacking, records_of
from tap_zendesk.stream import ZendeskStream
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record

    from tap_zendesk.tap import TapZendesk

YOUNGEST_SECONDS = 360  # a start_time under five minutes may be refused; a minute for the clocks
GATEWAY_TIMEOUT = 504  # a page too big to be made in time
CURSOR_REFUSED = (400, 404, 410, 422)  # which of them is not documented
SMALLEST_PAGE = 10
TIMEOUT_SECONDS = 60.0
MOST_PAGES_WITHOUT_PROGRESS = 20


class Export(ZendeskStream):
    """An export: everything that changed since a second, oldest change first, in pages."""

    path: ClassVar[str]
    parameters: ClassVar[dict[str, Any]] = {}

    def start_time(self, bookmark: int | None) -> int:
        """Where to begin, in seconds: the bookmark, else start_date; never too young or below 0."""
        start = bookmark
        if start is None:
            text = self.config.get("start_date")
            start = int(moment(text).timestamp()) if text else 0
        return max(0, min(start, int(time.time()) - YOUNGEST_SECONDS))

    def fresh(self, records: list[Record], previous: dict[Any, Record]) -> list[Record]:
        """The records that did not stand on the previous page as they are."""
        return [record for record in records if previous.get(record.get("id")) != record]

    def ended(self, body: Record) -> bool:
        """Whether this page is the last; an empty one need not be.

        Raises:
            TapError: the page does not say.
        """
        found = body.get("end_of_stream")
        if not isinstance(found, bool):
            raise TapError(lacking(self.path, "end_of_stream"))
        return found


class CursorExport(Export):
    """An export by cursor.

    State: `cursor`, behind which the next run goes on, and `start_time`, the second of the last
    record, for when the cursor is refused.
    """

    def stamp(self, record: Record) -> int:
        """The second of a record's last change, by which the export is filtered."""
        raise NotImplementedError

    def parameters_now(self) -> dict[str, Any]:
        """The query's parameters beside place and size, the same for every page."""
        return self.parameters

    def finish_page(self, records: list[Record]) -> None:
        """Called when the records of a page were sent."""

    def extra_state(self) -> dict[str, Any]:
        """What the state says beside the place."""
        return {}

    def __init__(self, tap: TapZendesk) -> None:
        super().__init__(tap)
        self._size = int(self.config["page_size"])  # smaller for the rest of the run after a 504

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for records, progress in self.pages(dict(self.stream_state)):
            yield from records
            self.finish_page(records)
            self.checkpoint({**progress, **self.extra_state()})

    def pages(self, state: dict[str, Any]) -> Iterator[tuple[list[Record], dict[str, Any]]]:
        """The pages from a place on: the records, and the place behind them."""
        cursor, second = state.get("cursor"), state.get("start_time")
        previous: dict[Any, Record] = {}
        idle, ended = 0, False
        while not ended:
            body = self._page(cursor, second)
            records, ended = records_of(self.path, body, self.name), self.ended(body)
            after = body.get("after_cursor")
            if not ended and not isinstance(after, str):
                raise TapError(lacking(self.path, "after_cursor"))
            found = self.fresh(records, previous)
            idle = 0 if found or after != cursor else idle + 1
            if idle > MOST_PAGES_WITHOUT_PROGRESS:
                raise TapError(lacking(self.path, "a page that goes on or ends"))
            cursor = after or cursor
            second = max([second or 0, *map(self.stamp, found)]) if found else second
            previous = {record["id"]: record for record in records} if records else previous
            yield found, {"cursor": cursor, "start_time": second}

    def _page(self, cursor: str | None, second: int | None) -> Record:
        """One page; from `second` on when the cursor is refused, smaller when it takes too long."""
        while True:
            size = self._size
            place = {"cursor": cursor} if cursor else {"start_time": self.start_time(second)}
            accept = (GATEWAY_TIMEOUT, *(CURSOR_REFUSED if cursor else ()))
            params = {**place, "per_page": size, **self.parameters_now()}
            status, body = self._tap.client.ask(self.path, params, accept)
            if status == OK:
                return body
            if status in CURSOR_REFUSED:
                self.logger.warning(
                    "%s: Zendesk refused the cursor (%d); going on from its time.",
                    self.name,
                    status,
                )
                cursor = None
                continue
            if size <= SMALLEST_PAGE:
                raise TapError(
                    f"Zendesk: GET {self.path} answered 504 even for pages of {size} records. "
                    "Run again later."
                )
            self._size = max(size // 2, SMALLEST_PAGE)
            self.logger.warning("%s: 504; trying pages of %d records.", self.name, self._size)
            time.sleep(TIMEOUT_SECONDS)


class TimeExport(Export):
    """An export by time. State: `start_time`, the second at which the last page ended."""

    overlap_seconds: ClassVar[int] = 0

    def rows(self, record: Record) -> Iterable[Record]:
        """The stream's rows that a record of the export holds."""
        return (record,)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        second = self.stream_state.get("start_time")
        asked = self.start_time(None if second is None else second - self.overlap_seconds)
        previous: dict[Any, Record] = {}
        while True:
            params = {"start_time": asked, **self.parameters}
            _, body = self._tap.client.ask(self.path, params)
            records, ended = records_of(self.path, body, self._key), self.ended(body)
            end = self._end_time(body, asked if second is None else max(asked, second))
            found = self.fresh(records, previous)
            for record in found:
                yield from self.rows(record)
            self.checkpoint({"start_time": end})
            if ended or self._too_young(end):
                return
            if end <= asked and not found:
                raise TapError(
                    f"Zendesk: GET {self.path} has more records in second {asked} than fit on a "
                    "page, and offers no way past them. Ask the vendor's support; to leave them "
                    f"out, set start_time of {self.name} in the state to {asked + 1}."
                )
            asked, previous = end, {record.get("id"): record for record in records}

    @property
    def _key(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".json")

    def _end_time(self, body: Record, least: int) -> int:
        """Where the page ended; an empty one may not say."""
        end = body.get("end_time")
        if end is None:
            return least
        if not isinstance(end, int):
            raise TapError(lacking(self.path, "end_time as a number of seconds"))
        return max(end, least)

    def _too_young(self, end: int) -> bool:
        """Whether the next page may not be asked for yet; the next run gets it."""
        return end > time.time() - YOUNGEST_SECONDS


def moment(text: str) -> dt.datetime:
    """A date-time as Zendesk and the settings write it; UTC unless it says otherwise."""
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
