"""The streams of the manifests that the settings name."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

from tap_postgres.connections import Servers
from tap_postgres.errors import ConnectError
from tap_postgres.manifest import ManifestTable, read_manifests
from tap_postgres.manifest_loads import LoadSettings, ManifestSource
from tap_postgres.queries import Names, describe
from tap_postgres.seeds import internal_values
from tap_postgres.stamps import TASK_INSTANCE, stamp_names
from tap_postgres.streams import ManifestStream
from tap_postgres.table import Column, Table
from tap_postgres.types import TEXT, TYPES
from tapsupport.errors import TapError, failure_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.client import Database
    from tap_postgres.tap import TapPostgres

logger = logging.getLogger(__name__)


def manifest_streams(tap: TapPostgres, unreadable: dict[str, TapError]) -> Iterator[ManifestStream]:
    """Yield a stream for each table that the setting `load_type` leaves in.

    A table whose server cannot be connected to, that the database does not know any more, or whose
    query it refuses, goes to `unreadable`, by the stream's name; the others can be read all the
    same.

    Raises:
        TapError: a manifest or the seeds are wrong, or no server at all can be connected to.
    """
    settings = LoadSettings.from_config(tap.config)
    chosen = _chosen(tap, settings)
    values = _internal_values(tap, chosen)
    interval = settings.interval(dt.datetime.now(dt.UTC))
    servers = Servers(tap.config, tap.connections)
    unconnected: dict[str, TapError] = {}
    for entry in chosen:
        source = ManifestSource(entry, values, interval)
        try:
            with servers.lend(entry.database_type) as database:
                table = _table(tap, database, source)
        except ConnectError as error:
            unconnected[_name(tap, entry)] = error
            continue
        except TapError as error:
            logger.warning("%s", error)
            unreadable[_name(tap, entry)] = error
            continue
        yield ManifestStream(tap, table, servers.find(entry.database_type), source, settings)
    if chosen and len(unconnected) == len(chosen):
        raise TapError(failure_summary(unconnected, len(chosen)))
    for reason in {str(error) for error in unconnected.values()}:
        logger.warning("Some tables cannot be read. %s", reason)
    unreadable.update(unconnected)


def _chosen(tap: TapPostgres, settings: LoadSettings) -> list[ManifestTable]:
    names = tap.config.get("manifest_tables")
    tables = read_manifests(
        tap.config["manifests"], target_name=tap.config["target_name"], names=names
    )
    chosen = [entry for entry in tables if settings.load_type_of(entry) is not None]
    if names and not chosen:
        raise TapError(
            f"There is nothing to load: the load type {settings.load_type} leaves out "
            f"{', '.join(names)}. Choose another load_type, or other manifest_tables."
        )
    if not chosen:
        logger.warning(
            "There is nothing to load: the load type %s leaves out every table.", settings.load_type
        )
    return chosen


def _table(tap: TapPostgres, database: Database, source: ManifestSource) -> Table:
    entry, is_deletes = source.entry, tap.config.get("load_type") == "deletes"
    stamps = () if is_deletes else stamp_names(advanced_metadata=entry.advanced_metadata)
    names = Names(entry.key, stamps)
    unconstrained = tap.config["unconstrained_numeric"]
    found = describe(database, _name(tap, entry), source.whole, names, unconstrained)
    if is_deletes:
        columns = tuple(column for column in found.columns if column.name in entry.key)
        return Table(found.stream, found.label, found.source, columns, found.key)
    return Table(
        found.stream, found.label, found.source, found.columns, found.key, stamps=_stamps(entry)
    )


def _stamps(entry: ManifestTable) -> tuple[Column, ...]:
    names = stamp_names(advanced_metadata=entry.advanced_metadata)
    return tuple(Column(name, TEXT if name == TASK_INSTANCE else TYPES["float8"]) for name in names)


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
