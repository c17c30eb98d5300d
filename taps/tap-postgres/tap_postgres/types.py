"""PostgreSQL types: how each is selected, what Arrow type it gets, how JSON Schema says it.

One table decides all three. What is not in it is selected as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

MAX_PRECISION = 38  # digits, of Arrow's decimal128 and of Snowflake's NUMBER
UNCONSTRAINED_DECIMAL = (38, 9)
DATATYPE = "x-sql-datatype"
VARIANT = "variant"


@dataclass(frozen=True)
class ColumnType:
    """What becomes of a column: `select` is a template for str.format with the quoted column."""

    arrow: pa.DataType
    schema: dict[str, Any]
    select: str = "{}"

    @property
    def label(self) -> str:
        """What the column is downstream, in a word: number(12,2), integer, date-time, ..."""
        schema = self.schema
        return str(schema.get(DATATYPE) or schema.get("format") or schema["type"][0])


def _type(json_type: str | list[str], **rest: str) -> dict[str, Any]:
    types = [json_type] if isinstance(json_type, str) else json_type
    return {"type": [*types, "null"], **rest}


_INTEGER = _type("integer")
_NUMBER = _type("number")
_STRING = _type("string")
_VARIANT = {
    "type": ["object", "array", "string", "number", "boolean", "null"],
    DATATYPE: VARIANT,
}


def _timestamp(datatype: str) -> dict[str, Any]:
    return _type("string", format="date-time", **{DATATYPE: datatype})


TEXT = ColumnType(pa.string(), _STRING, "{}::text")
JSON = ColumnType(pa.string(), _VARIANT, "{}::text")
AS_JSON = ColumnType(pa.string(), _VARIANT, "to_json({})::text")

# By name in pg_type. Those without a template are read in their binary form.
TYPES = {
    "bool": ColumnType(pa.bool_(), _type("boolean")),
    "int2": ColumnType(pa.int16(), _INTEGER),
    "int4": ColumnType(pa.int32(), _INTEGER),
    "int8": ColumnType(pa.int64(), _INTEGER),
    "oid": ColumnType(pa.int64(), _INTEGER, "{}::int8"),
    "float4": ColumnType(pa.float32(), _NUMBER),
    "float8": ColumnType(pa.float64(), _NUMBER),
    "text": ColumnType(pa.string(), _STRING),
    "varchar": ColumnType(pa.string(), _STRING),
    "bpchar": ColumnType(pa.string(), _STRING),
    "date": ColumnType(pa.date32(), _type("string", format="date")),
    "time": ColumnType(pa.time64("us"), _type("string", format="time")),
    "timestamp": ColumnType(pa.timestamp("us"), _timestamp("timestamp_ntz")),
    "timestamptz": ColumnType(pa.timestamp("us", tz="UTC"), _timestamp("timestamp_tz")),
    "bytea": ColumnType(
        pa.binary(), _type("string", contentEncoding="base64", **{DATATYPE: "binary"})
    ),
    "json": JSON,
    "jsonb": JSON,
    "hstore": AS_JSON,
}
# By pg_type.typcategory: whole families of types, whatever their names.
FAMILIES = {
    "E": TEXT,  # enums
    "A": AS_JSON,  # arrays
    "C": AS_JSON,  # composites
    "R": AS_JSON,  # ranges and multiranges
}


def column_type(name: str, category: str, modifier: int, unconstrained: str) -> ColumnType:
    """Look up a type.

    Args:
        name: pg_type.typname, of the base type for a domain.
        category: pg_type.typcategory.
        modifier: pg_attribute.atttypmod, -1 when the column has none.
        unconstrained: The setting `unconstrained_numeric`.
    """
    if name == "numeric":
        return _numeric(modifier, unconstrained)
    return FAMILIES.get(category) or TYPES.get(name) or TEXT


def grows(kind: ColumnType, spelled: str) -> bool:
    """Whether a key of this type, as format_type() spells it, may grow from row to row.

    A number or a moment may; a uuid, a text or an enum has no reason to.
    """
    arrow = kind.arrow
    is_number = pa.types.is_integer(arrow) or pa.types.is_floating(arrow)
    is_decimal = pa.types.is_decimal(arrow) or spelled.startswith("numeric")  # which may be text
    return is_number or is_decimal or pa.types.is_temporal(arrow)


def not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema without null, as key columns have it."""
    return {**schema, "type": [name for name in schema["type"] if name != "null"]}


def _numeric(modifier: int, unconstrained: str) -> ColumnType:
    if modifier < 0 and unconstrained == "text":
        return TEXT
    precision, scale = _digits(modifier) if modifier >= 0 else UNCONSTRAINED_DECIMAL
    if precision > MAX_PRECISION:
        return TEXT
    datatype = f"number({precision},{scale})"
    return ColumnType(pa.decimal128(precision, scale), _type("number", **{DATATYPE: datatype}))


def _digits(modifier: int) -> tuple[int, int]:
    """Decode numeric's modifier: precision above, an 11-bit signed scale below, 4 added to both.

    PostgreSQL 15 and later allow a scale below zero or above the precision, Arrow does not:
    numeric(5,-2) needs 7 digits, numeric(3,5) five behind the point.
    """
    precision = ((modifier - 4) >> 16) & 0xFFFF
    scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024
    if scale < 0:
        return precision - scale, 0
    return max(precision, scale), scale
