"""Ranges over real keys in a real index: every row in exactly one of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tap_postgres.ranges import KeyColumn, KeyRange, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

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

    def query(text: str) -> list[dict[str, str | None]]:
        cursor = database.execute(text)
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    pieces = []
    for part in ranges(KeyRange(key, **whole), "keys", rows, query):
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
