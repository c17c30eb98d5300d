"""The load types of a manifest's table (postgres_pipeline.md, section 2).

States, beside those in `loads`: `columns` are names and types at the last load.

- `scd`: those of a snapshot; finished: empty.
- `deletes`: likewise, but never gone on with.
- Increments by interval and backfills, in the middle of a piece, beside what follows: `range` with
  the piece's `from` and `to`, and `key` with `after` (the key up to which all of it was sent).
- Full sync: those of a snapshot, with `columns`, `dropped` (columns to drop) and the bookmark to
  come. Finished, and incremental: `columns`, and as bookmark `end` (everything up to that moment
  was sent) or for load_by_id `id` (the largest key sent).
- Backfill: `from`, `to`, `end`; finished: empty.
- `test`: `columns`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from tap_postgres.interval import RESOLUTION, Interval, parse_moment
from tap_postgres.interval_parts import interval_parts, unfinished_interval
from tap_postgres.loads import FullTable, Load, snapshot_parts
from tap_postgres.placeholders import interval_values
from tap_postgres.ranges import KeyRange
from tap_postgres.reading import Part
from tap_postgres.schema_change import compare
from tap_postgres.stamps import UPLOADED_AT
from tap_postgres.types import grows
from tapsupport.errors import TapError
from tapsupport.snapshot import snapshot_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_postgres.manifest import ManifestTable
    from tap_postgres.reading import Reader, State
    from tap_postgres.table import Table

METHOD, SLICE_COLUMN, ORDER_COLUMN = "x-load-method", "x-slice-column", "x-order-column"
DROPPED_COLUMNS, MAX_DELETED_SHARE = "x-dropped-columns", "x-max-deleted-share"
KEEPS_NEWER = "x-keeps-newer"

LoadType = Literal["scd", "incremental", "full-sync", "deletes", "test"]


@dataclass(frozen=True)
class LoadSettings:
    """The settings that govern loads; lengths as the settings' names say."""

    load_type: LoadType | None
    from_state: bool
    execution_date: dt.datetime | None
    hours: int
    overlap_minutes: int
    overlap_rows: int
    backfill: Interval | None
    test_rows: int
    max_deleted_share: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LoadSettings:
        """Read the tap's settings.

        Raises:
            TapError: a moment is not ISO 8601, or a backfill lacks an end or has them reversed.
        """
        date = config.get("execution_date")
        return cls(
            load_type=config.get("load_type"),
            from_state=config["interval_from"] == "state",
            execution_date=parse_moment(date, "The setting execution_date") if date else None,
            hours=config["hours"],
            overlap_minutes=config["overlap_minutes"],
            overlap_rows=config["overlap_rows"],
            backfill=_backfill(config.get("backfill_from"), config.get("backfill_to")),
            test_rows=config["test_rows"],
            max_deleted_share=float(config["max_deleted_share"]),
        )

    def interval(self, now: dt.datetime) -> Interval:
        """The run's own interval, for placeholders that are no conditions."""
        end = self.execution_date or now
        return Interval(end - dt.timedelta(hours=self.hours), end)

    def load_type_of(self, entry: ManifestTable) -> LoadType | None:
        """What this run does with a table; None when it leaves it out."""
        own: LoadType = "scd" if entry.load == "scd" else "incremental"
        if self.load_type in (None, own):
            return own
        if self.load_type == "test":
            return "test"
        if own == "scd" or (self.load_type == "deletes" and entry.deletes_exempt):
            return None  # a full sync would replace the copies of earlier runs by one
        return None if self.load_type == "scd" else self.load_type


@dataclass(frozen=True)
class ManifestSource:
    """A manifest's table as SQL to select from.

    Attributes:
        entry: The table.
        values: The values of its internal keys; without those of an interval.
        interval: The run's own, for time placeholders that are not conditions.
    """

    entry: ManifestTable
    values: Mapping[str, str]
    interval: Interval

    @property
    def whole(self) -> str:
        """Its rows without any condition on time."""
        return _parenthesised(self.entry.query.whole(self._values(self.interval)))

    def within(self, interval: Interval) -> str:
        """Its rows in an interval, by the query as it was written."""
        return _parenthesised(self.entry.query.filled(self._values(interval)))

    def _values(self, interval: Interval) -> dict[str, str]:
        return {**self.values, **interval_values(interval.begin, interval.end)}


def choose(
    source: ManifestSource, table: Table, state: State, settings: LoadSettings
) -> Load | None:
    """Choose what to do with a table that the load type leaves in; None when nothing is to be done.

    Raises:
        TapError: a backfill of a table that has no interval.
    """
    load_type = settings.load_type_of(source.entry)
    if load_type == "scd":
        return FullTable(table, state, **{METHOD: "replace-slice", SLICE_COLUMN: UPLOADED_AT})
    if load_type == "deletes":
        share = {MAX_DELETED_SHARE: settings.max_deleted_share, ORDER_COLUMN: UPLOADED_AT}
        # Begun anew each time: keys of another hour would still lack what has been restored since.
        return FullTable(table, {}, **{METHOD: "mark-deleted", **share})
    if load_type == "test":
        is_new = compare(state.get("columns", {}), table.fingerprint).needs_full_sync
        return Sample(table, settings.test_rows) if is_new else None
    if load_type == "full-sync":
        return FullSync(source.entry, table, state)
    return _incremental(source, table, state, settings)


def _incremental(
    source: ManifestSource, table: Table, state: State, settings: LoadSettings
) -> Load:
    by_id = source.entry.load == "load_by_id"
    if by_id:
        _check_key_grows(table)
    if settings.backfill:
        if by_id:
            raise TapError(
                f"{table.label} is loaded by id, so there is no interval to fill from "
                f"{settings.backfill.begin} on. Leave the interval out: then it is read whole."
            )
        if source.entry.load_method != "upsert":
            raise TapError(
                f"{table.label} is appended to, so rows that are read again would be there twice. "
                "Leave the interval out: then the whole table is replaced."
            )
        return Backfill(source, table, state, settings)
    bookmark = "id" if by_id else "end"
    known = bookmark in state or (by_id and "columns" in state)
    change = compare(state.get("columns", {}), table.fingerprint)
    if "version" in state or not known or change.needs_full_sync:
        return FullSync(source.entry, table, state)
    kind = ById if by_id else ByInterval
    return kind(source, table, state, settings, change.dropped)


class FullSync(FullTable):
    """The whole table, replacing what the warehouse has when all of it has arrived."""

    def __init__(self, entry: ManifestTable, table: Table, state: State) -> None:
        dropped = compare(state.get("columns", {}), table.fingerprint).dropped
        dropped += [name for name in state.get("dropped", []) if name not in table.fingerprint]
        hints = {METHOD: "overwrite", DROPPED_COLUMNS: dropped}
        newer = {ORDER_COLUMN: UPLOADED_AT, KEEPS_NEWER: True}  # what the schedule brings meanwhile
        super().__init__(table, state, **hints, **newer)
        self._by_id = entry.load == "load_by_id"
        self._mark = {"version": self.version, "columns": table.fingerprint, "dropped": dropped}

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        key_columns = self.table.key_columns(self.table.key)
        key = reader.ordered(self.table.source, key_columns)
        bookmark = _bookmark(state)
        if "version" not in state:
            bookmark = self._bookmark_to_come(reader)
        mark = {**self._mark, **bookmark}
        return snapshot_parts(reader, self.table.source, key, state, mark)

    @override
    def finished(self, state: State) -> State:
        return {"columns": self.table.fingerprint, **_bookmark(state)}

    def _bookmark_to_come(self, reader: Reader) -> State:
        """The first snapshot's: what changes while later runs read the rest comes after it."""
        if not self._by_id:
            return {"end": reader.end.isoformat()}
        key = KeyRange(self.table.key_columns(self.table.key))
        largest = reader.largest(self.table.source, key)
        return {"id": list(largest)} if largest else {}

    @override
    def _continues(self, table: Table, state: State) -> bool:
        return state.get("columns") == table.fingerprint and super()._continues(table, state)


class _Increment(Load):
    """What was added or changed since the bookmark, merged by key or appended."""

    def __init__(
        self,
        source: ManifestSource,
        table: Table,
        state: State,
        settings: LoadSettings,
        dropped: list[str],
    ) -> None:
        method = source.entry.load_method
        hints: dict[str, Any] = {METHOD: method, DROPPED_COLUMNS: dropped}
        if method == "upsert":
            hints[ORDER_COLUMN] = UPLOADED_AT
        super().__init__(table, state, **hints)
        self.repeatable = method == "upsert"
        self._source, self._settings = source, settings


class ByInterval(_Increment):
    """By the query as it was written, from the last moment sent, less an overlap, until now.

    The overlap brings rows that were stamped before that moment but committed after it; where rows
    are appended they would come twice, so there is none. What is longer than `hours` is read in
    pieces.
    """

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        settings = self._settings
        end = min(reader.end, settings.execution_date or reader.end)
        sent_until = parse_moment(state["end"], f"The bookmark of {self.table.label}")
        begin = sent_until + RESOLUTION
        if self.repeatable:
            begin = sent_until - dt.timedelta(minutes=settings.overlap_minutes)
        if not settings.from_state:
            begin = (settings.execution_date or reader.end) - dt.timedelta(hours=settings.hours)
        unfinished = unfinished_interval(self.table, state)
        if unfinished and settings.from_state:
            begin = unfinished.begin
        first = unfinished if unfinished and unfinished.begin == begin else None
        if max(begin, first.end if first else begin) > end + RESOLUTION:
            raise TapError(
                f"{self.table.label}: the interval would begin at {begin} and end at {end}. The "
                "source is behind what was loaded before, or execution_date is: run again when it "
                "has caught up, correct the setting, or start anew without this stream's state."
            )
        length = dt.timedelta(hours=settings.hours)
        pieces = Interval(begin, end).pieces(length, first, overlapping=self.repeatable)
        columns = {"columns": self.table.fingerprint}
        sent = ((p, {**columns, "end": max(p.end, sent_until).isoformat()}) for p in pieces)
        return interval_parts(reader, self._source, self.table, state, sent)


class ById(_Increment):
    """Rows with a larger key than the largest one sent, for tables that are only inserted into.

    Rows that were committed late have smaller keys: the last `overlap_rows` are read again, unless
    they would be appended again.
    """

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        source, key = self.table.source, self.table.key_columns(self.table.key)
        last = tuple(state["id"]) if "id" in state else None
        after = last
        if last is not None and self.repeatable:
            after = reader.largest(source, KeyRange(key, until=last), self._settings.overlap_rows)
        upper = reader.largest(source, KeyRange(key, after=last)) or last
        cut = reader.ranges if reader.ordered(source, key) else reader.smaller
        for piece in cut(source, key, after):
            until = piece.until or upper
            bookmark = {"id": list(until)} if until else {}
            progress = {"columns": self.table.fingerprint, **bookmark}
            yield Part(source, piece.conditions(), progress)


class Backfill(Load):
    """An interval read once more, in pieces of `hours`, beside the regular bookmark."""

    def __init__(
        self, source: ManifestSource, table: Table, state: State, settings: LoadSettings
    ) -> None:
        assert settings.backfill is not None  # noqa: S101 - who calls has looked
        self._interval, self._settings = settings.backfill, settings
        ends = {
            "from": self._interval.begin.isoformat(),
            "to": self._interval.end.isoformat(),
        }
        start = state if ends.items() <= state.items() else ends
        hints = {METHOD: "upsert", ORDER_COLUMN: UPLOADED_AT}
        super().__init__(table, start, **hints)
        self._source, self._ends = source, ends
        self.repeatable = True

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        begin = self._interval.begin
        if "end" in state:
            begin = parse_moment(state["end"], f"The bookmark of {self.table.label}")
        first = unfinished_interval(self.table, state)
        rest = Interval(first.begin if first else begin, self._interval.end)
        pieces = rest.pieces(dt.timedelta(hours=self._settings.hours), first)
        sent = ((piece, {**self._ends, "end": piece.end.isoformat()}) for piece in pieces)
        return interval_parts(reader, self._source, self.table, state, sent)

    @override
    def finished(self, state: State) -> State:
        return {}


class Sample(Load):
    """A few rows, to see that the table can be loaded."""

    def __init__(self, table: Table, rows: int) -> None:
        super().__init__(table, {}, **{METHOD: "overwrite"})
        self.version = snapshot_version({})
        self._rows = rows

    @override
    def parts(self, reader: Reader, state: State) -> Iterator[Part]:
        yield Part(self.table.source, [], None, limit=self._rows)

    @override
    def finished(self, state: State) -> State:
        return {"columns": self.table.fingerprint}


def _check_key_grows(table: Table) -> None:
    """Refuse a key of which a new row may have a smaller one than the largest that was sent.

    Raises:
        TapError: a column of it is of such a kind.
    """
    for column in table.columns:
        if column.name in table.key and not grows(column.type, column.type_name):
            raise TapError(
                f"{table.label} is loaded by id, but its key {column.name} is of type "
                f"{column.type_name}, whose values do not grow from row to row: new rows would be "
                "skipped. Take another export_table_primary_key, or load it by a condition on a "
                "time in import_query, or whole, without incremental_type."
            )


def _bookmark(state: State) -> State:
    return {name: state[name] for name in ("end", "id") if name in state}


def _backfill(begin: str | None, end: str | None) -> Interval | None:
    if not begin and not end:
        return None
    if not (begin and end):
        raise TapError("A backfill needs both backfill_from and backfill_to. Set the other one.")
    interval = Interval(
        parse_moment(begin, "The setting backfill_from"),
        parse_moment(end, "The setting backfill_to"),
    )
    if interval.begin >= interval.end:
        raise TapError(
            f"The backfill would begin at {begin} and end at {end}. Set backfill_to to a later one."
        )
    return interval


def _parenthesised(query: str) -> str:
    return f"(\n{query}\n) AS query"
