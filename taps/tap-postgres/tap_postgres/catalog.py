"""The database's own catalog, read with one query: tables, columns, types, keys, indexes."""

from __future__ import annotations

import json
import logging
import re
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tap_postgres import sql
from tap_postgres.table import Column, Table
from tap_postgres.types import column_type
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_postgres.client import Database

logger = logging.getLogger(__name__)

# The key is the primary key or else the smallest unique index over NOT NULL columns. Partitions
# are left out: reading their parent reads them.
_QUERY = """
WITH RECURSIVE base AS (
  SELECT oid AS type, oid AS base, -1 AS modifier FROM pg_type WHERE typtype <> 'd'
  UNION ALL
  SELECT d.oid, base.base, CASE WHEN d.typtypmod <> -1 THEN d.typtypmod ELSE base.modifier END
  FROM pg_type d JOIN base ON d.typbasetype = base.type WHERE d.typtype = 'd'
), tables AS (
  SELECT c.oid, n.nspname, c.relname,
    CASE WHEN c.reltuples > 0 AND c.relkind IN ('r', 'm')
      THEN (pg_table_size(c.oid) / c.reltuples)::int8 ELSE 0 END AS row_bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND n.nspname || '.' || c.relname ~ {pattern}
), indexes AS (
  SELECT i.indexrelid, i.indrelid, i.indisprimary, i.indnkeyatts,
    i.indisunique AND i.indimmediate AND bool_and(a.attnotnull) AS is_key,
    array_agg(a.attname::text ORDER BY k.place) AS names
  FROM tables t JOIN pg_index i ON i.indrelid = t.oid
    CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
  GROUP BY 1, 2, 3, 4, i.indisunique, i.indimmediate
)
SELECT t.oid::int8, t.nspname::text AS schema, t.relname::text AS table, t.row_bytes,
  a.attname::text AS column, NOT a.attnotnull AS nullable, b.typname::text AS type,
  b.typcategory::text AS category, format_type(a.atttypid, a.atttypmod) AS type_name,
  CASE WHEN a.atttypmod <> -1 THEN a.atttypmod ELSE base.modifier END AS modifier,
  has_schema_privilege(t.nspname, 'USAGE')
    AND has_column_privilege(t.oid, a.attnum, 'SELECT') AS readable,
  (SELECT to_json(i.names)::text FROM indexes i WHERE i.indrelid = t.oid AND i.is_key
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) AS key
FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN base ON base.type = a.atttypid JOIN pg_type b ON b.oid = base.base
ORDER BY 2, 3, 1, a.attnum
"""


def read_catalog(database: Database, patterns: list[str], unconstrained: str) -> list[Table]:
    """Find the tables and views that match, with the columns this user may read.

    Args:
        database: Where to look.
        patterns: `schema.table`, with * for any characters.
        unconstrained: The setting `unconstrained_numeric`.

    Raises:
        TapError: a pattern without * matches nothing.
    """
    query = _QUERY.format(pattern=sql.literal(f"^({'|'.join(map(_regex, patterns))})$"))
    rows = database.rows(query, "Discovery: reading the database's catalog")
    _check_patterns(patterns, {f"{row['schema']}.{row['table']}" for row in rows}, database)
    groups = [list(group) for _, group in groupby(rows, itemgetter("oid"))]
    hidden = [group[0] for group in groups if not any(row["readable"] for row in group)]
    if hidden:
        names = ", ".join(f"{row['schema']}.{row['table']}" for row in hidden)
        logger.warning("Left out, for want of the SELECT or USAGE privilege: %s.", names)
    return [_table(group, unconstrained) for group in groups if group[0] not in hidden]


def _table(rows: list[dict[str, Any]], unconstrained: str) -> Table:
    first = rows[0]
    columns = tuple(_column(row, unconstrained) for row in rows if row["readable"])
    names = {column.name for column in columns}
    key = json.loads(first["key"] or "[]")
    return Table(
        stream=f"{first['schema']}-{first['table']}",
        label=f"{first['schema']}.{first['table']}",
        source=f"{sql.identifier(first['schema'])}.{sql.identifier(first['table'])}",
        columns=columns,
        key=tuple(key) if names.issuperset(key) else (),
        row_bytes=first["row_bytes"],
    )


def _column(row: dict[str, Any], unconstrained: str) -> Column:
    kind = column_type(row["type"], row["category"], row["modifier"], unconstrained)
    return Column(row["column"], kind, row["type_name"], row["nullable"])


def _regex(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("*"))


def _check_patterns(patterns: Iterable[str], found: set[str], database: Database) -> None:
    for pattern in patterns:
        if any(re.fullmatch(_regex(pattern), name) for name in found):
            continue
        if "*" not in pattern:
            raise TapError(
                f"Discovery: {database.server.label} has no table {pattern}. "
                "Correct the setting tables; names are schema.table, in their own case."
            )
        logger.warning("Discovery: no table matches %s in %s.", pattern, database.server.label)
