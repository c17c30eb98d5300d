"""Reading a table in pages that neither lose a row nor go on for ever.

Rows come in the order of a date and the key together, or of the key alone, and each statement goes
on behind the last row (fact sheet, section 6). Where the server does not take OR, dates are read in
windows, which are halved when they are full.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tap_xactly.backend import Backend, Columns, ResultLostError, read_ahead
from tap_xactly.statement import Cursor, after, any_of, literal, select
from tap_xactly.tables import MODIFIED, Column, Table
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_xactly.values import Converter

logger = logging.getLogger(__name__)

TRIES = 5  # of one statement that brings no row
SHORTEST = dt.timedelta(seconds=1)  # of a window; dates have whole seconds at least
LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True)
class Page:
    """Some rows, and where the next ones begin: None when they cannot be gone on from."""

    columns: Columns
    cursor: Cursor | None

    @property
    def rows(self) -> int:
        return len(self.columns[0])


@dataclass(frozen=True)
class Reading:
    """What is read of a table, and how.

    Attributes:
        backend: Runs the statements.
        schema: The database schema of the table.
        table: The table.
        columns: Those that are selected.
        converter: Reads the cursor's values.
        limit: Most rows of one statement.
        wait: The longest wait for a batch, in seconds; None if the back end sees to it.
        meanwhile: Called while waiting; may raise to end the run.
    """

    backend: Backend
    schema: str
    table: Table
    columns: Sequence[Column]
    converter: Converter
    limit: int
    wait: float | None
    meanwhile: Callable[[], None]

    def whole(self) -> Iterator[Page]:
        """Read everything with one statement, for a table without a key.

        Raises:
            ResultLostError: it ended in the middle, so that everything must be read again.
        """
        yield from self._run((), (), None)

    def by_key(self, cursor: Cursor | None, *, with_or: bool) -> Iterator[Page]:
        """Read everything behind a cursor, in the order of the key."""
        order = self.table.named(self.table.key)
        yield from self._walk(order, cursor, (), with_or=with_or)

    def by_date(self, cursor: Cursor, until: dt.datetime) -> Iterator[Page]:
        """Read everything behind a cursor, in the order of the date and the key.

        A cursor that is a date alone includes that date. Rows changed after `until` may be left to
        the next run, so that a table that never rests has an end.
        """
        order = self.table.named((MODIFIED, *self.table.key))
        start: Cursor | None = cursor
        within: tuple[str, ...] = ()
        if len(cursor) == 1:
            within = (f"{MODIFIED} >= {literal(order[0], cursor[0])}",)
            start = None
        yield from self._walk(order, start, within, with_or=True, until=as_literal(until))

    def by_windows(self, cursor: Cursor, until: dt.datetime) -> Iterator[Page]:
        """Read everything from a cursor's date to `until`, without OR.

        A page's cursor is the begin of its window, from where the window is read again.
        """
        start = dt.datetime.fromisoformat(str(cursor[0]))
        step = until - start
        while start < until:
            end = min(start + step, until)
            within = self._window(start, end)
            pages: Iterable[Page] = (found := self._collect(within))
            is_full = sum(page.rows for page in found) >= self.limit
            if is_full and step > SHORTEST:
                step = max(_whole_seconds(step / 2), SHORTEST)
                continue
            if is_full:
                key = self.table.named(self.table.key)
                pages = self._walk(key, None, within, with_or=False)
            for page in pages:
                yield Page(page.columns, [as_literal(start)])
            start, step = end, step * 2

    def _window(self, start: dt.datetime, end: dt.datetime) -> tuple[str, str]:
        return f"{MODIFIED} >= '{as_literal(start)}'", f"{MODIFIED} < '{as_literal(end)}'"

    def _collect(self, within: tuple[str, ...]) -> list[Page]:
        """Read a window as a whole, or, if it is full, as much as the limit lets through."""
        order = self.table.named((MODIFIED, *self.table.key))
        losses = 0
        while True:
            try:
                return list(self._run(within, order, None))
            except ResultLostError as error:
                losses += 1
                self._after_loss(error, losses)

    def _walk(
        self,
        order: Sequence[Column],
        cursor: Cursor | None,
        within: tuple[str, ...],
        *,
        with_or: bool,
        until: str | None = None,
    ) -> Iterator[Page]:
        """Go on from page to page until a statement brings none.

        A statement that brings fewer rows than the limit proves nothing: the server may have a
        limit of its own. Without OR, the rows that share the cursor's first values come first.
        """
        losses = 0
        depth = 0  # which of the conditions behind the cursor is being read, without OR
        while True:
            behind = [] if cursor is None else after(order, cursor)
            if behind:
                behind = [any_of(behind)] if with_or else [behind[depth]]
            rows = 0
            try:
                for page in self._run((*within, *behind), order, cursor):
                    rows += page.rows
                    cursor = page.cursor
                    yield page
            except ResultLostError as error:
                losses = 1 if rows else losses + 1
                depth = 0 if rows else depth
                self._after_loss(error, losses)
                continue
            losses = 0
            if rows:
                depth = 0
                if until and cursor and rows < self.limit and str(cursor[0]) > until:
                    return
            elif cursor is None or with_or or depth == len(order) - 1:
                return
            else:
                depth += 1

    def _run(
        self, conditions: Sequence[str], order: Sequence[Column], cursor: Cursor | None
    ) -> Iterator[Page]:
        """Run one statement; checks that its rows lead on."""
        statement = select(
            f"{self.schema}.{self.table.name}",
            self.columns,
            conditions=conditions,
            order=order,
            limit=self.limit if order else None,
        )
        batches = read_ahead(self.backend.select(statement), self.meanwhile, self.wait)
        for batch in batches:
            self._check_order(batch, order)
            reached = self.converter.cursor(batch, order) if order else None
            if reached is not None and reached == cursor:
                raise TapError(
                    f"Reading {self.table.name}: rows behind a cursor end at the cursor itself, so "
                    "reading on would never end. The key may not be unique or may have lost "
                    "digits: set another in the setting keys."
                )
            cursor = reached
            yield Page(batch, reached)

    def _check_order(self, batch: Columns, order: Sequence[Column]) -> None:
        """Rows that agree in all that orders them cannot be told apart at a page's end."""
        places = {column.name: place for place, column in enumerate(self.columns)}
        rows = list(zip(*(batch[places[column.name]] for column in order), strict=True))
        if any(one == other for one, other in pairwise(rows)):
            names = ", ".join(self.table.key)
            raise TapError(
                f"{self.table.name}: two rows share the key {names}. Set a longer one in the "
                "setting keys, for example with VERSION or MODIFIED_DATE added."
            )

    def _after_loss(self, error: ResultLostError, losses: int) -> None:
        self.backend.give_up()
        if losses >= TRIES:
            raise TapError(f"{error} It was tried {losses} times.") from error
        logger.warning("%s Going on from the last row.", error)
        time.sleep(min(2.0**losses, LONGEST_WAIT_SECONDS))


def as_literal(moment: dt.datetime) -> str:
    """A moment as the vendor writes it: ISO 8601, UTC, with a Z."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


def _whole_seconds(duration: dt.timedelta) -> dt.timedelta:
    return dt.timedelta(seconds=int(duration.total_seconds()))
