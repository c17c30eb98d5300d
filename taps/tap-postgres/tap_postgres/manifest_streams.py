"""The streams of the manifests that the settings name."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

from tap_postgres.connections import server_for
from tap_postgres.errors import ConnectError
from tap_postgres.manifest import ManifestTable, read_manifests
from tap_postgres.manifest_loads import TASK_INSTANCE, UPLOADED_AT, LoadSettings, ManifestSource
from tap_postgres.queries import describe
from tap_postgres.seeds import internal_values
from tap_postgres.streams import ManifestStream
from tap_postgres.table import Column, Table
from tap_postgres.types import TEXT, TYPES
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.client import Database
    from tap_postgres.tap import TapPostgres

logger = logging.getLogger(__name__)


def manifest_streams(tap: TapPostgres, unreadable: dict[str, TapError]) -> Iterator[ManifestStream]:
    """Yield a stream for each table that the setting `load_type` leaves in.

    A table that the database does not know any more, or whose query it refuses, goes to
    `unreadable`, by the stream's name; the others can be read all the same.

    Raises:
        TapError: a manifest, the connections or the seeds are wrong, or no connection can be made.
    """
    settings = LoadSettings.from_config(tap.config)
    names = tap.config.get("manifest_tables")
    tables = read_manifests(
        tap.config["manifests"], target_name=tap.config["target_name"], names=names
    )
    chosen = [entry for entry in tables if settings.load_type_of(entry) is not None]
    if names and not chosen:
        raise TapError(
            f"There is nothing to load: the load type {tap.config.get('load_type')} leaves out "
            f"{', '.join(names)}. Choose another load_type, or other manifest_tables."
        )
    values = _internal_values(tap, chosen)
    interval = settings.interval(dt.datetime.now(dt.UTC))
    for entry in chosen:
        server = server_for(tap.config, entry.database_type)
        source = ManifestSource(entry, values, interval)
        try:
            with tap.connections.lend(server) as database:
                table = _table(tap, database, source)
        except ConnectError:
            raise
        except TapError as error:
            logger.warning("%s", error)
            unreadable[_name(tap, entry)] = error
            continue
        yield ManifestStream(tap, table, server, source, settings)


def _table(tap: TapPostgres, database: Database, source: ManifestSource) -> Table:
    entry = source.entry
    unconstrained = tap.config["unconstrained_numeric"]
    found = describe(database, _name(tap, entry), source.whole, entry.key, unconstrained)
    if tap.config.get("load_type") == "deletes":
        columns = tuple(column for column in found.columns if column.name in entry.key)
        return Table(found.stream, found.label, found.source, columns, found.key)
    stamps = _stamps(entry)
    if taken := {stamp.name for stamp in stamps} & {column.name for column in found.columns}:
        raise TapError(
            f"{found.label}: its import_query selects {', '.join(sorted(taken))}, a name that the "
            "tap gives to a column of its own. Give it another name."
        )
    return Table(found.stream, found.label, found.source, found.columns, found.key, stamps=stamps)


def _stamps(entry: ManifestTable) -> tuple[Column, ...]:
    uploaded_at = Column(UPLOADED_AT, TYPES["float8"])
    if not entry.advanced_metadata:
        return (uploaded_at,)
    return (uploaded_at, Column(TASK_INSTANCE, TEXT))


def _internal_values(tap: TapPostgres, tables: list[ManifestTable]) -> dict[str, str]:
    if not any(entry.query.has_internal_keys for entry in tables):
        return {}
    folder = tap.config.get("internal_seeds")
    if not folder:
        raise TapError(
            "The manifests use INTERNAL_ keys, but nothing says where their CSV files are. "
            "Set internal_seeds."
        )
    return internal_values(folder)


def _name(tap: TapPostgres, entry: ManifestTable) -> str:
    return entry.stream(tap.config["target_name"])
