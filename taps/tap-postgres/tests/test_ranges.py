"""Ranges over real keys in a real index: every row in exactly one of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tap_postgres.ranges import KeyColumn, KeyRange, ranges
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from conftest import Source
    from sandbox.postgres import Connection

BIGINTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
TIMES = st.datetimes().map(lambda moment: moment.isoformat())
TYPES = {"bigint": BIGINTS, "text": TEXTS, "timestamp": TIMES, "uuid": st.uuids().map(str)}
SMALL = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def database(postgres_database: Connection) -> Iterator[psycopg.Connection[Any]]:
    with postgres_database.connect() as connection:
        yield connection


def cut(
    database: psycopg.Connection[Any], key: tuple[KeyColumn, ...], rows: int, **whole: Any
) -> list[list[Any]]:
    """Read the table `keys` range by range: the row numbers of each."""

    def query(text: str) -> list[dict[str, Any]]:
        cursor = database.execute(text)
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    pieces = []
    for part in ranges(KeyRange(key, **whole), "keys", rows, query, "Cutting"):
        where = " AND ".join(part.conditions()) or "true"
        pieces.append([row["n"] for row in query(f"SELECT n FROM keys WHERE {where}")])
    return pieces


def fill(database: psycopg.Connection[Any], declared: str, rows: list[tuple[Any, ...]]) -> None:
    database.execute(f"DROP TABLE IF EXISTS keys; CREATE TABLE keys (n serial, {declared})")
    with database.cursor() as cursor:
        for row in rows:
            places = sql.SQL(", ").join(sql.Placeholder() for _ in row)
            cursor.execute(sql.SQL("INSERT INTO keys VALUES (DEFAULT, {})").format(places), row)


@pytest.mark.parametrize("kind", TYPES)
@SMALL
@given(data=st.data(), rows=st.integers(1, 5))
def test_every_key_is_in_exactly_one_range(
    database: psycopg.Connection[Any], kind: str, data: st.DataObject, rows: int
) -> None:
    """Whatever gaps, extremes and order; and no range is larger than asked for."""
    keys = data.draw(st.lists(TYPES[kind], unique=True, max_size=15))
    fill(database, f'"my ""key" {kind} PRIMARY KEY', [(key,) for key in keys])

    pieces = cut(database, (KeyColumn('my "key', kind),), rows)

    assert sorted(n for piece in pieces for n in piece) == list(range(1, len(keys) + 1))
    assert all(len(piece) <= rows for piece in pieces)


@SMALL
@given(
    keys=st.lists(st.tuples(TEXTS, st.integers(-2, 2)), unique=True, max_size=15),
    rows=st.integers(1, 5),
)
def test_keys_of_two_columns(
    database: psycopg.Connection[Any], keys: list[tuple[str, int]], rows: int
) -> None:
    """Rows that share the first column are told apart by the second."""
    fill(database, "a text, b int, PRIMARY KEY (a, b)", keys)

    pieces = cut(database, (KeyColumn("a", "text"), KeyColumn("b", "integer")), rows)

    assert sorted(n for piece in pieces for n in piece) == list(range(1, len(keys) + 1))
    assert all(len(piece) <= rows for piece in pieces)


@SMALL
@given(keys=st.lists(st.none() | st.integers(0, 4), max_size=20), rows=st.integers(1, 5))
def test_a_key_with_duplicates_and_nulls(
    database: psycopg.Connection[Any], keys: list[int | None], rows: int
) -> None:
    """A replication key: duplicates stay together, NULLs come once, with the first range."""
    fill(database, "k int", [(key,) for key in keys])

    pieces = cut(database, (KeyColumn("k", "integer", nullable=True),), rows)

    assert sorted(n for piece in pieces for n in piece) == list(range(1, len(keys) + 1))
    values = [[keys[n - 1] for n in piece] for piece in pieces]
    known = [[value for value in piece if value is not None] for piece in values]
    assert all(max(a) < min(b) for a, b in pairwise(piece for piece in known if piece))


@SMALL
@given(
    keys=st.lists(st.integers(0, 9), max_size=20),
    rows=st.integers(1, 5),
    after=st.integers(-1, 10),
    inclusive=st.booleans(),
)
def test_it_begins_where_it_is_told(
    database: psycopg.Connection[Any], keys: list[int], rows: int, after: int, *, inclusive: bool
) -> None:
    """After a range that was sent, or at a bookmark, whose rows come again."""
    fill(database, "k int", [(key,) for key in keys])

    pieces = cut(
        database, (KeyColumn("k", "integer"),), rows, after=(str(after),), inclusive=inclusive
    )

    due = [n for n, k in enumerate(keys, 1) if k > after or (inclusive and k == after)]
    assert sorted(n for piece in pieces for n in piece) == due


# A type, and keys of it in their order.
ORDERED = {
    "date": ["-infinity", "0044-03-15 BC", "2024-02-29", "5874897-12-31", "infinity"],
    "timestamp with time zone": ["-infinity", "0044-03-15Z BC", "2024-02-29Z", "infinity"],
    "double precision": ["-Infinity", "-1e-300", "-0", "0.1", "1e300", "Infinity", "NaN"],
    "real": ["-Infinity", "0.1", "0.10000001", "NaN"],
    "numeric": ["-Infinity", "0.1", "0.10000000000000000001", "1e40", "Infinity", "NaN"],
    "interval": ["-1 day", "00:00:01", "1 mon"],
    "bytea": [r"\x", r"\x00", r"\x5c27"],
    "boolean": ["false", "true"],
    "money": ["-1", "1234.5"],
    "integer[]": ["{}", "{1}", "{1,2}", "{2}"],
    "jsonb": ['"a"', '"b"', "1", "2", "[1]", '{"a": 1}'],
    "daterange": ["[2024-01-01,2024-02-01)", "[2024-01-01,2024-03-01)"],
    '"char"': ["a", "b"],
}


@pytest.mark.parametrize("kind", ORDERED)
@pytest.mark.parametrize("rows", [1, 2])
def test_a_bound_of_any_type_reads_back(
    database: psycopg.Connection[Any], kind: str, rows: int
) -> None:
    """Infinity, NaN and what JSON would write otherwise too."""
    fill(database, f"k {kind} PRIMARY KEY", [(key,) for key in ORDERED[kind]])

    pieces = cut(database, (KeyColumn("k", kind),), rows)

    assert [n for piece in pieces for n in piece] == list(range(1, len(ORDERED[kind]) + 1))
    assert all(len(piece) <= rows for piece in pieces)


def test_a_bound_that_does_not_move_is_an_error(database: psycopg.Connection[Any]) -> None:
    """Here the type's spelling cuts the value off; nothing may be cut for ever."""
    fill(database, "k char(3) PRIMARY KEY", [("abc",), ("abd",), ("abe",)])

    with pytest.raises(TapError, match=r"above the key \(abc\) the server finds \(abc\), which is"):
        cut(database, (KeyColumn("k", "character"),), 1)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("char(3)", ["abc", "abd", "ab"]),
        ("bit(3)", ["101", "100", "111"]),
        ("code", ["abc", "abd", "ab"]),
        ("mood", ["happy", "so-so", "sad"]),
        ("numeric(4,1)", ["1.5", "1.6", "2"]),
        ("timestamp(0)", ["2024-01-01", "2024-01-02", "2024-01-03"]),
        ("uuid[]", ["{}", "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "{NULL}"]),
    ],
)
def test_a_key_of_any_type_is_cut(source: Source, kind: str, keys: list[str]) -> None:
    """A table's and a query's: each row once, in ranges of one row."""
    source.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'so-so', 'happy')",
        "CREATE DOMAIN code AS char(3)",
        f"CREATE TABLE boats (k {kind} PRIMARY KEY, n serial)",
        *(f"INSERT INTO boats (k) VALUES ('{key}')" for key in keys),
    )
    entry = {
        "import_db": "HARBOUR",
        "export_schema": "TAP_POSTGRES",
        "export_table": "boats",
        "export_table_primary_key": "k",
        "import_query": "SELECT k, n FROM boats",
    }
    path = source.folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": {"boats": entry}}))

    result = source.sync(
        "arrow", range_rows=1, manifests=[str(path)], tables=["public.boats"], max_parallel=1
    )

    for stream in ("public-boats", "harbour_boats"):
        assert sorted(row["n"] for row in source.rows("arrow", result, stream)) == [1, 2, 3]
        assert len(result.batches(stream)) == 3
