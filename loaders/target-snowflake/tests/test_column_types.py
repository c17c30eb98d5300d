"""JSON Schema to Snowflake types, and which changes of type a table can follow."""

from __future__ import annotations

from typing import Any

import pytest

from snowflake_loader.column_types import ColumnType, Kind, column_type
from snowflake_loader.errors import LoadError


def number(precision: int, scale: int) -> ColumnType:
    return ColumnType(Kind.NUMBER, precision, scale)


@pytest.mark.parametrize(
    ("definition", "sql"),
    [
        ({"type": "integer"}, "NUMBER(38,0)"),
        ({"type": ["number", "null"]}, "FLOAT"),
        ({"type": ["number", "integer", "null"]}, "FLOAT"),
        ({"type": "number", "multipleOf": 0.01}, "NUMBER(38,2)"),
        ({"type": "number", "multipleOf": 1e-9}, "NUMBER(38,9)"),
        ({"type": "number", "x-sql-datatype": "number(12,4)"}, "NUMBER(12,4)"),
        ({"type": "string", "format": "singer.decimal"}, "NUMBER(38,9)"),
        ({"type": ["string", "null"]}, "VARCHAR"),
        ({"type": "string", "format": "uuid"}, "VARCHAR"),
        ({"type": "string", "format": "date"}, "DATE"),
        ({"type": "string", "format": "time"}, "TIME"),
        ({"type": "string", "format": "date-time"}, "TIMESTAMP_TZ"),
        (
            {"type": "string", "format": "date-time", "x-sql-datatype": "timestamp_ntz"},
            "TIMESTAMP_NTZ",
        ),
        ({"type": "string", "x-sql-datatype": "binary"}, "BINARY"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "TIMESTAMP_TZ"),
        ({"type": ["boolean", "null"]}, "BOOLEAN"),
        ({"type": ["object", "string", "null"]}, "VARIANT"),
        ({"type": "array", "items": {"type": "string"}}, "VARIANT"),
        ({}, "VARIANT"),
        ({"type": ["string", "integer"]}, "VARCHAR"),
        ({"type": "string", "x-sql-datatype": "geography"}, "VARCHAR"),
    ],
)
def test_each_property_has_one_type(definition: dict[str, Any], sql: str) -> None:
    assert column_type(definition).sql == sql


@pytest.mark.parametrize("annotation", ["number(39,0)", "number(5,6)", "number(0,0)"])
def test_a_number_that_snowflake_lacks_is_refused(annotation: str) -> None:
    with pytest.raises(LoadError, match="not a Snowflake NUMBER"):
        column_type({"type": "number", "x-sql-datatype": annotation})


@pytest.mark.parametrize(
    ("stored", "sent", "becomes"),
    [
        (number(10, 2), number(12, 2), number(12, 2)),
        (number(10, 0), number(38, 0), number(38, 0)),
        (number(10, 2), number(5, 0), None),  # already held
        (number(10, 2), number(12, 4), None),  # a scale cannot change
        (number(38, 2), number(38, 0), None),  # no digits left
        (ColumnType(Kind.FLOAT), number(10, 0), None),
    ],
)
def test_numbers_widen_as_far_as_snowflake_lets_them(
    stored: ColumnType, sent: ColumnType, becomes: ColumnType | None
) -> None:
    if stored.holds(sent):
        assert becomes is None
    else:
        assert stored.widened_to(sent) == becomes


def test_text_holds_every_scalar_but_no_bytes() -> None:
    text = ColumnType(Kind.VARCHAR)

    assert text.holds(number(38, 9))
    assert text.holds(ColumnType(Kind.DATE))
    assert not text.holds(ColumnType(Kind.BINARY))
    assert not number(38, 0).holds(text)
