"""Every PostgreSQL type, value by value, in both lanes."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

UTC = dt.UTC
SAME = object()  # the Arrow value is the record's

# name: declaration, SQL value, value in a record, value in Arrow, JSON Schema without null
CASES: dict[str, tuple[str, str, Any, Any, dict[str, Any]]] = {
    "bool": ("boolean", "true", True, SAME, {"type": ["boolean"]}),
    "int2": ("smallint", "-32768", -32768, SAME, {"type": ["integer"]}),
    "int4": ("integer", "2147483647", 2147483647, SAME, {"type": ["integer"]}),
    "int8": ("bigint", "-9223372036854775808", -(2**63), SAME, {"type": ["integer"]}),
    "oid": ("oid", "4294967295", 4294967295, SAME, {"type": ["integer"]}),
    "float4": ("real", "0.1", Decimal("0.10000000149011612"), pytest.approx(0.1),
               {"type": ["number"]}),
    "float8": ("double precision", "1e-300", Decimal("1e-300"), 1e-300, {"type": ["number"]}),
    "numeric": ("numeric", "'123456789.123456789'", Decimal("123456789.123456789"), SAME,
                {"type": ["number"], "x-sql-datatype": "number(38,9)"}),
    "numeric_ps": ("numeric(38,10)", "'1234567890123456789012345678.0123456789'",
                   Decimal("1234567890123456789012345678.0123456789"), SAME,
                   {"type": ["number"], "x-sql-datatype": "number(38,10)"}),
    "numeric_wide": ("numeric(50,2)", "1.5", "1.50", SAME, {"type": ["string"]}),
    "numeric_hundreds": ("numeric(5,-2)", "12345", 12300, Decimal(12300),
                         {"type": ["number"], "x-sql-datatype": "number(7,0)"}),
    "numeric_small": ("numeric(3,5)", "0.00123", Decimal("0.00123"), SAME,
                      {"type": ["number"], "x-sql-datatype": "number(5,5)"}),
    "text": ("text", "E'\"\\\\ a\\nb\\tc\\r\\u0001 é 🚢'", '"\\ a\nb\tc\r\x01 é 🚢', SAME,
             {"type": ["string"]}),
    "varchar": ("varchar(10)", "''", "", SAME, {"type": ["string"]}),
    "bpchar": ("char(4)", "'ab'", "ab  ", SAME, {"type": ["string"]}),
    "name_type": ("name", "'nm'", "nm", SAME, {"type": ["string"]}),
    "char_type": ('"char"', "'x'", "x", SAME, {"type": ["string"]}),
    "uuid": ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
             "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
             SAME, {"type": ["string"]}),
    "date": ("date", "'0001-01-01'", "0001-01-01", dt.date(1, 1, 1), {"type": ["string"],
             "format": "date"}),
    "time": ("time", "'23:59:59.999999'", "23:59:59.999999", dt.time(23, 59, 59, 999999),
             {"type": ["string"], "format": "time"}),
    "timetz": ("timetz", "'01:02:03+02'", "01:02:03+02", SAME, {"type": ["string"]}),
    "timestamp": ("timestamp", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999",
                  dt.datetime.fromisoformat("9999-12-31T23:59:59.999999"),
                  {"type": ["string"], "format": "date-time", "x-sql-datatype": "timestamp_ntz"}),
    "timestamptz": ("timestamptz", "'1969-07-20 22:17:40.5+02'", "1969-07-20T20:17:40.500000+00:00",
                    dt.datetime(1969, 7, 20, 20, 17, 40, 500000, UTC),
                    {"type": ["string"], "format": "date-time", "x-sql-datatype": "timestamp_tz"}),
    "interval": ("interval", "'1 year 2 days 03:04:05'", "1 year 2 days 03:04:05", SAME,
                 {"type": ["string"]}),
    "bytea": ("bytea", r"'\x00ff10'", "AP8Q", b"\x00\xff\x10",
              {"type": ["string"], "contentEncoding": "base64", "x-sql-datatype": "binary"}),
    "money": ("money", "'1234.5'", "$1,234.50", SAME, {"type": ["string"]}),
    "inet": ("inet", "'10.0.0.1/8'", "10.0.0.1/8", SAME, {"type": ["string"]}),
    "macaddr": ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03", SAME, {"type": ["string"]}),
    "bits": ("bit varying(8)", "B'101'", "101", SAME, {"type": ["string"]}),
    "point": ("point", "'(1,2)'", "(1,2)", SAME, {"type": ["string"]}),
    "tsvector": ("tsvector", "'a b'", "'a' 'b'", SAME, {"type": ["string"]}),
    "mood": ("mood", "'so-so'", "so-so", SAME, {"type": ["string"]}),
    "pg_lsn": ("pg_lsn", "'16/B374D848'", "16/B374D848", SAME, {"type": ["string"]}),
    "positive": ("positive", "7", 7, SAME, {"type": ["integer"]}),
    "price": ("price", "9.99", Decimal("9.99"), SAME, {"type": ["number"],
              "x-sql-datatype": "number(6,2)"}),
}  # fmt: skip
# name: declaration, SQL value, the JSON value in both lanes
VARIANTS: dict[str, tuple[str, str, Any]] = {
    "json": ("json", "'{\"b\": [1,\n 2.50], \"a\": \"x\\ny\"}'", {"b": [1, Decimal("2.50")],
             "a": "x\ny"}),
    "jsonb": ("jsonb", "'\"text\"'", "text"),
    "jsonb_big": ("jsonb", "'12345678901234567890.5'", Decimal("12345678901234567890.5")),
    "json_null": ("json", "' null '", None),
    "jsonb_null": ("jsonb", "'null'", None),
    "int_array": ("integer[]", "'{{1,2},{3,NULL}}'", [[1, 2], [3, None]]),
    "text_array": ("text[]", "array['a', '\"', null]", ["a", '"', None]),
    "times": ("timestamptz[]", "array['2024-01-01 00:00+02'::timestamptz]",
              ["2023-12-31T22:00:00+00:00"]),
    "composite": ("place", "row('x', 2)::place", {"name": "x", "floor": 2}),
    "int_range": ("int4range", "'[1,5)'", "[1,5)"),
    "dates": ("datemultirange", "'{[2024-01-01,2024-01-03)}'", "{[2024-01-01,2024-01-03)}"),
    "moods": ("mood[]", "array['happy'::mood]", ["happy"]),
}  # fmt: skip


def manifest(source: Source, query: str, **keys: str) -> dict[str, Any]:
    """Settings for a manifest with the table big, by its column id."""
    entry = {
        "import_db": "HARBOUR",
        "export_schema": "TAP_POSTGRES",
        "export_table": "big",
        "export_table_primary_key": "id",
        "import_query": query,
    }
    path = source.folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": {"big": entry | keys}}))
    return {"manifests": [str(path)]}


@pytest.fixture
def every_type(source: Source) -> Source:
    declared = {name: case[:2] for name, case in (CASES | VARIANTS).items()}
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in declared.items())
    values = ", ".join(value for _, value in declared.values())
    source.execute(
        "CREATE TYPE mood AS ENUM ('happy', 'so-so')",
        "CREATE TYPE place AS (name text, floor int)",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
        "CREATE DOMAIN amount AS numeric(6,2)",
        "CREATE DOMAIN price AS amount",
        f"CREATE TABLE every (pk int PRIMARY KEY, {columns})",
        f"INSERT INTO every VALUES (1, {values})",
        "INSERT INTO every VALUES (2)",
    )
    return source


def test_every_value_arrives_in_records(every_type: Source) -> None:
    """The values are those the database was given, digit by digit."""
    first, second = every_type.sync().records("public-every")

    expected = {name: case[2] for name, case in (CASES | VARIANTS).items()}
    assert first == {"pk": 1, **expected}
    assert second == {"pk": 2, **dict.fromkeys(expected)}


def test_every_value_arrives_in_parquet(every_type: Source) -> None:
    """The arrow lane carries the same values in the contract's Arrow types."""
    first, second = every_type.sync("arrow").table("public-every").to_pylist()

    variants = {name: first.pop(name) for name in VARIANTS}
    read = {
        name: None if text is None else json.loads(text, parse_float=Decimal)
        for name, text in variants.items()
    }
    assert read == {name: case[2] for name, case in VARIANTS.items()}
    expected = {name: case[2] if case[3] is SAME else case[3] for name, case in CASES.items()}
    assert first == {"pk": 1, **expected}
    assert set(second.values()) == {2, None}


def test_the_schema_says_each_type(every_type: Source) -> None:
    """What the standard keywords cannot say stands in x-sql-datatype."""
    (message,) = every_type.sync().of_type("SCHEMA")

    properties = message["schema"]["properties"]
    assert properties.pop("pk") == {"type": ["integer"]}
    for name, case in CASES.items():
        schema = properties.pop(name)
        schema["type"].remove("null")
        assert schema == case[4], name
    assert {schema["x-sql-datatype"] for schema in properties.values()} == {"variant"}


def test_unconstrained_numeric_as_text(source: Source, lane: str) -> None:
    """Text carries numbers of any size, and NaN."""
    source.execute(
        "CREATE TABLE big (id int PRIMARY KEY, n numeric)",
        "INSERT INTO big VALUES (1, 1e40), (2, 'NaN'), (3, 0.10)",
    )

    result = source.sync(lane, unconstrained_numeric="text")

    rows = source.rows(lane, result, "public-big")
    assert [row["n"].lower() for row in rows] == ["1" + "0" * 40, "nan", "0.10"]


@pytest.mark.parametrize("value", ["1e30", "0.0123456789"])
def test_a_numeric_that_does_not_fit_is_named(source: Source, lane: str, value: str) -> None:
    """Nothing is rounded; the sentence says which row, what to write and what to set."""
    source.execute(
        "CREATE TABLE big (id int PRIMARY KEY, n numeric)",
        f"INSERT INTO big VALUES (1, 1.0000000000), (2, {value})",
    )

    with pytest.raises(TapError, match=r"public.big, column n, row id=2: .*cast .*unconstrained_n"):
        source.sync(lane)


@pytest.mark.parametrize(
    ("cast", "third"), [("text", "0.33333333333333333333"), ("numeric(38,20)", "0.3" + "3" * 19)]
)
def test_a_computed_numeric_that_is_cast(source: Source, cast: str, third: str) -> None:
    """As the sentence says, in a manifest's query: every digit arrives."""
    source.execute("CREATE TABLE big AS SELECT 1 AS id, 1::numeric(6,2) AS price")
    settings = manifest(source, f"SELECT id, (price / 3)::{cast} AS third FROM big")

    (row,) = source.sync(**settings).records("harbour_big")

    assert str(row["third"]) == third


@pytest.mark.parametrize("kind", ["uuid", "text", "mood", "boolean"])
def test_a_key_that_does_not_grow_is_none_to_load_by(source: Source, kind: str) -> None:
    """A new row may have any key, so it would be skipped: better no load than a hole."""
    source.execute(
        "CREATE TYPE mood AS ENUM ('happy', 'so-so')",
        f"CREATE TABLE big (id {kind}, n serial, PRIMARY KEY (n, id))",
    )
    keys = {"incremental_type": "load_by_id", "export_table_primary_key": "n, id"}

    with pytest.raises(TapError, match=f"harbour_big .*its key id is of type {kind}, whose val"):
        source.sync(**manifest(source, "SELECT n, id FROM big", **keys))


@pytest.mark.parametrize("kind", ["int", "numeric", "numeric(50)", "timestamptz", "date"])
def test_a_key_that_may_grow(source: Source, kind: str) -> None:
    source.execute(f"CREATE TABLE big (id {kind} PRIMARY KEY)")
    settings = manifest(source, "SELECT id FROM big", incremental_type="load_by_id")

    assert source.sync(unconstrained_numeric="text", **settings).of_type("SCHEMA")


OUT_OF_RANGE = [
    ("real", "NaN"),
    ("double precision", "-Infinity"),
    ("numeric(10,2)", "NaN"),
    ("numeric", "Infinity"),
    ("date", "infinity"),
    ("date", "10000-01-01"),
    ("timestamp", "-infinity"),
    ("timestamp", "0044-03-15 BC"),
    ("timestamptz", "infinity"),
    ("timestamptz", "294276-12-31"),
    ("time", "24:00"),
]


@pytest.mark.parametrize(("kind", "value"), OUT_OF_RANGE)
def test_a_value_that_cannot_be_carried_is_named(
    source: Source, lane: str, kind: str, value: str
) -> None:
    """Both lanes fail with the same sentence."""
    source.execute(
        f"CREATE TABLE odd (a int, b text, v {kind}, PRIMARY KEY (b, a))",
        f"INSERT INTO odd VALUES (1, 'x', NULL), (2, 'y', '{value}')",
    )

    with pytest.raises(TapError) as caught:
        source.sync(lane)

    assert str(caught.value).startswith("public.odd, column v, row b=y, a=2: holds a value that")
    assert "Set out_of_range to null" in str(caught.value)


@pytest.mark.parametrize(("kind", "value"), OUT_OF_RANGE)
def test_such_a_value_becomes_null_when_asked(
    source: Source, lane: str, kind: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for the column, with a count, and the other values untouched."""
    good = "1" if "numeric" in kind or kind in ("real", "double precision") else "now"
    source.execute(
        f"CREATE TABLE odd (id int PRIMARY KEY, v {kind})",
        f"INSERT INTO odd SELECT i, '{value}' FROM generate_series(1, 3) i",
        f"INSERT INTO odd VALUES (4, '{good}')",
    )

    result = source.sync(lane, out_of_range="null")

    values = [row["v"] for row in source.rows(lane, result, "public-odd")]
    assert values[:3] == [None] * 3
    assert values[3] is not None
    warnings = [r.getMessage() for r in caplog.records if "became NULL" in r.getMessage()]
    assert len(warnings) == 1
    assert "public.odd.v: 3 values" in warnings[0]
