"""`--check-manifest`: everything that is wrong with manifests, found at once.

Without a connection their text is looked at. With one, the server plans each query and gives its
columns, which reads no row. A key that no unique index proves is looked at in the data where that
is cheap by the server's own estimate: a check must not keep a source busy.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from tap_postgres.client import Connections, Limits
from tap_postgres.connections import Servers
from tap_postgres.entry_key import describe_entry
from tap_postgres.errors import ConnectError
from tap_postgres.interval import Interval
from tap_postgres.manifest import look_at_manifests
from tap_postgres.manifest_loads import ManifestSource
from tap_postgres.placeholders import INTERNAL
from tap_postgres.queries import check_key, has_unique_index, key_query
from tap_postgres.seeds import internal_values
from tap_postgres.stamps import stamp_names
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_postgres.client import Database
    from tap_postgres.manifest import ManifestTable

_SECONDS = 30  # a plan that takes longer has something wrong with it
_YESTERDAY = dt.timedelta(days=1)
# In the planner's units, where reading a page is 1: some 500,000 short rows, a quarter of a second.
_CHEAP = 50_000


def check(config: Mapping[str, Any]) -> bool:
    """Check the manifests of a configuration, and print each problem and what was looked at.

    Args:
        config: The tap's settings, defaults included.

    Returns:
        Whether everything is right.
    """
    paths = config["manifests"]
    names = config.get("manifest_tables")
    found = look_at_manifests(paths, target_name=config["target_name"], names=names)
    problems = [f"{problem.rstrip('.')}." for problem in found.all_problems]
    notes = [entry.note for entry in found.tables if entry.note]
    how = "their text was read"
    if config.get("connections") or config.get("host"):
        report = _Report()
        _look_at_tables(found.tables, config, report)
        problems += report.problems
        notes += report.notes
        how = "their queries were planned by the server"
    for line in (*notes, *problems):
        click.echo(line)
    click.echo(
        f"{found.entries} tables in {len(paths)} manifests: {how}; {len(problems)} problems."
    )
    return not problems


@dataclass
class _Report:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, problem: object) -> None:
        """Add a problem, once where it is that of many tables."""
        if str(problem) not in self.problems:
            self.problems.append(str(problem))


def _look_at_tables(
    tables: list[ManifestTable], config: Mapping[str, Any], report: _Report
) -> None:
    now = dt.datetime.now(dt.UTC)
    recently = Interval(now - _YESTERDAY, now)
    servers = Servers(config, Connections(Limits(_SECONDS, _SECONDS)))
    values = _values(config, report)
    for table in tables:
        look = _Look(servers, ManifestSource(table, values, recently), report)
        try:
            if look.at_plans():
                look.at_result()
        except ConnectError as error:
            report.add(error)


def _values(config: Mapping[str, Any], report: _Report) -> Mapping[str, str]:
    folder = config.get("internal_seeds")
    try:
        if folder:
            return internal_values(folder)
    except TapError as error:
        report.add(error)
    return dict.fromkeys(INTERNAL, "(NULL)")


@dataclass(frozen=True)
class _Look:
    """One table's queries, as a server sees them."""

    servers: Servers
    source: ManifestSource
    report: _Report

    @property
    def _entry(self) -> ManifestTable:
        return self.source.entry

    def at_plans(self) -> bool:
        """Whether the server plans its queries.

        Raises:
            ConnectError: no connection can be made.
        """
        queries = {"as it is": self.source.within(self.source.interval)}
        if self._entry.query.has_interval:
            queries["without its interval"] = self.source.whole
        results = [self._plans(how, query) for how, query in queries.items()]
        return all(results)

    def at_result(self) -> None:
        """Look at the names of its columns, and at its key.

        Raises:
            ConnectError: no connection can be made.
        """
        entry = self._entry
        stamps = stamp_names(advanced_metadata=entry.advanced_metadata)
        label = f"table {entry.name}"
        try:
            with self.servers.lend(entry.database_type) as database:
                _, note = describe_entry(database, self.source, label, stamps, "text")
                if note:
                    self.report.notes.append(note)
                if entry.key and entry.load != "scd":
                    self._look_at_key(database)
        except ConnectError:
            raise
        except TapError as error:
            self.report.add(error)

    def _plans(self, how: str, query: str) -> bool:
        doing = f"Table {self._entry.name}: planning its query {how}"
        try:
            with self.servers.lend(self._entry.database_type) as database:
                database.plan(f"SELECT * FROM {query}", doing)
        except ConnectError:
            raise
        except TapError as error:
            self.report.add(error)
            return False
        return True

    def _look_at_key(self, database: Database) -> None:
        entry, whole = self._entry, self.source.whole
        base = entry.query.base
        if base is not None and has_unique_index(database, base, entry.key):
            return
        doing = f"Table {entry.name}: planning to look at its key"
        plan = database.plan(key_query(whole, [], entry.key), doing)
        if plan["Total Cost"] <= _CHEAP:
            check_key(database, f"table {entry.name}", whole, [], entry.key)
            return
        self.report.notes.append(
            f"Table {entry.name}: no unique index proves its key {', '.join(entry.key)}, and the "
            "table is too large to look at every row here. Each run looks before it sends rows."
        )
