"""Tables grow with their streams, or the load fails with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.errors import LoadError
from snowflake_loader.testing import Load, activate, record, schema, snapshot, with_hints

if TYPE_CHECKING:
    from sandbox.testing import Warehouse


def columns(warehouse: Warehouse, table: str = "ITEMS") -> dict[str, str]:
    rows = warehouse.query(
        "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE "
        "FROM RAW.INFORMATION_SCHEMA.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{warehouse.schema}' AND TABLE_NAME = '{table}' "
        "ORDER BY ORDINAL_POSITION"
    )
    return {
        row["COLUMN_NAME"]: f"NUMBER({row['NUMERIC_PRECISION']},{row['NUMERIC_SCALE']})"
        if row["DATA_TYPE"] == "NUMBER"
        else row["DATA_TYPE"]
        for row in rows
    }


def test_a_new_column_is_added_and_old_rows_have_null(warehouse: Warehouse, load: Load) -> None:
    load([schema(id="integer"), record(id=1)])
    load([schema(id="integer", more="string"), record(id=2, more="x")])

    rows = warehouse.query(f'SELECT MORE FROM "{warehouse.schema}".ITEMS ORDER BY ID')
    assert [row["MORE"] for row in rows] == [None, "x"]


def test_a_schema_may_change_in_mid_stream(warehouse: Warehouse, load: Load) -> None:
    load(
        [
            schema(id="integer"),
            record(id=1),
            schema(id="integer", more="string"),
            record(id=2, more="x"),
        ]
    )

    rows = warehouse.query(f'SELECT ID, MORE FROM "{warehouse.schema}".ITEMS ORDER BY ID')
    assert [tuple(row.values()) for row in rows] == [(1, None), (2, "x")]


@pytest.mark.parametrize(
    "second",
    [
        schema(keys=["more"], id="integer", more="string"),
        with_hints(schema(id="integer", more="string"), **{"x-load-method": "append-only"}),
    ],
    ids=["key", "load method"],
)
def test_what_rows_are_merged_by_may_not_change_in_mid_stream(
    warehouse: Warehouse, load: Load, second: dict[str, Any]
) -> None:
    """Rows of before and after could not be told apart, and some would be lost."""
    first = schema(id="integer", more="string")
    load([first, record(id=9, more="old")])

    with pytest.raises(LoadError, match="in mid-stream; correct the tap"):
        load([first, record(id=1, more="x"), second, record(id=2, more="x")])

    rows = warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')
    assert rows == [{"ID": 9, "MORE": "old"}]


def test_a_column_may_not_leave_a_snapshot(warehouse: Warehouse, load: Load) -> None:
    """In mid-stream or between two runs that send one snapshot: its values would be lost."""
    both = {"id": "integer", "b": "string"}
    load(snapshot(1, {"id": 9, "b": "old"}, **both), load_method="overwrite")
    first = snapshot(2, {"id": 1, "b": "y"}, whole=False, **both)
    rest = [schema(id="integer"), record(version=2, id=2), activate(2)]

    with pytest.raises(LoadError, match="lost the column B"):
        load([*first, *rest], load_method="overwrite")
    with pytest.raises(LoadError, match="items was whole"):
        load(first, load_method="overwrite")
    with pytest.raises(LoadError, match="lost the column B"):
        load([rest[0], activate(2), *rest[1:]], load_method="overwrite")

    rows = warehouse.query(f'SELECT ID, B FROM "{warehouse.schema}".ITEMS')
    assert rows == [{"ID": 9, "B": "old"}]


def test_a_number_is_widened(warehouse: Warehouse, load: Load) -> None:
    small = {"type": "number", "x-sql-datatype": "number(5,2)"}
    large = {"type": "number", "x-sql-datatype": "number(12,2)"}

    load([schema(id="integer", n=small), record(id=1, n=1.25)])
    load([schema(id="integer", n=large), record(id=2, n=1234567890.25)])
    load([schema(id="integer", n=small), record(id=3, n=3.25)])

    assert columns(warehouse)["N"] == "NUMBER(12,2)"


def test_a_type_that_does_not_fit_fails_with_stream_column_and_both_types(load: Load) -> None:
    load([schema(id="integer", n="integer"), record(id=1, n=1)])

    with pytest.raises(
        LoadError, match=r"items now sends column N as VARCHAR, but table ITEMS has it as NUMBER"
    ):
        load([schema(id="integer", n="string"), record(id=1, n="x")])


def test_odd_names_are_loaded(warehouse: Warehouse, load: Load) -> None:
    odd = {
        "id": 1,
        "first name": "a",
        "order": "b",
        "2fa": "c",
        "größe": "d",
        "x" * 300: "e",
        "a.b": "f",
        "A_B": "g",
        'a"b': "h",
        "a\\b\n": "i",
        "😀": "j",
        "😁": "k",
    }
    types = {name: "string" if name != "id" else "integer" for name in odd}

    load([schema(**types), record(**odd)])
    load([schema(**types), record(**odd)])

    found = columns(warehouse)
    assert {"ID", "FIRST_NAME", "ORDER", "_2FA", "GRÖSSE", "A_B"} <= set(found)
    (row,) = warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')
    assert sorted(map(str, row.values())) == sorted(map(str, odd.values()))


def test_all_varchar_makes_text_columns_in_the_order_of_the_schema(
    warehouse: Warehouse, load: Load
) -> None:
    messages = [
        schema(keys=[], z="integer", a="number", m="object", b="boolean"),
        record(z=1, a=1.50, m={"x": 1}, b=True),
    ]

    load(messages, all_varchar=True, load_method="append-only")

    assert columns(warehouse) == {"Z": "TEXT", "A": "TEXT", "M": "TEXT", "B": "TEXT"}
    (row,) = warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')
    assert tuple(row.values()) == ("1", "1.5", '{"x": 1}', "true")


def test_load_stamps_and_metadata_stand_behind_the_streams_own_columns(
    warehouse: Warehouse, load: Load
) -> None:
    stamped = {"uploaded_at": True, "task_instance": "run 7", "add_record_metadata": True}
    message = record(id=1) | {"time_extracted": "2024-01-01T00:00:00+00:00", "version": 3}

    load([schema(id="integer"), message], **stamped)

    found = columns(warehouse)
    assert list(found)[:3] == ["ID", "_UPLOADED_AT", "_TASK_INSTANCE"]
    assert found["_UPLOADED_AT"] == "FLOAT"
    assert found["_SDC_EXTRACTED_AT"] == "TIMESTAMP_TZ"
    (row,) = warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')
    assert row["_TASK_INSTANCE"] == "run 7"
    assert row["_SDC_TABLE_VERSION"] == 3
    assert row["_SDC_EXTRACTED_AT"].isoformat() == "2024-01-01T00:00:00+00:00"


def test_a_key_column_is_not_null_so_that_an_all_null_copy_cannot_succeed(
    warehouse: Warehouse, load: Load
) -> None:
    load([schema(id="integer", name="string"), record(id=1)])

    rows = warehouse.query(
        "SELECT COLUMN_NAME, IS_NULLABLE FROM RAW.INFORMATION_SCHEMA.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{warehouse.schema}' AND TABLE_NAME = 'ITEMS'"
    )
    assert {row["COLUMN_NAME"]: row["IS_NULLABLE"] for row in rows} == {"ID": "NO", "NAME": "YES"}
