"""Both lanes of tap and loader make the same tables, value by value, equal to the source."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import seed
from sandbox.settings import POSTGRES_DATABASES
from snowflake_loader.target import TargetSnowflake
from tap_postgres.tap import TapPostgres

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from sandbox.postgres import Connection
    from sandbox.testing import Warehouse

ROWS = 200  # of the largest table


def messages(postgres: Connection, batch_root: Path | None) -> str:
    """All that the tap prints for a database, in the arrow lane if there is a root for files."""
    config: dict[str, Any] = {
        "host": postgres.host,
        "port": postgres.port,
        "user": postgres.user,
        "password": postgres.password,
        "database": postgres.database,
        "max_pending_files": 100,
    }
    if batch_root:
        storage = {"root": batch_root.as_uri()}
        config["batch_config"] = {"encoding": {"format": "parquet"}, "storage": storage}
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(output):
        TapPostgres(config=config).sync_all()
    output.seek(0)
    return output.read()


def loaded(warehouse: Warehouse, schema: str, text: str) -> dict[str, list[dict[str, Any]]]:
    """The tables that the loader makes of the messages, their rows in one order."""
    config = {**warehouse.config, "schema": schema, "load_method": "overwrite"}
    with contextlib.redirect_stdout(io.StringIO()):
        TargetSnowflake(config=config).listen(io.StringIO(text))
    tables = warehouse.query(
        f"SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{schema}'"
    )
    names = sorted(row["TABLE_NAME"] for row in tables)
    return {
        name: sorted(warehouse.query(f'SELECT * FROM "{schema}"."{name}"'), key=repr)
        for name in names
        if not name.startswith("_")
    }


def types(warehouse: Warehouse, schema: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = warehouse.query(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, "
        "ORDINAL_POSITION FROM RAW.INFORMATION_SCHEMA.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME NOT LIKE '\\\\_%'"
    )
    return {(row["TABLE_NAME"], row["COLUMN_NAME"]): tuple(row.values())[2:] for row in rows}


def source_rows(connection: psycopg.Connection, table: str) -> list[str]:
    """The source's rows, each as comparable text, in one order.

    The server writes them as JSON; a real is widened first, which is exact, and an address gets
    the length of its network, as the tap reads it.
    """
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        [table],
    ).fetchall()
    casts = {"real": "::float8", "inet": "::text"}
    pairs = ", ".join(f"'{name}', {name}{casts.get(kind, '')}" for name, kind in columns)
    query = f"SELECT jsonb_build_object({pairs})::text FROM {table}"
    rows = connection.execute(query.encode()).fetchall()
    return sorted(comparable(json.loads(row[0], parse_float=Decimal)) for row in rows)


def warehouse_rows(rows: list[dict[str, Any]], variants: set[str]) -> list[str]:
    """The warehouse's rows likewise; the text of a VARIANT is read as JSON."""
    return sorted(
        comparable(
            {
                name.lower(): json.loads(value, parse_float=Decimal)
                if name in variants and value is not None
                else value
                for name, value in row.items()
            }
        )
        for row in rows
    )


def comparable(row: dict[str, Any]) -> str:
    """One spelling for each value: numbers without trailing zeros, moments in UTC."""
    return repr({name: canonical(value) for name, value in sorted(row.items())})


def canonical(value: Any) -> Any:  # noqa: PLR0911 - a case for each kind of value
    match value:
        case dict():
            return {key: canonical(item) for key, item in sorted(value.items())}
        case list():
            return [canonical(item) for item in value]
        case bytes() | bytearray():
            return "\\x" + value.hex()
        case bool() | None:
            return value
        case int() | float() | Decimal():
            return f"{Decimal(str(value)).normalize() + 0:f}"  # JSON in PostgreSQL has no -0
        case dt.datetime(tzinfo=dt.tzinfo()):
            return value.astimezone(dt.UTC).isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
    with contextlib.suppress(ValueError):
        return canonical(dt.time.fromisoformat(value)) if ":" in value else value
    with contextlib.suppress(ValueError):
        return canonical(dt.datetime.fromisoformat(value)) if "T" in value else value
    return value


@pytest.mark.parametrize("database", POSTGRES_DATABASES)
def test_both_lanes_make_identical_tables(
    postgres_database: Connection, warehouse: Warehouse, tmp_path: Path, database: str
) -> None:
    """For every type in the seed data: no row and no value more or less than in the source."""
    with postgres_database.connect() as connection:
        seed.seed(connection, database, ROWS)
    arrow_schema, record_schema = f"{warehouse.schema}_A", f"{warehouse.schema}_R"

    arrow_text = messages(postgres_database, tmp_path)
    record_text = messages(postgres_database, None)
    arrow = loaded(warehouse, arrow_schema, arrow_text)
    record = loaded(warehouse, record_schema, record_text)

    assert '"BATCH"' in arrow_text
    assert '"RECORD"' not in arrow_text
    assert '"RECORD"' in record_text
    arrow_types = types(warehouse, arrow_schema)
    assert arrow_types == types(warehouse, record_schema)
    with postgres_database.connect() as connection:
        for table, rows in arrow.items():
            variants = {
                c for (t, c), kind in arrow_types.items() if t == table and kind[0] == "VARIANT"
            }
            expected = source_rows(connection, table.lower())
            assert warehouse_rows(rows, variants) == expected, table
            assert warehouse_rows(record[table], variants) == expected, table
    for schema in (arrow_schema, record_schema):
        warehouse.query(f'DROP SCHEMA RAW."{schema}"')
