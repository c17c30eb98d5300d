"""Settings, streams and the run of tap-postgres."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click
from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_postgres.catalog import read_catalog
from tap_postgres.client import Connections, Limits, Server
from tap_postgres.interval import readable_until
from tap_postgres.side_by_side import sync_streams
from tap_postgres.streams import PostgresStream, TableStream
from tapsupport.arrow_tap import ArrowTap
from tapsupport.errors import TapError, failure_summary
from tapsupport.parquet import DEFAULT_FILE_BYTES
from tapsupport.process import interruptible
from tapsupport.shares import share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk import Stream

ALL_PUBLIC = ["public.*"]


class TapPostgres(ArrowTap):
    """Singer tap for PostgreSQL: tables and views, or the queries of manifests."""

    name = "tap-postgres"
    dynamic_catalog = True
    capabilities = [  # noqa: RUF012 - the SDK's name; stream maps would need every row in Python
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = th.PropertiesList(
        th.Property("host", th.StringType, description="Server's name or address."),
        th.Property("port", th.IntegerType, default=5432, description="Server's port."),
        th.Property("user", th.StringType, description="User to log in as; SELECT is enough."),
        th.Property("password", th.StringType, secret=True, description="That user's password."),
        th.Property("database", th.StringType, description="Database to read."),
        th.Property(
            "sslmode",
            th.StringType,
            allowed_values=["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            description="libpq's sslmode; its default is prefer.",
        ),
        th.Property(
            "sslrootcert", th.StringType, description="Path of the CA certificates to verify with."
        ),
        th.Property(
            "tables",
            th.ArrayType(th.StringType),
            description="Tables and views to offer, as schema.table with * for any characters. "
            "Default: public.*, or none when there are manifests.",
        ),
        th.Property(
            "manifests", th.ArrayType(th.StringType), description="Paths of manifest files."
        ),
        th.Property(
            "connections",
            th.StringType,
            description="Path of the file that gives the manifests' connections as names of "
            "environment variables.",
        ),
        th.Property(
            "manifest_tables",
            th.ArrayType(th.StringType),
            description="Which of the manifests' tables to load, by their names there. "
            "Default: all.",
        ),
        th.Property(
            "target_name",
            th.StringType,
            default="import_db_export_table",
            allowed_values=["import_db_export_table", "export_table"],
            description="What a manifest's table is called: with its source database or without.",
        ),
        th.Property(
            "internal_seeds",
            th.StringType,
            description="Folder, path or URL, of the CSV files that the INTERNAL_ keys come from.",
        ),
        th.Property(
            "load_type",
            th.StringType,
            allowed_values=["scd", "incremental", "full-sync", "deletes", "test"],
            description="Which load of the manifests' tables to run, for those it fits. "
            "Default: scd or incremental, whichever a table is.",
        ),
        th.Property(
            "interval_from",
            th.StringType,
            default="state",
            allowed_values=["state", "schedule"],
            description="Where an interval begins: where the last one ended, less overlap_minutes, "
            "or hours before execution_date.",
        ),
        th.Property(
            "execution_date",
            th.StringType,
            description="End of the interval, ISO 8601. Default: now, by the server's clock.",
        ),
        th.Property(
            "hours",
            th.IntegerType(minimum=1),
            default=24,
            description="Length of the interval; a longer one is read in pieces of so many hours.",
        ),
        th.Property(
            "overlap_minutes",
            th.IntegerType(minimum=0),
            default=30,
            description="How far an interval reaches back behind the end of the last one.",
        ),
        th.Property(
            "overlap_rows",
            th.IntegerType(minimum=0),
            default=10_000,
            description="How many keys below the last one load_by_id reads again.",
        ),
        th.Property(
            "backfill_from",
            th.StringType,
            description="Begin of an interval to read again, ISO 8601, beside the bookmark.",
        ),
        th.Property("backfill_to", th.StringType, description="End of that interval, ISO 8601."),
        th.Property(
            "test_rows",
            th.IntegerType(minimum=1),
            default=100_000,
            description="Most rows of a table that the load type test takes.",
        ),
        th.Property(
            "max_deleted_share",
            share(),
            default=0.2,
            description="Share of a table's rows that deletes may mark in one run, 0 to 1.",
        ),
        th.Property(
            "max_replica_lag_seconds",
            th.IntegerType(minimum=0),
            default=3600,
            description="How far a replica may lag behind before the manifests' tables fail; "
            "0 is no limit.",
        ),
        th.Property(
            "task_instance",
            th.StringType,
            description="Text of _task_instance, where a manifest asks for advanced_metadata. "
            "Default: the tap's name and the moment at which it started.",
        ),
        th.Property(
            "max_parallel",
            th.IntegerType(minimum=1),
            default=4,
            description="How many tables, and how many ranges, to read at once into batch files.",
        ),
        th.Property(
            "range_rows",
            th.IntegerType(minimum=1),
            default=1_000_000,
            description="Most rows of a range; wide rows make fewer.",
        ),
        th.Property(
            "max_pending_files",
            th.IntegerType(minimum=1),
            default=8,
            description="Batch files that may exist at once, being written or waiting for the "
            "loader.",
        ),
        th.Property(
            "batch_file_bytes",
            th.IntegerType(minimum=1),
            default=DEFAULT_FILE_BYTES,
            description="Compressed bytes at which a batch file ends.",
        ),
        th.Property(
            "statement_timeout_seconds",
            th.IntegerType(minimum=0),
            default=0,
            description="The longest a query may take, the loader's time included; "
            "0 leaves it to the server.",
        ),
        th.Property(
            "lock_timeout_seconds",
            th.IntegerType(minimum=0),
            default=60,
            description="How long a query may wait for a lock; 0 leaves it to the server.",
        ),
        th.Property(
            "unconstrained_numeric",
            th.StringType,
            default="number(38,9)",
            allowed_values=["number(38,9)", "text"],
            description="What becomes of numeric columns without a precision.",
        ),
        th.Property(
            "out_of_range",
            th.StringType,
            default="error",
            allowed_values=["error", "null"],
            description="What becomes of NaN, infinities and dates outside the years 1 to 9999.",
        ),
    ).to_dict()

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        self._unreadable: dict[str, TapError] = {}
        self._clocks: dict[Server, dt.datetime] = {}
        super().__init__(**kwargs)

    # The command

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        command.params.append(
            click.Option(
                ["--check-manifest"],
                multiple=True,
                metavar="PATH",
                help="Check a manifest, and do nothing else; with --config, also that the server "
                "can plan its queries.",
            )
        )
        return command

    @classmethod
    @override
    def invoke(cls, *, check_manifest: Sequence[str] = (), **options: Any) -> None:
        if not check_manifest:
            return super().invoke(**options)
        from tap_postgres.check import check  # noqa: PLC0415 - its imports take half a second

        given = options["config"]
        tap = cls(
            config=given.config if given else None,
            parse_env_config=given.parse_env if given else False,
            validate_config=False,
            setup_mapper=False,
        )
        if not check({**tap.config, "manifests": list(check_manifest)}):
            raise SystemExit(1)
        return None

    # Streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        self.refuse_unsupported_settings()
        return [*self._manifest_streams(), *self._table_streams()]

    def _table_streams(self) -> Iterator[PostgresStream]:
        patterns = self.config.get("tables")
        if patterns is None:
            patterns = [] if self.config.get("manifests") else ALL_PUBLIC
        if patterns:
            server = Server.from_config(self.config)
            unconstrained = self.config["unconstrained_numeric"]
            with self.connections.lend(server) as database:
                tables = read_catalog(database, patterns, unconstrained)
            for table in tables:
                yield TableStream(self, table, server)

    def _manifest_streams(self) -> Iterator[PostgresStream]:
        if not self.config.get("manifests"):
            return
        from tap_postgres.manifest_streams import (  # noqa: PLC0415 - its imports take half a second
            manifest_streams,
        )

        yield from manifest_streams(self, self._unreadable)

    # What streams share

    @cached_property
    def connections(self) -> Connections:
        """The run's connections to all servers."""
        limits = Limits(
            self.config["statement_timeout_seconds"], self.config["lock_timeout_seconds"]
        )
        return Connections(limits)

    @cached_property
    def readers(self) -> ThreadPoolExecutor:
        """The threads that read ranges side by side."""
        return ThreadPoolExecutor(self.config["max_parallel"], thread_name_prefix="range")

    @cached_property
    def task_instance(self) -> str:
        """What `_task_instance` says in every row of this run."""
        started = f"{self.name} {dt.datetime.now(dt.UTC).isoformat()}"
        return str(self.config.get("task_instance") or started)

    def readable_until(self, server: Server) -> dt.datetime:
        """The moment until which this run reads a server, asked once, before the first snapshot.

        Raises:
            TapError: see `interval.readable_until`.
        """
        with self.state_lock:
            if server not in self._clocks:
                with self.connections.lend(server) as database:
                    limit = self.config["max_replica_lag_seconds"]
                    self._clocks[server] = readable_until(database, limit)
            return self._clocks[server]

    # The run

    @override  # type: ignore[misc]  # final there, but one stream after the other is too slow
    def sync_all(self) -> None:
        """Sync the selected streams, several at once; one that fails does not stop the others.

        Raises:
            TapError: some streams failed; says which, and why.
        """
        # An empty one, too: the loader must know where each table stood, should it refuse one.
        self.state_writer.write_state(self.state or {"bookmarks": {}})
        selected = [stream for stream in self.streams.values() if stream.selected]
        failures = {**self._unreadable, **self._missing_streams()}
        side_by_side = self.config["max_parallel"] if self.config.get("batch_config") else 1
        _ = self.config.get("batch_config") and self.run_directory
        with interruptible(self.connections.cancel):
            failures |= sync_streams(selected, side_by_side, self)
        for stream in selected:
            stream.log_sync_costs()
        if failures:
            streams = {stream.name for stream in selected} | failures.keys()
            raise TapError(failure_summary(failures, len(streams)))

    def _missing_streams(self) -> dict[str, TapError]:
        """What the given catalog selects and the database does not have."""
        missing = {}
        for entry in self.input_catalog.streams if self.input_catalog else []:
            name = entry.tap_stream_id
            selected = entry.metadata.resolve_selection().get((), True)
            if selected and name not in self.streams and name not in self._unreadable:
                missing[name] = TapError(
                    f"The catalog selects {name}, but the database has no such table any more, or "
                    "user may not read it, or the settings do not ask for it. Run discovery "
                    "again; with Meltano, --refresh-catalog."
                )
        return missing
