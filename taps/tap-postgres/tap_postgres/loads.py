"""What one run sends of one stream, and the loads of tables read by the database's own catalog.

A load is chosen from the stream's state before anything is read. Its parts may be asked for again
after some were sent: they begin where the state says then.

States, under `bookmarks.<stream>`:

- A snapshot, unfinished: `version`, and `range`: `key` (column names) with `after` (the key up to
  which all was sent) or with `complete` (all was sent, the snapshot's end was not), but for the
  ranges in `missing` (pairs of keys, above the first one up to the second).
- FULL_TABLE, finished: empty.
- INCREMENTAL: `replication_key`, `replication_key_value`. During the first read of a table whose
  replication key has no index: `range` as above, and `upper`, the bookmark to come.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_postgres.ranges import NOT_FINITE, KeyRange
from tap_postgres.reading import Part
from tapsupport.snapshot import snapshot_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.ranges import KeyColumn
    from tap_postgres.reading import Reader, Span, State
    from tap_postgres.table import Table

RESUME_WITHIN_SECONDS = 24 * 3600  # a snapshot put together from older pieces is of no use


class Load:
    """One run's load of one stream.

    Attributes:
        table: What is read.
        hints: Keywords for the stream's JSON Schema that tell our loader what to do with the rows.
        start: The state to begin with: the stream's, or an empty one if that cannot be continued.
        version: The snapshot's, for a loader that publishes it as a whole; else None.
        repeatable: Whether rows that are sent twice arrive once.
    """

    version: int | None = None

    def __init__(self, table: Table, start: State, **hints: object) -> None:
        self.table = table
        self.start = start
        self.hints = {name: value for name, value in hints.items() if value != []}
        self.repeatable = bool(table.key)

    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        """What is still to be read, in order; bounds are looked up lazily, in the snapshot."""
        raise NotImplementedError

    def finished(self, state: State) -> State:
        """The state to leave behind when every part, and the snapshot's end, were sent."""
        return state


class FullTable(Load):
    """A snapshot of the whole table, in ranges of its key where those are cheap.

    It goes on with what an unfinished run left, unless that is a day old or went by another key.
    """

    def __init__(self, table: Table, state: State, **hints: object) -> None:
        super().__init__(table, state if self._continues(table, state) else {}, **hints)
        self.version = snapshot_version(self.start)

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        mark = {"version": self.version}
        columns = self.table.key_columns(self.table.range_key)
        key = reader.ordered(self.table.source, columns)
        return snapshot_parts(reader, self.table.source, key, state, mark)

    @override
    def finished(self, state: State) -> State:
        return {}

    def _continues(self, table: Table, state: State) -> bool:
        age_seconds = time.time() - state.get("version", 0) / 1000
        key = state.get("range", {}).get("key")
        return key in (list(table.range_key), []) and age_seconds <= RESUME_WITHIN_SECONDS


class Incremental(Load):
    """Rows with the replication key at the bookmark or above; without a bookmark, everything.

    The bookmark to come is the largest value in the same snapshot. Over an index on the replication
    key the bookmark moves with every range; without one, the first read goes by the table's own
    key, and a later one is a single part.
    """

    def __init__(self, table: Table, state: State, column: str) -> None:
        super().__init__(table, state if self._continues(table, state, column) else {})
        self._column = column

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        column = self.table.key_columns([self._column])
        bookmark = state.get("replication_key_value")
        source = self.table.source
        after = None if bookmark is None else (bookmark,)
        new = KeyRange(column, after, inclusive=True)
        largest = reader.largest(source, new)
        if largest is None:
            return
        upper = state.get("upper", largest[0])
        done = {"replication_key": self._column, "replication_key_value": upper}
        own_key = self.table.key_columns(self.table.key)
        if by_column := reader.ordered(source, column):
            for piece in reader.ranges(source, by_column, after, inclusive=True):
                until = piece.until[0] if piece.until else upper
                if until in NOT_FINITE:
                    until = upper
                yield Part(source, piece.conditions(), {**done, "replication_key_value": until})
        elif bookmark is None and (key := reader.ordered(source, own_key)):
            yield from snapshot_parts(reader, source, key, state, {"upper": upper})
        else:
            yield Part(source, new.conditions(), done)

    @override
    def finished(self, state: State) -> State:
        """After a first read by the table's own key, the bookmark that came with it."""
        if "upper" not in state:
            return state
        return {"replication_key": self._column, "replication_key_value": state["upper"]}

    @staticmethod
    def _continues(table: Table, state: State, column: str) -> bool:
        key = state.get("range", {"key": []})["key"]
        return state.get("replication_key", column) == column and key in (list(table.key), [])


def snapshot_parts(
    reader: Reader, source: str, key: tuple[KeyColumn, ...], state: State, mark: State
) -> Iterator[Part]:
    """Cut a source into ranges of a key, or take it as one part when the key is empty.

    Args:
        reader: Where the bounds come from.
        source: SQL for the FROM clause.
        key: What to range over.
        state: Where to begin.
        mark: What every state on the way holds beside the range.
    """
    names = [column.name for column in key]
    place = state.get("range", {})
    if key:
        yield from _missing_parts(reader, source, key, state, mark)
    if place.get("complete"):
        return
    complete = {**mark, "range": {"key": names, "complete": True}}
    if not key:
        yield Part(source, [], complete)
        return
    for piece in reader.ranges(source, key, tuple(place["after"]) if "after" in place else None):
        until = {**mark, "range": {"key": names, "after": list(piece.until or ())}}
        progress = until if piece.until else complete
        yield Part(source, piece.conditions(), progress, span=_span(piece))


def _missing_parts(
    reader: Reader, source: str, key: tuple[KeyColumn, ...], state: State, mark: State
) -> Iterator[Part]:
    """What an earlier run was reading when it ended, while it had already sent what follows."""
    place = dict(state.get("range", {}))
    missing = place.pop("missing", [])
    for number, (first, last) in enumerate(missing, 1):
        end = tuple(last)
        for piece in reader.ranges(source, key, None if first is None else tuple(first), end):
            rest = [] if piece.until == end else [[list(piece.until or ()), last]]
            left = [*rest, *missing[number:]]
            sent = {**place, "missing": left} if left else place
            yield Part(source, piece.conditions(), {**mark, "range": sent}, span=_span(piece))


def _span(piece: KeyRange) -> Span:
    after, until = piece.after, piece.until
    return None if after is None else list(after), None if until is None else list(until)
