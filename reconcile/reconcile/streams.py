"""The tables that the tap's settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile.errors import ReconcileError
from tap_postgres.catalog import read_catalog
from tap_postgres.client import Server
from tap_postgres.manifest_streams import manifest_streams
from tap_postgres.streams import ManifestStream, PostgresStream, TableStream
from tap_postgres.tap import ALL_PUBLIC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tap_postgres.tap import TapPostgres
    from tapsupport.errors import TapError


def read_streams(
    tap: TapPostgres, wanted: Collection[str], unreadable: dict[str, TapError]
) -> list[PostgresStream]:
    """The tap's streams, or those of the names wanted.

    Args:
        tap: Its settings say what there is.
        wanted: Streams, tables of the manifests or `schema.table`, in any case; none for all.
        unreadable: Takes up what the source does not have or cannot read.

    Raises:
        ReconcileError: there is none of such a name.
        TapError: the settings or manifests are wrong, or no connection can be made.
    """
    streams = list(_streams(tap, unreadable))
    if not wanted:
        return streams
    failed = dict(unreadable)
    unreadable.clear()
    chosen: list[PostgresStream] = []
    for name in wanted:
        found = [stream for stream in streams if name.lower() in _names(stream)]
        if name.lower() in failed:
            unreadable[name.lower()] = failed[name.lower()]
        elif not found:
            known = ", ".join(sorted(stream.name for stream in streams)) or "none"
            raise ReconcileError(
                f"The source has no table {name}; there are: {known}. Correct --table."
            )
        chosen += [stream for stream in found if stream not in chosen]
    return chosen


def _streams(tap: TapPostgres, unreadable: dict[str, TapError]) -> Iterator[PostgresStream]:
    manifests = tap.config.get("manifests")
    if manifests:
        yield from manifest_streams(tap, unreadable)
    patterns = tap.config.get("tables")
    if patterns is None:
        patterns = [] if manifests else ALL_PUBLIC
    if patterns:
        server = Server.from_config(tap.config)
        with tap.connections.lend(server) as database:
            tables = read_catalog(database, patterns, tap.config["unconstrained_numeric"])
        yield from (TableStream(tap, table, server) for table in tables)


def _names(stream: PostgresStream) -> set[str]:
    names = {stream.name, stream.table.label}
    if isinstance(stream, ManifestStream):
        entry = stream._source.entry  # noqa: SLF001 - the tap has no public way to it
        names |= {entry.name, entry.export_table}
    return {name.lower() for name in names}
