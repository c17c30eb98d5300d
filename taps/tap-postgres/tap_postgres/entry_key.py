"""The columns that the `export_table_primary_key` of a manifest's entry means.

It is a list of the query's columns, or of expressions that the query selects under an alias. Each
is SQL: a name without quotes is in lower case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_postgres.queries import Names, describe, has_unique_index
from tap_postgres.query import column_name, parse_names
from tap_postgres.whole_query import DIALECT

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlglot import exp

    from tap_postgres.client import Database
    from tap_postgres.manifest_loads import ManifestSource
    from tap_postgres.query import ManifestQuery
    from tap_postgres.table import Table


@dataclass(frozen=True)
class EntryKey:
    """The columns, none when something is wrong; that is the rest of a sentence then."""

    columns: tuple[str, ...]
    problem: str | None = None


def find_key(text: str, query: ManifestQuery) -> EntryKey:
    """Look up a key's columns in the query, as far as its text shows them."""
    try:
        parts = parse_names(text)
    except ValueError as error:
        return EntryKey((), str(error))
    if text.strip() and not parts:
        return EntryKey((), "names no column")
    names = {part.sql(DIALECT): _column(part, query) for part in parts}
    if unknown := [part for part, name in names.items() if name is None]:
        return EntryKey(
            (),
            f"is the expression {', '.join(unknown)}, which is no column of import_query; select "
            "it there under an alias, or name columns",
        )
    columns = tuple(dict.fromkeys(name for name in names.values() if name is not None))
    selected = query.output_columns
    missing = [name for name in columns if name not in (selected or ())]
    if missing and selected is not None and None not in selected:
        return EntryKey((), _not_selected(missing))
    return EntryKey(columns)


def describe_entry(
    database: Database, source: ManifestSource, label: str, stamps: Collection[str], numeric: str
) -> tuple[Table, str | None]:
    """Ask the database for an entry's columns, see `describe`.

    A table that is copied gets its key when a unique index proves it to be one; else it is only
    read in ranges of it, as copies are as right without a key.

    Returns:
        The table, and what to say of a key that it does not get.

    Raises:
        TapError: see `describe`.
    """
    entry, whole = source.entry, source.whole
    if entry.load != "scd":
        return describe(database, label, whole, Names(entry.key, stamps), numeric), None
    table = describe(database, label, whole, Names((), stamps), numeric)
    key, base = entry.key, entry.query.base
    if missing := [name for name in key if name not in table.fingerprint]:
        return table, note_on_key(entry.name, _not_selected(missing))
    if key and not (base and has_unique_index(database, base, key)):
        problem = f"is {', '.join(key)}, which no unique index proves to be one"
        return replace(table, order=key), note_on_key(entry.name, problem)
    return replace(table, key=key), None


def note_on_key(table: str, problem: str) -> str:
    """What to say of a table that is copied without the key that its entry names."""
    return (
        f"Table {table}: export_table_primary_key {problem}. A full copy needs no key, so it is "
        "loaded without one."
    )


def _not_selected(names: list[str]) -> str:
    return f"names {', '.join(names)}, which import_query does not select"


def _column(part: exp.Expr, query: ManifestQuery) -> str | None:
    return column_name(part) or next(iter(query.aliases_of(part)), None)
