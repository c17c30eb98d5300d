"""What a run reads of a table, in which parts, and what state each part reaches.

State of a stream, under `bookmarks.<stream>`:

- FULL_TABLE, unfinished: `version`, and `range`: `key` (column names) with `after` (the key up to
  which all was sent) or with `complete` (all was sent, the snapshot's end was not).
- INCREMENTAL: `replication_key`, `replication_key_value`. During the first read of a table whose
  replication key has no index: `range` as above, and `upper`, the bookmark to come.
- FULL_TABLE, finished: empty.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_postgres import sql
from tap_postgres.ranges import KeyRange, Values, as_text, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.client import Database
    from tap_postgres.table import Table

State = dict[str, Any]
RESUME_WITHIN_SECONDS = 24 * 3600  # a snapshot put together from older pieces is of no use


@dataclass(frozen=True)
class Part:
    """Rows to read in one query, and the state once they and all before them are sent."""

    conditions: list[str]
    progress: State


@dataclass(frozen=True)
class Reader:
    """Cuts one table into parts; `rows` is how many rows a range may hold."""

    database: Database
    table: Table
    rows: int

    def full_table(self, state: State, version: int) -> Iterator[Part]:
        """The parts of a snapshot, from where `state` left off.

        A table without a key, a view and a query are one part, read by one cursor.
        """
        key = list(self.table.key) if self._can_range else []
        mark = {"version": version}
        yield from self._by_key(state, mark, {**mark, "range": {"key": key, "complete": True}})

    def incremental(self, state: State, column: str) -> Iterator[Part]:
        """The parts with the replication key at the bookmark or above; without one, everything.

        The bookmark to come is the largest value in the same snapshot. Over an index on the
        replication key the bookmark moves with every range; without one, the first read goes by
        the table's own key, and a later one is a single part.
        """
        bookmark = state.get("replication_key_value")
        upper = state.get("upper") or self._largest(column, bookmark)
        if upper is None:
            return
        done = {"replication_key": column, "replication_key_value": upper}
        if column in self.table.indexed:
            yield from self._by_replication_key(column, bookmark, done)
        elif bookmark is None and self._can_range:
            yield from self._by_key(state, {"upper": upper}, done)
        else:
            yield Part(self._from_bookmark(column, bookmark), done)

    @property
    def _can_range(self) -> bool:
        return bool(self.table.key) and self.table.rangeable

    def _by_key(self, state: State, mark: State, done: State) -> Iterator[Part]:
        place = state.get("range", {})
        if place.get("complete"):
            return
        if not self._can_range:
            yield Part([], done)
            return
        after = tuple(place["after"]) if "after" in place else None
        for part in self._ranges(self.table.key, after):
            until = {"key": list(self.table.key), "after": list(part.until or ())}
            yield Part(part.conditions(), {**mark, "range": until} if part.until else done)

    def _by_replication_key(self, column: str, bookmark: str | None, done: State) -> Iterator[Part]:
        after = None if bookmark is None else (bookmark,)
        for part in self._ranges((column,), after, inclusive=True):
            until = {**done, "replication_key_value": (part.until or (None,))[0]}
            yield Part(part.conditions(), until if part.until else done)

    def _ranges(
        self, key: tuple[str, ...], after: Values | None, *, inclusive: bool = False
    ) -> Iterator[KeyRange]:
        whole = KeyRange(self.table.key_columns(key), after, inclusive=inclusive)
        doing = f"Finding ranges of {self.table.label}"
        return ranges(
            whole, self.table.source, self.rows, lambda query: self.database.rows(query, doing)
        )

    def _from_bookmark(self, column: str, bookmark: str | None) -> list[str]:
        after = None if bookmark is None else (bookmark,)
        return KeyRange(self.table.key_columns([column]), after, inclusive=True).conditions()

    def _largest(self, column: str, bookmark: str | None) -> str | None:
        conditions = " AND ".join(self._from_bookmark(column, bookmark)) or "true"
        query = (
            f"SELECT {as_text(f'max({sql.identifier(column)})')} AS upper"
            f" FROM {self.table.source} WHERE {conditions}"
        )
        rows = self.database.rows(query, f"Finding the newest {column} of {self.table.label}")
        upper: str | None = rows[0]["upper"]
        return upper


def discard_stale(state: State, key: tuple[str, ...], replication_key: str | None) -> None:
    """Empty a state that this run cannot continue: another key, or a snapshot a day old."""
    if replication_key is not None:
        other = state.get("replication_key", replication_key) != replication_key
    else:
        age_seconds = time.time() - state.get("version", 0) / 1000
        other = "range" not in state or age_seconds > RESUME_WITHIN_SECONDS
    if other or ("range" in state and state["range"].get("key") not in (list(key), [])):
        state.clear()
