"""A manifest's table becomes a stream's table: its columns come from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_postgres import sql
from tap_postgres.placeholders import fill
from tap_postgres.table import Column, Table
from tap_postgres.types import column_type
from tapsupport.errors import TapError

if TYPE_CHECKING:
    import pyarrow as pa

    from tap_postgres.client import Database
    from tap_postgres.manifest import ManifestTable

_MODIFIER = b"POSTGRESQL:typmod"  # the driver's metadata, on numeric columns


def describe(
    entry: ManifestTable, database: Database, values: dict[str, str], unconstrained: str
) -> Table:
    """Ask the database for the query's columns and types; the query itself does not run.

    Raises:
        TapError: the database refuses the query, or the query lacks a key column.
    """
    source = f"(\n{fill(entry.query, values)}\n) AS query"
    doing = f"Discovery: describing the query of {entry.stream}"
    fields = database.schema(f"SELECT * FROM {source}", doing)
    types = _types(fields, source, database, doing)
    columns = tuple(
        _column(field, types[index], unconstrained) for index, field in enumerate(fields)
    )
    if missing := [name for name in entry.key if name not in fields.names]:
        raise TapError(
            f"{entry.stream}: export_table_primary_key names {', '.join(missing)}, which its "
            "import_query does not select. Correct the manifest and run again."
        )
    return Table(entry.stream, entry.stream, source, columns, entry.key, rangeable=False)


def _column(field: pa.Field, found: dict[str, str], unconstrained: str) -> Column:
    modifier = int((field.metadata or {}).get(_MODIFIER, b"-1"))
    kind = column_type(found["name"], found["category"], modifier, unconstrained)
    return Column(field.name, kind, found["spelled"])


def _types(fields: pa.Schema, source: str, database: Database, doing: str) -> list[dict[str, str]]:
    """The columns' types, of which the driver tells too little (domains, arrays, composites)."""
    oids = ", ".join(f"pg_typeof(none.{sql.identifier(name)})::oid" for name in fields.names)
    return database.rows(
        "SELECT b.typname::text AS name, b.typcategory::text AS category,"
        " format_type(t.oid, NULL) AS spelled"
        f" FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM {source} LIMIT 0) AS none ON true"
        f" CROSS JOIN unnest(ARRAY[{oids}]) WITH ORDINALITY AS o (oid, place)"
        " JOIN pg_type t ON t.oid = o.oid"
        " JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
        " ORDER BY o.place",
        doing,
    )
