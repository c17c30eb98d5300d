"""Settings and streams of tap-postgres."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_postgres.catalog import read_catalog
from tap_postgres.client import Database, Server
from tap_postgres.connections import connection_server
from tap_postgres.placeholders import interval
from tap_postgres.queries import describe
from tap_postgres.streams import PostgresStream
from tapsupport.errors import TapError
from tapsupport.parquet import DEFAULT_FILE_BYTES
from tapsupport.pending import RunDirectory
from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk import Stream

ALL_PUBLIC = ["public.*"]


class TapPostgres(ManneredTap):
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
            "execution_date",
            th.StringType,
            description="End of the manifests' interval, ISO 8601. Default: now.",
        ),
        th.Property(
            "hours", th.IntegerType, default=24, description="Length of that interval, in hours."
        ),
        th.Property(
            "range_rows",
            th.IntegerType,
            default=1_000_000,
            description="Most rows of a range; wide rows make fewer.",
        ),
        th.Property(
            "max_pending_files",
            th.IntegerType,
            default=4,
            description="Batch files that may wait for the loader.",
        ),
        th.Property(
            "batch_file_bytes",
            th.IntegerType,
            default=DEFAULT_FILE_BYTES,
            description="Compressed bytes at which a batch file ends.",
        ),
        th.Property(
            "statement_timeout_seconds",
            th.IntegerType,
            default=0,
            description="The longest a query may take, the loader's time included; "
            "0 leaves it to the server.",
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
        self._databases: dict[Server, Database] = {}
        super().__init__(**kwargs)

    @override
    def discover_streams(self) -> Sequence[Stream]:
        self._refuse_unsupported_settings()
        streams = [*self._manifest_streams(), *self._table_streams()]
        self._check_selected({stream.name for stream in streams})
        return streams

    @cached_property
    def run_directory(self) -> RunDirectory:
        """Where this run's batch files are."""
        root = self.config["batch_config"]["storage"]["root"]
        path = Path(unquote(urlsplit(root).path) if root.startswith("file://") else root)
        return RunDirectory(path, self.name, self.config["max_pending_files"])

    def _table_streams(self) -> Iterator[PostgresStream]:
        patterns = self.config.get("tables")
        if patterns is None:
            patterns = [] if self.config.get("manifests") else ALL_PUBLIC
        if patterns:
            database = self._database(self._own_server())
            unconstrained = self.config["unconstrained_numeric"]
            for table in read_catalog(database, patterns, unconstrained):
                yield PostgresStream(self, table, database)

    def _manifest_streams(self) -> Iterator[PostgresStream]:
        if not (paths := self.config.get("manifests")):
            return
        from tap_postgres.manifest import (  # noqa: PLC0415 - its imports take half a second
            read_manifests,
        )

        values = interval(self.config.get("execution_date"), self.config["hours"])
        for entry in read_manifests(paths):
            database = self._database(self._server(entry.database_type))
            unconstrained = self.config["unconstrained_numeric"]
            yield PostgresStream(self, describe(entry, database, values, unconstrained), database)

    def _server(self, database_type: str | None) -> Server:
        path = self.config.get("connections")
        if database_type is None or path is None:
            return self._own_server()
        return connection_server(path, database_type)

    def _own_server(self) -> Server:
        names = ("host", "user", "database")
        if missing := [name for name in names if not self.config.get(name)]:
            raise TapError(f"Connecting needs the setting {', '.join(missing)}. Set it.")
        return Server(
            host=self.config["host"],
            port=self.config["port"],
            user=self.config["user"],
            password=self.config.get("password", ""),
            database=self.config["database"],
            sslmode=self.config.get("sslmode"),
            sslrootcert=self.config.get("sslrootcert"),
        )

    def _database(self, server: Server) -> Database:
        """One connection for each server, however many streams it has."""
        if server not in self._databases:
            timeout_seconds = self.config["statement_timeout_seconds"]
            self._databases[server] = Database(server, timeout_seconds)
        return self._databases[server]

    def _refuse_unsupported_settings(self) -> None:
        if self.config.get("stream_maps") or self.config.get("flattening_enabled"):
            raise TapError(
                "tap-postgres has no stream_maps and no flattening: rows never pass through "
                "Python. Select columns in the catalog, or put a Singer mapper behind the tap."
            )
        batch_config = self.config.get("batch_config")
        if batch_config and batch_config["encoding"]["format"] != "parquet":
            raise TapError(
                f"batch_config asks for {batch_config['encoding']['format']} files, but "
                "tap-postgres writes parquet. Set encoding.format to parquet, or leave "
                "batch_config out to get RECORD messages."
            )
        root = batch_config["storage"]["root"] if batch_config else ""
        if "://" in root and not root.startswith("file://"):
            raise TapError(
                f"batch_config's root is {root}, but tap-postgres writes batch files to a local "
                "directory. Set storage.root to one."
            )

    def _check_selected(self, found: set[str]) -> None:
        """Raise for a stream that the given catalog selects and the database does not have."""
        for entry in self.input_catalog.streams if self.input_catalog else []:
            selected = entry.metadata.resolve_selection().get((), True)
            if selected and entry.tap_stream_id not in found:
                raise TapError(
                    f"The catalog selects {entry.tap_stream_id}, but the database has no such "
                    "table any more, or user may not read it, or the setting tables does not "
                    "match it. Run discovery again; with Meltano, --refresh-catalog."
                )
