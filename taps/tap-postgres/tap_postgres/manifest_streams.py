"""The streams of the manifests that the settings name."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_postgres.connections import Servers
from tap_postgres.entry_key import describe_entry
from tap_postgres.errors import ConnectError
from tap_postgres.manifest import ManifestTable, look_at_manifests, refusal
from tap_postgres.manifest_loads import LoadSettings, ManifestSource
from tap_postgres.seeds import internal_values
from tap_postgres.stamps import TASK_INSTANCE, stamp_names
from tap_postgres.streams import ManifestStream
from tap_postgres.table import Column
from tap_postgres.types import TEXT, TYPES
from tapsupport.errors import TapError, failure_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.client import Database
    from tap_postgres.manifest import Manifests
    from tap_postgres.table import Table
    from tap_postgres.tap import TapPostgres

logger = logging.getLogger(__name__)


def manifest_streams(tap: TapPostgres, unreadable: dict[str, TapError]) -> Iterator[ManifestStream]:
    """Yield a stream for each table that the setting `load_type` leaves in.

    A table whose entry has mistakes, whose server cannot be connected to, that the database does
    not know any more, or whose query it refuses, goes to `unreadable`, by the stream's name; the
    others can be read all the same.

    Raises:
        TapError: a file or the seeds cannot be read, no entry is right, or no server at all can be
            connected to.
    """
    settings = LoadSettings.from_config(tap.config)
    chosen = _chosen(tap, settings, unreadable)
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


def _chosen(
    tap: TapPostgres, settings: LoadSettings, unreadable: dict[str, TapError]
) -> list[ManifestTable]:
    names = tap.config.get("manifest_tables")
    found = look_at_manifests(
        tap.config["manifests"], target_name=tap.config["target_name"], names=names
    )
    chosen = [entry for entry in found.tables if settings.load_type_of(entry) is not None]
    refused = _refused(found, settings)
    if found.problems or (refused and not chosen):
        raise refusal(found.all_problems)
    unreadable.update(refused)
    for warning in (*refused.values(), *filter(None, (entry.note for entry in chosen))):
        logger.warning("%s", warning)
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


def _refused(found: Manifests, settings: LoadSettings) -> dict[str, TapError]:
    """The streams whose entries have mistakes, but for those that the run leaves out anyway."""
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for one in found.refused:
        if one.is_asked_for and (one.table is None or settings.load_type_of(one.table) is not None):
            problems[one.stream] += one.problems
    return {stream: refusal(wrong) for stream, wrong in problems.items()}


def _table(tap: TapPostgres, database: Database, source: ManifestSource) -> Table:
    entry, is_deletes = source.entry, tap.config.get("load_type") == "deletes"
    if is_deletes and not entry.key:
        raise TapError(
            f"Table {entry.name}: rows that vanished can only be told by a key, and "
            "export_table_primary_key is empty. Name one, or set deletes_exempt to true."
        )
    stamps = () if is_deletes else stamp_names(advanced_metadata=entry.advanced_metadata)
    unconstrained = tap.config["unconstrained_numeric"]
    found, note = describe_entry(database, source, _name(tap, entry), stamps, unconstrained)
    if note:
        logger.warning("%s", note)
    if is_deletes:
        columns = tuple(column for column in found.columns if column.name in found.key)
        return replace(found, columns=columns)
    return replace(found, stamps=_stamps(entry))


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
