"""A manifest's query as the database sees it: its columns, and whether its key is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_postgres import sql
from tap_postgres.table import Column, Table
from tap_postgres.types import column_type
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import pyarrow as pa

    from tap_postgres.client import Database
    from tap_postgres.query import BaseTable

_MODIFIER = b"POSTGRESQL:typmod"  # the driver's metadata, on numeric columns


@dataclass(frozen=True)
class Names:
    """What a query must call its columns, and what the tap calls columns of its own."""

    key: tuple[str, ...]
    stamps: Collection[str] = ()


def describe(
    database: Database, stream: str, source: str, names: Names, unconstrained: str
) -> Table:
    """Ask the database for a query's columns and types; the query begins but reads no row.

    Args:
        database: Where to ask.
        stream: What messages call the query.
        source: SQL for the FROM clause.
        names: The key's columns, and names that are taken.
        unconstrained: The setting `unconstrained_numeric`.

    Raises:
        TapError: the database refuses the query, two of its columns have the same name, one has a
            name that is taken, or it lacks a key column; says all of it.
    """
    doing = f"Discovery: describing the query of {stream}"
    fields = database.schema(f"SELECT * FROM {source}", doing)
    if wrong := [*_wrong_names(fields.names, names)]:
        raise TapError(" ".join(f"{stream}: {sentence}" for sentence in wrong))
    types = _types(fields, source, database, doing)
    columns = tuple(
        _column(field, types[index], unconstrained) for index, field in enumerate(fields)
    )
    return Table(stream, stream, source, columns, names.key)


def has_unique_index(database: Database, base: BaseTable, key: tuple[str, ...]) -> bool:
    """Whether the table below a query lets no two rows have the same key."""
    names = [base.column(name) for name in key]
    if None in names:
        return False
    wanted = ", ".join(sql.literal(str(name)) for name in names)
    parts = (base.schema, base.name) if base.schema else (base.name,)
    table = sql.literal(".".join(sql.identifier(part) for part in parts))
    (row,) = database.rows(
        "SELECT count(*) AS found FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        f" WHERE c.oid = to_regclass({table}) AND (c.relkind = 'p' OR NOT c.relhassubclass)"
        " AND i.indisunique AND i.indisvalid AND i.indimmediate"
        " AND i.indpred IS NULL AND i.indexprs IS NULL"
        " AND (SELECT bool_and(a.attnotnull"
        f" AND a.attname::text IN ({wanted})) FROM unnest(i.indkey::int2[]) WITH ORDINALITY"
        " AS k (number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number"
        " WHERE k.place <= i.indnkeyatts)",
        f"Looking for a unique index of {base.name}",
    )
    return bool(row["found"])


def key_query(source: str, conditions: Sequence[str], key: tuple[str, ...]) -> str:
    """SQL for the keys of a query's rows that are NULL or that several have; it reads all rows."""
    names = ", ".join(sql.identifier(name) for name in key)
    shown = ", ".join(f"{sql.identifier(name)}::text" for name in key)
    nulls = " OR ".join(f"{sql.identifier(name)} IS NULL" for name in key)
    return (
        f"SELECT concat_ws(', ', {shown}) AS key, count(*) AS rows FROM {source}"
        f" WHERE {' AND '.join(conditions) or 'true'}"
        f" GROUP BY {names} HAVING count(*) > 1 OR bool_or({nulls})"
    )


def check_key(
    database: Database,
    stream: str,
    source: str,
    conditions: Sequence[str],
    key: tuple[str, ...],
) -> None:
    """Look at every key of a query's rows, or of a range of them, which costs a sort there.

    Raises:
        TapError: a key is NULL, or several rows have it.
    """
    query = f"{key_query(source, conditions, key)} LIMIT 1"
    rows = database.rows(query, f"Checking the key of {stream}")
    if rows:
        raise TapError(
            f"{stream}: export_table_primary_key is {', '.join(key)}, but {rows[0]['rows']} rows "
            f"have the key ({rows[0]['key']}), and a key must be unique and not NULL. "
            "Correct the manifest's key or query."
        )


def _wrong_names(found: list[str], names: Names) -> Iterator[str]:
    if repeated := sorted({name for name in found if found.count(name) > 1}):
        yield (
            f"its import_query selects the column {', '.join(repeated)} more than once. "
            "Give each column a name of its own."
        )
    if taken := sorted({name for name in found if name.lower() in names.stamps}):
        yield (
            f"its import_query selects {', '.join(taken)}, a name that the tap gives to a column "
            "of its own. Give it another name."
        )
    if missing := [name for name in names.key if name not in found]:
        yield (
            f"export_table_primary_key names {', '.join(missing)}, which its import_query does "
            "not select. Correct the manifest and run again."
        )


def _column(field: pa.Field, found: dict[str, str], unconstrained: str) -> Column:
    modifier = int((field.metadata or {}).get(_MODIFIER, b"-1"))
    kind = column_type(found["name"], found["category"], modifier, unconstrained)
    return Column(field.name, kind, found["spelled"])


def _types(fields: pa.Schema, source: str, database: Database, doing: str) -> list[dict[str, str]]:
    """The columns' types, of which the driver tells too little (domains, arrays, composites)."""
    oids = ", ".join(f"pg_typeof(none.{sql.identifier(name)})::oid" for name in fields.names)
    return database.rows(
        "SELECT b.typname::text AS name, b.typcategory::text AS category,"
        " format_type(t.oid, -1) AS spelled"
        f" FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM {source} LIMIT 0) AS none ON true"
        f" CROSS JOIN unnest(ARRAY[{oids}]) WITH ORDINALITY AS o (oid, place)"
        " JOIN pg_type t ON t.oid = o.oid"
        " JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
        " ORDER BY o.place",
        doing,
    )
