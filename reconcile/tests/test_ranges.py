"""Whatever differs, in tables of whatever keys, is found: ranges, orders and bisecting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reconcile.compare import Comparison, Sizes
from reconcile.streams import read_streams
from reconcile.tables import pair as find_pair
from reconcile.warehouse import Warehouse, loader_config

from snowflake_loader.names import literal
from tap_postgres.tap import TapPostgres

if TYPE_CHECKING:
    from conftest import Pair

# Ranges of three rows, two in a query, and no more than two rows fetched: everything is cut twice.
TINY = Sizes(range_rows=3, ranges_at_once=2, fetched_rows=2, parallel=1)
TEXTS = st.text(st.sampled_from("aAbB zé\U0001f600'\\|:%_-\n"), max_size=3)
KEYS = st.tuples(TEXTS, st.integers(-2, 2))
TABLES = st.dictionaries(KEYS, st.sampled_from(["x", "", None]), max_size=12)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(source=TABLES, copy=TABLES)
def test_keys_that_differ_are_exactly_those_found(
    pair: Pair,
    source: dict[tuple[str, int], str | None],
    copy: dict[tuple[str, int], str | None],
) -> None:
    shared = {key: value for key, value in source.items() if key[1] == 0}
    copy = {**copy, **shared}
    with pair.source.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (name text, n int, value text, PRIMARY KEY (name, n))")
        connection.cursor().executemany(
            "INSERT INTO t VALUES (%s, %s, %s)", [(*key, value) for key, value in source.items()]
        )
    pair.change("CREATE SCHEMA IF NOT EXISTS {}")
    pair.change("CREATE OR REPLACE TABLE {}.T (NAME VARCHAR, N NUMBER(38,0), VALUE VARCHAR)")
    if copy:
        rows = [f"({literal(name)}, {n}, {sql(value)})" for (name, n), value in copy.items()]
        table = f"{pair.warehouse.schema}.T"
        pair.warehouse.query(f"INSERT INTO {table} VALUES {', '.join(rows)}")

    tap = TapPostgres(config=pair.tap_settings)
    with Warehouse(loader_config(pair.warehouse.config)) as warehouse:
        (stream,) = read_streams(tap, [], {})
        found = Comparison(find_pair(stream, warehouse, ()), TINY).run()

    assert keys(found.missing) == source.keys() - copy.keys()
    assert keys(found.extra) == copy.keys() - source.keys()
    both = source.keys() & copy.keys()
    assert keys(found.changed) == {key for key in both if source[key] != copy[key]}
    assert (found.source_rows, found.copy_rows) == (len(source), len(copy))


def keys(found: list[tuple[str, ...]]) -> set[tuple[str, int]]:
    assert len(set(found)) == len(found)
    return {(name, int(n)) for name, n in found}


def sql(value: str | None) -> str:
    return "NULL" if value is None else literal(value)


def test_moments_uuids_and_decimals_are_keys_too(pair: Pair) -> None:
    columns = "at timestamptz, day date, token uuid, price numeric(6,2)"
    pair.execute(
        f"CREATE TABLE t ({columns}, PRIMARY KEY (at, day, token, price))",
        "INSERT INTO t SELECT timestamptz '2024-01-01' + i * interval '10.5 seconds',"
        " date '2024-01-01' + i, md5(i::text)::uuid, i / 4.0 FROM generate_series(1, 50) i",
    )
    pair.load()
    pair.change("DELETE FROM {}.T WHERE PRICE = 5")

    (found,), _ = pair.reconcile("--repair", code=0)

    assert found["missing"] == 1
    assert found["keys"]["missing"][0][1:4:2] == ["2024-01-21", "5.00"]


def test_a_moment_is_shown_whole(pair: Pair) -> None:
    pair.execute(
        "CREATE TABLE t (at timestamp, zoned timestamptz, PRIMARY KEY (at, zoned))",
        "INSERT INTO t VALUES ('2024-01-01 00:30:00', '2024-01-01 20:00:00.5Z')",
    )
    pair.load()
    pair.change("DELETE FROM {}.T")

    (found,), _ = pair.reconcile(code=1)

    assert found["keys"]["missing"] == [["2024-01-01 00:30:00", "2024-01-01 20:00:00.5+00:00"]]
