"""What one run reads of one stream, chosen from the stream's state.

States, under `bookmarks.<stream>`:

- Unfinished: `started_at`, when the first run of this reading began; `cursor`, the values behind
  which it goes on; for a snapshot also `version`.
- Finished: `read_at`, the `started_at` of that reading; for INCREMENTAL also `modified_date`, up to
  which everything was read.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_xactly.paging import as_literal
from tap_xactly.tables import MODIFIED
from tapsupport.errors import TapError
from tapsupport.snapshot import VERSION, snapshot_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_xactly.paging import Page, Reading
    from tap_xactly.statement import Cursor
    from tap_xactly.tables import Table

State = dict[str, Any]
RESUME_WITHIN_SECONDS = 24 * 3600  # a snapshot put together from older pieces is of no use
READ_AHEAD = dt.timedelta(days=1)  # windows end so far after now, for clocks that differ
_KINDS = {"version": int, "cursor": list, "started_at": str, "read_at": str, "modified_date": str}


class Load:
    """One run's reading of one stream.

    Attributes:
        hints: Keywords for the stream's JSON Schema that tell our loader what to do.
        version: The snapshot's, else None.
    """

    version: int | None = None
    hints: Mapping[str, Any]

    def __init__(self, table: Table, state: State, now: dt.datetime) -> None:
        self.table = table
        self.state = state
        self.started_at = _moment(table, state.get("started_at"), now)

    def pages(self, reading: Reading) -> Iterator[Page]:
        """Read what is still to be read."""
        raise NotImplementedError

    def progress(self, cursor: Cursor) -> State:
        """The state once everything up to a cursor was sent."""
        return {"started_at": as_literal(self.started_at), "cursor": list(cursor)}

    def finished(self) -> State:
        """The state once everything was sent."""
        return {"read_at": as_literal(self.started_at)}


class FullTable(Load):
    """A snapshot, in the order of the key; without a key with one statement, never resumed."""

    def __init__(
        self, table: Table, state: State, now: dt.datetime, *, with_or: bool = True
    ) -> None:
        age_seconds = time.time() - state.get(VERSION, 0) / 1000
        is_known = len(state.get("cursor", [])) == len(table.key)
        resumes = bool(table.key) and is_known and age_seconds <= RESUME_WITHIN_SECONDS
        super().__init__(table, state if resumes else {}, now)
        self._with_or = with_or
        self.version = snapshot_version(self.state)
        self.hints = {"x-load-method": "overwrite", **({"x-resumes": True} if resumes else {})}

    @override
    def pages(self, reading: Reading) -> Iterator[Page]:
        if not self.table.key:
            return reading.whole()
        return reading.by_key(self.state.get("cursor"), with_or=self._with_or)

    @override
    def progress(self, cursor: Cursor) -> State:
        return {**super().progress(cursor), VERSION: self.version}

    def renew(self) -> None:
        """Begin another snapshot, which takes the place of the one that broke off."""
        self.version = max(int(self.version or 0) + 1, snapshot_version({}))


@dataclass(frozen=True)
class Since:
    """Where increments begin: never before `start_date`, and so far behind the bookmark."""

    start_date: str
    overlap: dt.timedelta


class Incremental(Load):
    """Rows changed since the last reading, in the order of their changes.

    It begins the overlap before the end of the last one, which is the last change seen or the
    moment that reading began, whichever is earlier: rows may become visible after their stamp.
    """

    hints = {"x-load-method": "upsert"}  # noqa: RUF012 - a Mapping, never changed

    def __init__(
        self,
        table: Table,
        state: State,
        now: dt.datetime,
        since: Since,
        *,
        windows: bool = False,
    ) -> None:
        super().__init__(table, state, now)
        if not table.is_dated:
            raise TapError(
                f"{table.name}: INCREMENTAL needs a key and the column {MODIFIED}, and the table "
                "lacks one. Set replication-method to FULL_TABLE."
            )
        self._windows = windows
        first = _moment(table, since.start_date, now)
        before = state.get("modified_date")
        self._bookmark = _moment(table, before, now) if before else None
        begin = first if self._bookmark is None else max(self._bookmark - since.overlap, first)
        cursor = state.get("cursor") or [as_literal(begin)]
        is_known = len(cursor) in (1, 1 + len(table.key))
        self._cursor: Cursor = cursor if is_known else cursor[:1]
        _moment(table, self._cursor[0], now)
        self._reached = state.get("cursor")

    @override
    def pages(self, reading: Reading) -> Iterator[Page]:
        if self._windows:
            return reading.by_windows(self._cursor, self.started_at + READ_AHEAD)
        return reading.by_date(self._cursor, self.started_at)

    @override
    def progress(self, cursor: Cursor) -> State:
        self._reached = cursor
        kept = {"modified_date": as_literal(self._bookmark)} if self._bookmark else {}
        return {**super().progress(cursor), **kept}

    @override
    def finished(self) -> State:
        found = [] if self._bookmark is None else [self._bookmark]
        if self._reached:
            last = _moment(self.table, self._reached[0], self.started_at)
            found.append(min(last, self.started_at))
        modified = {"modified_date": as_literal(max(found))} if found else {}
        return {**super().finished(), **modified}


def checked_state(state: Mapping[str, Any], stream: str) -> State:
    """Return a copy of a stream's state.

    Raises:
        TapError: it is not one that this tap has written.
    """
    for name, kind in _KINDS.items():
        if not isinstance(state.get(name, kind()), kind):
            raise _foreign(stream, name)
    if any(not isinstance(value, str | int) for value in state.get("cursor", [])):
        raise _foreign(stream, "cursor")
    return dict(state)


def is_fresh(table: Table, state: State, now: dt.datetime, hours: float) -> bool:
    """Whether the stream was read to its end, by a reading that began less than `hours` ago."""
    if "read_at" not in state:
        return False
    return now - _moment(table, state["read_at"], now) < dt.timedelta(hours=hours)


def _moment(table: Table, text: object, default: dt.datetime) -> dt.datetime:
    if text is None:
        return default
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        raise _foreign(table.name, "a date") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _foreign(stream: str, what: str) -> TapError:
    return TapError(
        f"Reading the state of {stream}: {what} is not as this tap writes it. Correct it, or "
        "remove the stream's bookmark to start anew."
    )
