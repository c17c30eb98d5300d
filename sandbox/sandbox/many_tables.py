"""A manifest of many tables, whose queries are as odd as real ones, and the tables below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = (
    "updated_at BETWEEN '{EXECUTION_DATE}'::timestamp - interval '{HOURS} hours'"
    " AND '{EXECUTION_DATE}'::timestamp"
)
ENDS = "updated_at >= '{BEGIN_TIMESTAMP}'::timestamp AND updated_at < '{END_TIMESTAMP}'::timestamp"
# Each selects `id`; TABLE_NAME is the table's name.
STYLES = [
    f"SELECT id, name, updated_at FROM TABLE_NAME WHERE {WITHIN}",
    f"""SELECT id
      , CASE WHEN name ILIKE '%%scan%%' THEN 'scan' ELSE NULL END AS kind
      , NULL AS ref
      -- , secret WHERE; it's left out
      FROM TABLE_NAME
      WHERE {ENDS}""",
    f"""SELECT id, name::varchar(20) AS short, amount::text, CAST(updated_at AS date) AS day
      FROM TABLE_NAME /* WHERE ';' */ WHERE amount > 0 AND {WITHIN}""",
    f"""WITH recent AS (SELECT * FROM TABLE_NAME WHERE {ENDS})
      SELECT id, data->>'k' AS k, data @> '{{"k": 1}}' AS one FROM recent""",
    f"""SELECT t.id, (SELECT max(u.amount) FROM TABLE_NAME u WHERE u.id <= t.id) AS most
      FROM TABLE_NAME t WHERE t.id IN (SELECT id FROM TABLE_NAME WHERE {ENDS})""",
    f"""SELECT id, 'left' AS side FROM TABLE_NAME WHERE id % 2 = 0 AND {WITHIN}
      UNION ALL SELECT id, 'right' FROM TABLE_NAME WHERE id % 2 = 1 AND {WITHIN}""",
    """SELECT id, tags[1] AS first_tag, 'a' = ANY(tags) AS has_a, '{1,2}'::int[] AS pair
      FROM TABLE_NAME WHERE name ~ '^[a-z]+ WHERE' OR name IS NOT NULL""",
    """SELECT id, row_number() OVER (PARTITION BY amount ORDER BY id) AS n, $$it's$$ AS q
      , "Mixed Case" AS mixed FROM TABLE_NAME""",
    f"""SELECT id, name FROM (SELECT id, name, updated_at FROM TABLE_NAME) AS inner_one
      WHERE {WITHIN} -- the end; really""",
    f"""SELECT id, extract(epoch FROM updated_at)::int8 AS epoch, coalesce(name, E'x\\ty') AS name
      FROM TABLE_NAME WHERE {WITHIN};""",
]
COLUMNS = (
    "id bigint PRIMARY KEY, name text, amount numeric(10,2), data jsonb, tags text[],"
    ' "Mixed Case" text, updated_at timestamp'
)


@dataclass(frozen=True)
class Generated:
    """The manifest's path, and the statements that make its tables."""

    path: Path
    statements: list[str]


def generate(folder: Path, tables: int, rows: int = 0) -> Generated:
    """Write a manifest of so many tables, each with so many rows, as long ago as 2024."""
    entries, statements = {}, []
    for number in range(tables):
        name, table = f"things_{number}", f"p_things_{number}"
        entries[name] = {
            "import_db": "SHOP_DB",
            "export_schema": "shop",
            "export_table": name,
            "export_table_primary_key": "id",
            "dbt_source_model": True,
            "import_query": STYLES[number % len(STYLES)].replace("TABLE_NAME", table),
        }
        statements.append(f"CREATE TABLE {table} ({COLUMNS})")
        statements.append(
            f"INSERT INTO {table} SELECT i, 'thing ' || i, i / 4.0, jsonb_build_object('k', i % 3),"
            " array['a', i::text], 'x', timestamp '2024-01-01' + i * interval '1 minute'"
            f" FROM generate_series(1, {rows}) i"
        )
    path = folder / "many.yml"
    path.write_text(yaml.safe_dump({"tables": entries}))
    return Generated(path, statements)
