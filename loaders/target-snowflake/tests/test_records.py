"""The record lane: values arrive exact, and each bad one is found with its reason."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowflake_loader.records import RecordDecoder
from snowflake_loader.schema import SchemaMessage, read_schema

UTC = dt.UTC


def decode(definition: dict[str, Any], *values: str) -> tuple[list[Any], dict[int, str]]:
    """Decode JSON texts as values of one column beside a key."""
    properties = {"id": {"type": "integer"}, "value": definition}
    schema = read_schema(
        SchemaMessage("items", {"properties": properties}, ["id"]), all_varchar=False
    )
    records = [
        msgspec.Raw(f'{{"id": {number}, "value": {value}}}'.encode())
        for number, value in enumerate(values)
    ]
    table, faults = RecordDecoder(schema).decode(records)
    return table["VALUE"].to_pylist(), faults


@pytest.mark.parametrize(
    ("definition", "text", "value"),
    [
        ({"type": "integer"}, "9223372036854775807", 9223372036854775807),
        ({"type": "integer"}, "1" * 38, Decimal("1" * 38)),
        ({"type": "integer"}, "5.0", 5),
        ({"type": "number"}, "-0.0", -0.0),
        (
            {"type": "number", "x-sql-datatype": "number(38,9)"},
            "12345678901234567890123456789.123456789",
            Decimal("12345678901234567890123456789.123456789"),
        ),
        ({"type": "number", "x-sql-datatype": "number(5,2)"}, '"1.25"', Decimal("1.25")),
        ({"type": "number", "x-sql-datatype": "number(5,0)"}, "1e3", Decimal(1000)),
        ({"type": "string"}, r'"\u0000 \ud83d\ude00 \n"', "\0 😀 \n"),
        ({"type": ["string", "integer"]}, "17", "17"),
        ({"type": ["string", "integer"]}, '"17"', "17"),
        ({"type": "string", "x-sql-datatype": "binary"}, '"AP8="', b"\x00\xff"),
        (
            {"type": "string", "x-sql-datatype": "binary", "contentEncoding": "base16"},
            '"00ff"',
            b"\x00\xff",
        ),
        ({"type": "string", "format": "date"}, '"0001-01-01"', dt.date(1, 1, 1)),
        ({"type": "string", "format": "date"}, '"2024-02-29T00:00:00Z"', dt.date(2024, 2, 29)),
        ({"type": "string", "format": "time"}, '"23:59:59.999999"', dt.time(23, 59, 59, 999999)),
        (
            {"type": "string", "format": "date-time"},
            '"2024-01-01T02:00:00+02:00"',
            dt.datetime(2024, 1, 1, tzinfo=UTC),
        ),
        (
            {"type": "string", "format": "date-time"},
            '"9999-12-31T23:59:59.999999"',
            dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ),
        (
            {"type": "string", "format": "date-time", "x-sql-datatype": "timestamp_ntz"},
            '"2024-01-01T02:00:00"',
            dt.datetime(2024, 1, 1, 2),  # noqa: DTZ001 - a time without a zone is the point
        ),
        ({"type": ["object", "null"]}, '{"a": [1.10, null]}', '{"a": [1.10, null]}'),
        ({"type": ["object", "null"]}, "null", None),
    ],
)
def test_values_arrive_exactly(definition: dict[str, Any], text: str, value: Any) -> None:
    values, faults = decode(definition, text)

    assert faults == {}
    assert values == [value]


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({"type": "integer"}, "1" * 39),
        ({"type": "integer"}, "5.5"),
        ({"type": "integer"}, '"5"'),
        ({"type": "integer"}, "true"),
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "Infinity"),
        ({"type": "number"}, "1e400"),
        ({"type": "number", "x-sql-datatype": "number(5,2)"}, "1.255"),
        ({"type": "number", "x-sql-datatype": "number(5,2)"}, "1000"),
        ({"type": "number", "multipleOf": 0.01}, "1e-77"),
        ({"type": "number", "multipleOf": 0.01}, "0." + "0" * 76 + "1"),
        ({"type": "number", "multipleOf": 0.01}, "1E-999999999"),
        ({"type": "number", "multipleOf": 0.01}, "1e999999999"),
        ({"type": ["object", "null"]}, "[" * 100_000 + "]" * 100_000),
        ({"type": "string"}, "5"),
        ({"type": "string"}, '"' + "x" * 16_777_217 + '"'),
        ({"type": "string"}, r'"\ud800"'),
        ({"type": "boolean"}, "1"),
        ({"type": "string", "format": "date"}, '"2024-02-30"'),
        ({"type": "string", "format": "date"}, '"2024-02-29T01:00:00Z"'),
        ({"type": "string", "format": "time"}, '"25:00:00"'),
        ({"type": "string", "format": "date-time"}, '"yesterday"'),
        ({"type": "string", "x-sql-datatype": "binary"}, '"not base64!"'),
    ],
)
def test_a_value_outside_its_type_is_found_and_its_neighbours_are_not(
    definition: dict[str, Any], text: str
) -> None:
    values, faults = decode(definition, "null", text, "null")

    assert list(faults) == [1]
    assert values[0] is values[2] is None


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({"type": "string"}, b'"\xff\xfe"'),
        ({"type": ["string", "integer"]}, b'"\xff\xfe"'),
        ({"type": ["string", "integer"]}, rb'"\ud800"'),
        ({}, b'"\xff\xfe"'),
    ],
)
def test_text_that_is_not_unicode_is_found(definition: dict[str, Any], text: bytes) -> None:
    schema = read_schema(
        SchemaMessage("items", {"properties": {"x": definition}}, []), all_varchar=False
    )

    _, faults = RecordDecoder(schema).decode(
        [msgspec.Raw(b'{"x": %b}' % value) for value in (b"null", text, b"null")]
    )

    assert list(faults) == [1]


def test_a_property_may_have_any_name() -> None:
    names = ['a"b', "a\\b", "a\nb", "a_b", ""]
    schema = read_schema(
        SchemaMessage("items", {"properties": {name: {"type": "integer"} for name in names}}, []),
        all_varchar=False,
    )
    records = [dict.fromkeys(names, 1), {'a"b': "x"}, {"a\tb": 1}]

    table, faults = RecordDecoder(schema).decode(
        [msgspec.Raw(json.dumps(record).encode()) for record in records]
    )

    assert [column.to_pylist() for column in table.columns] == [[1, None, None]] * len(names)
    assert list(faults) == [1, 2]


def test_a_line_that_is_two_records_only_when_joined_is_bad() -> None:
    schema = read_schema(
        SchemaMessage("items", {"properties": {"id": {"type": "integer"}}}, ["id"]),
        all_varchar=False,
    )

    table, faults = RecordDecoder(schema).decode(
        [msgspec.Raw(b'{"id": 1},{"id": 2}'), msgspec.Raw(b'{"id": 3}')]
    )

    assert list(faults) == [0]
    assert table["ID"].to_pylist() == [None, 3]


def test_unknown_properties_and_missing_keys_are_bad_and_metadata_of_the_sdk_is_not() -> None:
    schema = read_schema(
        SchemaMessage("items", {"properties": {"id": {"type": "integer"}}}, ["id"]),
        all_varchar=False,
    )
    records = [
        {"id": 1},
        {"id": 2, "extra": 1},
        {},
        {"id": None},
        {"id": 3, "_sdc_deleted_at": None},
    ]

    table, faults = RecordDecoder(schema).decode(
        [msgspec.Raw(json.dumps(r).encode()) for r in records]
    )

    assert list(faults) == [1, 2, 3]
    assert "unknown field `extra`" in faults[1]
    assert faults[2] == faults[3] == "key id is missing or null"
    assert table["ID"].to_pylist()[-1] == 3


@given(st.lists(st.one_of(st.none(), st.integers(-(10**38) + 1, 10**38 - 1))))
def test_every_integer_of_38_digits_survives(integers: list[int | None]) -> None:
    values, faults = decode({"type": ["integer", "null"]}, *map(json.dumps, integers))

    assert faults == {}
    assert values == integers


@given(
    st.lists(
        st.decimals(
            allow_nan=False,
            allow_infinity=False,
            places=9,
            max_value=10**29 - 1,
            min_value=-(10**29) + 1,
        )
    )
)
def test_every_decimal_that_fits_survives(decimals: list[Decimal]) -> None:
    definition = {"type": "number", "x-sql-datatype": "number(38,9)"}

    values, faults = decode(definition, *map(str, decimals))

    assert faults == {}
    assert values == decimals


ZONES = st.builds(
    dt.timezone, st.integers(-14 * 60, 14 * 60).map(lambda m: dt.timedelta(minutes=m))
)
MOMENTS = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 12, 31), timezones=ZONES)  # noqa: DTZ001 - bounds have no zone


@given(st.lists(MOMENTS))
def test_every_moment_survives(moments: list[dt.datetime]) -> None:
    definition = {"type": "string", "format": "date-time"}

    values, faults = decode(definition, *(json.dumps(moment.isoformat()) for moment in moments))

    assert faults == {}
    assert values == moments


def test_all_varchar_keeps_every_value_as_text() -> None:
    properties = {"b": {"type": "integer"}, "a": {"type": ["object"]}, "c": {"type": "string"}}
    schema = read_schema(SchemaMessage("items", {"properties": properties}, []), all_varchar=True)

    table, faults = RecordDecoder(schema).decode(
        [msgspec.Raw(b'{"b": 1.50, "a": {"x": 1}, "c": "t"}')]
    )

    assert faults == {}
    assert table.to_pylist() == [{"B": "1.50", "A": '{"x": 1}', "C": "t"}]
