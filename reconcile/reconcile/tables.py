"""A table to compare: how tap-postgres reads it, and what the loader made of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconcile.columns import Comparable, comparable
from reconcile.errors import ReconcileError
from reconcile.keys import KeyRange, copy_key, has_native_order, source_key
from reconcile.side import Side
from snowflake_loader.deletions import IS_DELETED
from snowflake_loader.hints import Hints
from snowflake_loader.names import fold, fold_all, quote, table_name
from snowflake_loader.settings import LoadMethod, StreamSettings, stream_settings
from tap_postgres.interval import Interval
from tap_postgres.stamps import UPLOADED_AT
from tap_postgres.streams import ManifestStream, PostgresStream

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reconcile.keys import Key
    from reconcile.warehouse import Warehouse
    from tap_postgres.manifest_loads import ManifestSource

_TOMORROW = dt.timedelta(days=1)
_AWAITED = dt.timedelta(days=2)  # so long a change may wait for a load


@dataclass(frozen=True)
class Pair:
    """A table and its copy.

    Attributes:
        stream: How the tap reads it.
        table: The table in Snowflake.
        source: PostgreSQL's side.
        copy: Snowflake's side.
        settings: The loader's settings for the stream.
        loaded_at: When the newest row was read, in seconds since the epoch; None where rows do not
            say so.
    """

    stream: PostgresStream
    table: str
    source: Side
    copy: Side
    settings: StreamSettings
    loaded_at: float | None

    @property
    def manifest(self) -> ManifestSource | None:
        """What the manifest says of it; None for a table of the catalog."""
        if not isinstance(self.stream, ManifestStream):
            return None
        return self.stream._source  # noqa: SLF001 - the tap has no public way to it

    @property
    def load(self) -> str:
        """What kind of load brings it: scd, interval, load_by_id, or catalog."""
        return self.manifest.entry.load if self.manifest else "catalog"

    @property
    def appends(self) -> bool:
        """Whether rows are added, never replaced."""
        append_only = LoadMethod.APPEND_ONLY.value
        asked = self.manifest is not None and self.manifest.entry.load_method == append_only
        return asked or self.settings.load_method is LoadMethod.APPEND_ONLY

    @property
    def is_indexed(self) -> bool:
        """Whether a range of keys can be read by PostgreSQL without reading all of them."""
        return has_native_order(self.source.key.columns)

    @property
    def keeps_vanished(self) -> bool:
        """Whether rows that the source has no more are meant to stay."""
        return self.manifest is not None and self.manifest.entry.deletes_exempt

    def newer(self, keys: Sequence[Key]) -> set[Key]:
        """Which of some keys the next load will bring anyway."""
        if not keys or self.manifest is None:
            return set()
        if self.load == "load_by_id":
            beyond = self.source.key.within(KeyRange(after=self.copy.largest()))
            side = replace(self.source, conditions=(*self.source.conditions, *beyond))
            return set(side.hashes_of(keys))
        if self.load != "interval" or self.loaded_at is None:
            return set()
        overlap = dt.timedelta(minutes=self.stream.config["overlap_minutes"])
        now = dt.datetime.now(dt.UTC)
        begin = dt.datetime.fromtimestamp(self.loaded_at, dt.UTC) - overlap
        # The newest row that arrived says nothing of a load that was lost whole.
        to_come = self.manifest.within(Interval(max(begin, now - _AWAITED), now + _TOMORROW))
        return set(replace(self.source, source=to_come).hashes_of(keys))


def pair(stream: PostgresStream, warehouse: Warehouse, ignored: Collection[str]) -> Pair:
    """Find a stream's table in Snowflake, and how to compare the two.

    Raises:
        ReconcileError: Snowflake has no such table, lacks a column, or cannot be asked.
    """
    settings = stream_settings(warehouse.config, stream.name, Hints())
    whole = bool(settings.table or warehouse.config["use_raw_stream_names"])
    table = table_name(settings.table or stream.name, whole=whole)
    stored = warehouse.columns(table)
    columns = _columns(stream, table, stored, {name.lower() for name in ignored})
    key = [column for name in stream.table.key for column in columns if column.name == name]
    source = Side(
        name="the source",
        run=_postgres(stream),
        source=stream.table.source,
        conditions=(),
        key=source_key(stream.name, key),
        row=_concat([column.in_source_row for column in columns]),
    )
    copy = Side(
        name="Snowflake",
        run=warehouse.run,
        source=warehouse.reference(table),
        conditions=(),
        key=copy_key(key),
        row=" || '|' || ".join(column.in_copy_row for column in columns),
    )
    found = Pair(stream, table, source, copy, settings, None)
    return _at_the_last_load(found, warehouse, stored)


def _at_the_last_load(found: Pair, warehouse: Warehouse, stored: Collection[str]) -> Pair:
    conditions = []
    if IS_DELETED in stored:
        conditions.append(f"NOT COALESCE({quote(IS_DELETED)}, FALSE)")
    loaded_at = None
    uploaded_at = fold(UPLOADED_AT)
    if found.manifest and uploaded_at in stored:
        newest = f"SELECT MAX({quote(uploaded_at)}) AS newest FROM {found.copy.source}"
        ((loaded_at,),) = warehouse.run(newest, f"looking for the last load of {found.table}")
        if found.load == "scd":  # each run adds a copy of the whole table
            conditions.append(f"{quote(uploaded_at)} = ({newest})")
    return replace(
        found, loaded_at=loaded_at, copy=replace(found.copy, conditions=tuple(conditions))
    )


def _columns(
    stream: PostgresStream, table: str, stored: dict[str, Any], ignored: Collection[str]
) -> list[Comparable]:
    names = fold_all(column.name for column in (*stream.table.columns, *stream.table.stamps))
    compared = [
        column
        for column in stream.table.columns
        if column.name.lower() not in ignored or column.name in stream.table.key
    ]
    if missing := [column.name for column in compared if names[column.name] not in stored]:
        raise ReconcileError(
            f"Snowflake's table {table} has no column for {', '.join(missing)} of {stream.name}. "
            "Load the table, which adds it, or leave it out with --ignore."
        )
    out_of_range = stream.config["out_of_range"]
    return [
        comparable(
            stream.name, column, names[column.name], stored[names[column.name]], out_of_range
        )
        for column in compared
    ]


def _postgres(stream: PostgresStream) -> Any:  # noqa: ANN401 - as Side.run
    connections = stream._tap.connections  # noqa: SLF001 - likewise

    def run(query: str, purpose: str) -> list[tuple[Any, ...]]:
        with connections.lend(stream.server) as database:
            rows = database.rows(query, f"Comparing {stream.name}: {purpose} in the source")
        return [tuple(row.values()) for row in rows]

    return run


def _concat(parts: Sequence[str]) -> str:
    """One concat() of all, or of several, since PostgreSQL's functions take 100 arguments."""
    groups = [parts[start : start + 20] for start in range(0, len(parts), 20)]
    joined = [f"concat({', '.join(_with_bars(group))})" for group in groups]
    return joined[0] if len(joined) == 1 else f"concat({', '.join(_with_bars(joined))})"


def _with_bars(parts: Sequence[str]) -> list[str]:
    return [piece for part in parts for piece in ("'|'", part)][1:]
