"""The stream: one table of Xactly, read in full or by its changes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from typing_extensions import override

from tap_xactly.lanes import Lanes
from tap_xactly.loads import FullTable, Incremental, Load, Since, checked_state, is_fresh
from tap_xactly.paging import Reading
from tap_xactly.tables import MODIFIED
from tap_xactly.values import Converter
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_xactly.tables import Column, Table
    from tap_xactly.tap import TapXactly

SHOWN = ("type", "format", "x-sql-datatype")  # what the kind of a column shows in
GRACE_SECONDS = 30  # beyond the statement's own time-out, before a call is given up


class XactlyStream(Stream):
    """Sends its table in pages, as records or as Parquet files.

    `xc_credit_summary` and `xc_quota_summary` have no id, so no key; they are replaced as a whole.
    """

    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    _tap: TapXactly

    def __init__(self, tap: TapXactly, table: Table, *, reloads: bool) -> None:
        super().__init__(tap=tap, schema=table.json_schema, name=table.name)
        self.table = table
        self.primary_keys = table.key
        self.replication_key = None if reloads or not table.is_dated else MODIFIED
        self.load: Load | None = None

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        self.primary_keys = self.table.key  # what rows are told apart by is no choice

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Yield rows as dicts; the lanes do not take this slow way."""
        load = self._choose({})
        if load is not None:
            for batch in Lanes(self, load, self._reading(), self._tap).batches():
                yield from batch.to_pylist()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """The record lane; overridden because the SDK's way handles rows one by one."""
        if self.load:
            Lanes(self, self.load, self._reading(), self._tap).send_records()
        yield from ()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The arrow lane; overridden because the SDK makes batch files out of dicts."""
        if self.load:
            Lanes(self, self.load, self._reading(), self._tap).send_files()

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """The first thing of a sync: choose the load, and say to the loader what it is."""
        self._check_catalog()
        self.load = self._choose(checked_state(self.stream_state, self.name))
        if self.load is None:
            self.logger.info("%s was read to its end a short time ago; skipped.", self.name)
            return
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **self.load.hints}
            yield message

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None  # the bookmark is a date read from the table, never the tap's clock

    @property
    def selected_columns(self) -> tuple[Column, ...]:
        """The table's columns that are selected and that the catalog knows."""
        known = self.effective_schema["properties"]
        return tuple(
            column
            for column in self.table.columns
            if column.name in known and self.mask.get(("properties", column.name), True)
        )

    def _choose(self, state: dict[str, Any]) -> Load | None:
        now = dt.datetime.now(dt.UTC)
        if is_fresh(self.table, state, now, self.config["skip_if_read_within_hours"]):
            return None
        windows = self.config["paging"] == "windows"
        if self.replication_method == "FULL_TABLE":
            return FullTable(self.table, state, now, with_or=not windows)
        if self.replication_method != "INCREMENTAL" or self.replication_key != MODIFIED:
            raise TapError(
                f"{self.name}: the catalog asks for {self.replication_method} by "
                f"{str(self.replication_key)[:60]!r}. Use FULL_TABLE, or INCREMENTAL by {MODIFIED}."
            )
        overlap = dt.timedelta(minutes=self.config["overlap_minutes"])
        since = Since(self.config["start_date"], overlap)
        return Incremental(self.table, state, now, since, windows=windows)

    def _reading(self) -> Reading:
        columns = self.selected_columns
        rounds = self.config["beyond_scale"] == "round"
        is_jdbc = self.config["backend"] == "jdbc"  # over HTTPS every request has its own limit
        dry_run = self.ABORT_AT_RECORD_COUNT or self.config["statement_rows"]
        return Reading(
            backend=self._tap.backend,
            schema=self.config["default_schema"],
            table=self.table,
            columns=columns,
            converter=Converter(self.table, columns, self.config["time_zone"], rounds=rounds),
            limit=min(self.config["statement_rows"], dry_run),
            wait=self.config["statement_timeout_seconds"] + GRACE_SECONDS if is_jdbc else None,
            meanwhile=self._tap.stop_if_asked,
        )

    def _check_catalog(self) -> None:
        """Compare the catalog given with the table as the settings make it."""
        selected = {column.name for column in self.selected_columns}
        needed = {*self.table.key, *([self.replication_key] if self.replication_key else [])}
        if missing := sorted(needed - selected):
            raise TapError(
                f"{self.name}: the catalog leaves out {', '.join(missing)[:200]}, without which "
                "rows cannot be told apart. Select it."
            )
        if not selected:
            raise TapError(f"{self.name}: the catalog selects no column. Select one, or deselect.")
        given = self.effective_schema["properties"]
        for column in self.selected_columns:
            now = {name: column.json_schema.get(name) for name in SHOWN}
            if {name: given[column.name].get(name) for name in SHOWN} != now:
                raise TapError(
                    f"{self.name}.{column.name}: the catalog says another type than the settings. "
                    "Run discovery again; with Meltano, --refresh-catalog."
                )
