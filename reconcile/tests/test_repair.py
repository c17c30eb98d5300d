"""What a repair writes, and what it must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Pair

CREATE = (
    "CREATE TABLE boats (id bigint PRIMARY KEY, name text, weight numeric(10,2), crew jsonb,"
    " updated_at timestamptz NOT NULL)"
)
FILL = (
    "INSERT INTO boats SELECT i, 'boat ' || i, i / 4.0, jsonb_build_array(i),"
    " timestamptz '2024-01-01Z' FROM generate_series(1, 100) i"
)
BY_INTERVAL = (
    "SELECT * FROM boats WHERE updated_at BETWEEN '{BEGIN_TIMESTAMP}' AND '{END_TIMESTAMP}'"
)
BOATS = "HARBOUR_BOATS"


@pytest.fixture
def boats(pair: Pair) -> Pair:
    """A manifest's table of 100 rows, loaded."""
    pair.execute(CREATE, FILL)
    pair.manifest("boats", import_query=BY_INTERVAL)
    pair.load()
    return pair


def rows(pair: Pair, columns: str) -> list[tuple[Any, ...]]:
    found = pair.warehouse.query(
        f"SELECT {columns} FROM {pair.warehouse.schema}.{BOATS} ORDER BY ID"
    )
    return [tuple(row.values()) for row in found]


def test_what_differs_is_loaded_again_or_marked_and_nothing_else_is_touched(boats: Pair) -> None:
    before = rows(boats, "*")
    table = f"{{}}.{BOATS}"
    boats.change(f"DELETE FROM {table} WHERE ID IN (1, 50)")
    boats.change(f"UPDATE {table} SET NAME = 'stolen' WHERE ID = 7")
    boats.change(f"UPDATE {table} SET CREW = PARSE_JSON('[]') WHERE ID = 8")
    columns = "NAME, WEIGHT, CREW, UPDATED_AT, _UPLOADED_AT"
    place = f"{boats.warehouse.schema}.{BOATS}"
    boats.warehouse.query(
        f"INSERT INTO {place} (ID, {columns}) SELECT 1000, {columns} FROM {place} WHERE ID = 2"
    )

    (found,), _ = boats.reconcile(code=1)
    assert found["keys"] == {
        "missing": [["1"], ["50"]],
        "extra": [["1000"]],
        "changed": [["7"], ["8"]],
    }
    (repaired,), _ = boats.reconcile("--repair", code=0)
    (again,), _ = boats.reconcile(code=0)

    assert (repaired["left_after_repair"], again["snowflake_rows"]) == (0, 100)
    assert [row for row in rows(boats, f"ID, {columns}") if row[0] < 1000] == before
    assert rows(boats, "ID, PGP_IS_DELETED")[-1] == (1000, True)


def test_a_row_marked_as_deleted_that_the_source_has_is_missing_and_loses_its_mark(
    boats: Pair,
) -> None:
    boats.execute("DELETE FROM boats WHERE id = 3")
    boats.load(load_type="deletes")
    boats.execute("INSERT INTO boats VALUES (3, 'again', 1, '[]', '2024-01-01Z')")

    (found,), _ = boats.reconcile("--repair", code=0)

    assert found["keys"]["missing"] == [["3"]]
    assert rows(boats, "ID, NAME, PGP_IS_DELETED")[2] == (3, "again", False)


def test_rows_that_the_next_load_brings_are_no_difference(boats: Pair) -> None:
    boats.execute(
        "UPDATE boats SET name = 'new', updated_at = clock_timestamp() WHERE id <= 2",
        "INSERT INTO boats VALUES (500, 'new', 1, '[]', clock_timestamp())",
    )

    (found,), _ = boats.reconcile(code=0)

    assert found["newer"] == 3


def test_a_change_that_has_waited_for_days_is_a_difference(boats: Pair) -> None:
    """Though no row has come since, as when the load that had it was lost whole."""
    boats.execute(
        "UPDATE boats SET name = 'lost', updated_at = clock_timestamp() - interval '5 days' "
        "WHERE id = 2"
    )
    boats.change(f"UPDATE {{}}.{BOATS} SET _UPLOADED_AT = _UPLOADED_AT - 864000")

    (found,), _ = boats.reconcile(code=1)

    assert found["keys"]["changed"] == [["2"]]


def test_the_history_of_an_appended_table_is_left_alone(pair: Pair) -> None:
    pair.execute(CREATE, FILL)
    pair.manifest("boats", import_query=BY_INTERVAL, load_method="append-only")
    pair.load()
    pair.change(f"INSERT INTO {{0}}.{BOATS} SELECT * FROM {{0}}.{BOATS} WHERE ID = 7")

    _, said = pair.reconcile("--repair", code=2)

    assert "is appended to" in said
    assert len(rows(pair, "ID")) == 101


def test_new_keys_by_id_are_no_difference_and_exempt_tables_keep_what_vanished(pair: Pair) -> None:
    pair.execute(CREATE, FILL)
    pair.manifest("boats", incremental_type="load_by_id", deletes_exempt=True)
    pair.load()
    pair.execute("INSERT INTO boats VALUES (101, 'new', 1, '[]', '2024-01-01Z')")
    pair.execute("DELETE FROM boats WHERE id = 5")
    pair.change(f"DELETE FROM {{}}.{BOATS} WHERE ID = 6")

    (found,), _ = pair.reconcile(code=1)

    assert found["keys"] == {"missing": [["6"]], "extra": [], "changed": []}
    assert found["newer"] == 1


def test_a_large_share_is_not_repaired(boats: Pair) -> None:
    boats.change(f"DELETE FROM {{}}.{BOATS} WHERE ID <= 30")

    (found,), said = boats.reconcile("--repair", code=2)

    assert found["missing"] == 30
    assert "larger share than --max-share" in said
    assert len(rows(boats, "ID")) == 70
    boats.reconcile("--repair", "--max-share", "0.4", code=0)
    assert len(rows(boats, "ID")) == 100


def test_without_repair_nothing_is_written(boats: Pair) -> None:
    boats.change(f"DELETE FROM {{}}.{BOATS} WHERE ID <= 3")
    already = len(boats.warehouse.statements())

    boats.reconcile(code=1)

    said = [line["sql"].lstrip().upper() for line in boats.warehouse.statements()[already:]]
    assert said
    assert all(statement.startswith("SELECT") for statement in said)


def test_copies_of_each_run_are_compared_with_the_newest_and_not_repaired(pair: Pair) -> None:
    pair.execute(CREATE, FILL)
    pair.manifest("boats")
    pair.load()
    pair.execute("UPDATE boats SET name = 'renamed' WHERE id = 1")
    pair.load()

    (found,), _ = pair.reconcile(code=0)
    assert found["snowflake_rows"] == 100
    pair.change(f"UPDATE {{}}.{BOATS} SET NAME = 'stolen' WHERE ID = 5")
    _, said = pair.reconcile("--repair", code=2)

    assert "a copy of each run" in said


def test_a_table_of_the_catalog_has_rows_deleted_that_the_source_lacks(pair: Pair) -> None:
    pair.execute(CREATE, FILL)
    pair.load()
    pair.execute("DELETE FROM boats WHERE id = 9", "UPDATE boats SET name = NULL WHERE id = 10")

    (found,), _ = pair.reconcile("--repair", code=0)

    assert found["keys"]["extra"] == [["9"]]
    table = f"{pair.warehouse.schema}.BOATS"
    assert len(pair.warehouse.query(f"SELECT ID FROM {table}")) == 99
    assert pair.warehouse.query(f"SELECT NAME FROM {table} WHERE ID = 10") == [{"NAME": None}]
