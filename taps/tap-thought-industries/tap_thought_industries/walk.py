"""All events of a window, page by page, newest first: none lost, none twice.

The vendor's cursor is, by the only sample known, a time in base64 ("thought_industries.md",
section 4): the millisecond below the last event. Following it loses what else happened in that
event's own millisecond. Such a cursor is therefore read as what it is, and the next page asked for
up to the last event, that millisecond included; what comes again is dropped. Any other cursor is
opaque, a promise of the vendor's, and followed.
"""

from __future__ import annotations

import base64
import binascii
import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_thought_industries.client import Page
    from tap_thought_industries.days import Window
    from tap_thought_industries.records import EventReader

    Ask = Callable[[dict[str, Any]], Page]

logger = logging.getLogger(__name__)

FULL_PAGE = 100  # events of an answer (section 4)
TIME_DIGITS = 13


class Walk:
    """The way through one window.

    Args:
        ask: Asks the endpoint with a query.
        reader: Makes records of events, and knows their keys.
        window: What to read.
        skip_crowded: Whether to go on below a millisecond that has more events than a page.
    """

    def __init__(
        self, ask: Ask, reader: EventReader, window: Window, *, skip_crowded: bool
    ) -> None:
        self._ask = ask
        self._reader = reader
        self._window = window
        self._skip_crowded = skip_crowded
        self._end = window.end
        self._cursor: str | None = None
        self._oldest = window.end
        self._keys: set[tuple[Any, ...]] = set()  # of the oldest millisecond so far

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the window's records.

        Raises:
            TapError: a request failed, or the answers are not what the walk relies on.
        """
        more = True
        while more:
            page = self._ask(self._query())
            fresh, more = self._take(page)
            yield from fresh

    def _query(self) -> dict[str, Any]:
        return {"startDate": self._window.start, "endDate": self._end, "cursor": self._cursor}

    def _take(self, page: Page) -> tuple[list[dict[str, Any]], bool]:
        """The page's new records, and whether there may be another page."""
        found = [self._reader.read(event) for event in page.items]
        self._check([moment for moment, _ in found])
        inside = [(moment, row) for moment, row in found if moment >= self._window.start]
        fresh = [row for moment, row in inside if self._is_new(moment, row)]
        if len(inside) < len(found) or page.has_more is False:
            return fresh, False
        if not inside:
            self._refuse_gap(page)
            return fresh, False
        self._turn(page, has_news=bool(fresh))
        return fresh, self._end >= self._window.start

    def _refuse_gap(self, page: Page) -> None:
        """No events are the end of them, but not when the answer itself says that more follow."""
        if page.has_more:
            raise TapError(
                f"{self._place} has no events and says that there are more, so whether it is the "
                "end cannot be told. Run again; if it lasts, report it as a fault of this tap."
            )

    def _is_new(self, moment: int, row: dict[str, Any]) -> bool:
        """Whether the key has not come yet; equal keys are of one millisecond, side by side."""
        if moment != self._oldest:
            self._oldest, self._keys = moment, set()
        key = self._reader.key(row)
        is_new = key not in self._keys
        self._keys.add(key)
        return is_new

    def _turn(self, page: Page, *, has_news: bool) -> None:
        """Decide what the next page is."""
        if page.cursor and not is_time(page.cursor):
            if page.cursor == self._cursor:
                raise TapError(
                    f"{self._place} answered with the cursor that it was asked with, so the walk "
                    "would never end. Run again; if it lasts, report it to Thought Industries."
                )
            self._cursor = page.cursor
            return
        self._cursor, self._end = None, self._oldest
        if not has_news:
            if page.has_more or len(page.items) >= FULL_PAGE:
                self._leave_crowd()
            self._end -= 1

    def _leave_crowd(self) -> None:
        crowd = f"{self._place} has a full page of events in the one millisecond {self._oldest}"
        if not self._skip_crowded:
            raise TapError(
                f"{crowd}, and no way to ask for the rest of them. Ask Thought Industries how many "
                "there are; set crowded_millisecond to skip to go on with what came."
            )
        logger.warning("%s; what else it has is left out (crowded_millisecond: skip).", crowd)

    def _check(self, moments: list[int]) -> None:
        if any(later > earlier for earlier, later in pairwise(moments)):
            raise TapError(
                f"{self._place} did not come newest first, and without that order events would be "
                "missed. Report it as a fault of this tap."
            )
        if moments and moments[0] > self._end:
            raise TapError(
                f"{self._place} brought an event later than endDate, which was asked for as "
                "milliseconds since 1970. Report it as a fault of this tap."
            )

    @property
    def _place(self) -> str:
        return f"{self._reader.stream}, day {self._window.day}: the answer"


def is_time(cursor: str) -> bool:
    """Whether a cursor is milliseconds since 1970, as such or in base64 without padding."""
    if len(cursor) == TIME_DIGITS and cursor.isdigit():  # so the vendor's overview: section 2.1
        return True
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        return False
    return len(text) == TIME_DIGITS and text.isdigit()
