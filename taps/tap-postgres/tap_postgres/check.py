"""`--check-manifest`: what is wrong with manifests, found without reading a row."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from tap_postgres.client import Connections, Limits
from tap_postgres.connections import server_for
from tap_postgres.interval import Interval
from tap_postgres.manifest import ManifestTable, read_manifests
from tap_postgres.manifest_loads import ManifestSource
from tap_postgres.placeholders import INTERNAL
from tap_postgres.seeds import internal_values
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 30  # a plan that takes longer has something wrong with it
_YESTERDAY = dt.timedelta(days=1)


def check(config: Mapping[str, Any]) -> bool:
    """Check the manifests of a configuration, and print each problem and what was looked at.

    Without a connection in the configuration, the text alone is looked at.

    Args:
        config: The tap's settings, defaults included.

    Returns:
        Whether everything is right.
    """
    paths = config["manifests"]
    try:
        tables = read_manifests(
            paths, target_name=config["target_name"], names=config.get("manifest_tables")
        )
        connects = bool(config.get("connections") or config.get("host"))
        problems = list(_planned(tables, config)) if connects else []
    except TapError as error:
        click.echo(str(error))
        return False
    for problem in problems:
        click.echo(problem)
    how = "their queries were planned by the server" if connects else "their text was read"
    click.echo(f"{len(tables)} tables in {len(paths)} manifests: {how}; {len(problems)} problems.")
    return not problems


def _planned(tables: list[ManifestTable], config: Mapping[str, Any]) -> Iterator[str]:
    now = dt.datetime.now(dt.UTC)
    recently = Interval(now - _YESTERDAY, now)
    connections = Connections(Limits(_SECONDS, _SECONDS))
    values = _values(config)
    for table in tables:
        source = ManifestSource(table, values, recently)
        queries = {"as it is": source.within(recently)}
        if table.query.has_interval:
            queries["without its interval"] = source.whole
        for how, query in queries.items():
            doing = f"Table {table.name}: planning its query {how}"
            try:
                with connections.lend(server_for(config, table.database_type)) as database:
                    database.plan(f"SELECT * FROM {query}", doing)
            except TapError as error:
                yield str(error)


def _values(config: Mapping[str, Any]) -> Mapping[str, str]:
    folder = config.get("internal_seeds")
    return internal_values(folder) if folder else dict.fromkeys(INTERNAL, "(NULL)")
