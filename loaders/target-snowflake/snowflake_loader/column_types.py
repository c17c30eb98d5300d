"""The one table that says which Snowflake type a JSON Schema property becomes."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PRECISION = 38  # digits of a Snowflake NUMBER
MAX_TEXT_BYTES = 16_777_216  # a VARCHAR without a length ("snowflake.md", section 10)


class Kind(enum.Enum):
    """A family of values that is decoded, stored and compared alike."""

    BOOLEAN = "BOOLEAN"
    NUMBER = "NUMBER"
    FLOAT = "FLOAT"
    VARCHAR = "VARCHAR"
    BINARY = "BINARY"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP_NTZ = "TIMESTAMP_NTZ"
    TIMESTAMP_TZ = "TIMESTAMP_TZ"
    VARIANT = "VARIANT"


@dataclass(frozen=True)
class ColumnType:
    """A Snowflake column type; precision and scale are digits and belong to NUMBER alone."""

    kind: Kind
    precision: int | None = None
    scale: int | None = None

    @property
    def sql(self) -> str:
        """The type as Snowflake writes it."""
        if self.kind is Kind.NUMBER:
            return f"NUMBER({self.precision},{self.scale})"
        return str(self.kind.value)

    @property
    def is_integer(self) -> bool:
        return self.kind is Kind.NUMBER and self.scale == 0

    @property
    def staging(self) -> ColumnType:
        """The type a file is copied into: JSON text becomes a VARIANT only when it is parsed."""
        return TEXT if self.kind is Kind.VARIANT else self

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of the column in a Parquet file."""
        if self.kind is Kind.NUMBER:
            return pa.decimal128(self.precision or MAX_PRECISION, self.scale or 0)
        return ARROW_TYPES[self.kind]

    def holds(self, other: ColumnType) -> bool:
        """Whether every value of the other type can be stored in this one unchanged."""
        if self == other:
            return True
        if self.kind is Kind.VARCHAR:
            return other.kind not in {Kind.BINARY, Kind.VARIANT}
        if self.kind is Kind.NUMBER and other.kind is Kind.NUMBER:
            return self._whole_digits >= other._whole_digits and self._scale >= other._scale
        return False

    def widened_to(self, other: ColumnType) -> ColumnType | None:
        """The type that an existing column can be altered to so that it holds the other.

        Snowflake can raise the precision of a NUMBER but never change its scale.
        """
        if self.kind is not Kind.NUMBER or other.kind is not Kind.NUMBER:
            return None
        precision = max(self._whole_digits, other._whole_digits) + self._scale
        if self._scale < other._scale or precision > MAX_PRECISION:
            return None
        return ColumnType(Kind.NUMBER, precision, self.scale)

    @property
    def _scale(self) -> int:
        return self.scale or 0

    @property
    def _whole_digits(self) -> int:
        return (self.precision or MAX_PRECISION) - self._scale


TEXT = ColumnType(Kind.VARCHAR)
INTEGER = ColumnType(Kind.NUMBER, MAX_PRECISION, 0)

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.BOOLEAN: pa.bool_(),
    Kind.FLOAT: pa.float64(),
    Kind.VARCHAR: pa.string(),
    Kind.BINARY: pa.binary(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.time64("us"),
    Kind.TIMESTAMP_NTZ: pa.timestamp("us"),
    Kind.TIMESTAMP_TZ: pa.timestamp("us", tz="UTC"),
    Kind.VARIANT: pa.string(),
}

FORMATS = {
    "date": ColumnType(Kind.DATE),
    "time": ColumnType(Kind.TIME),
    "date-time": ColumnType(Kind.TIMESTAMP_TZ),
    "singer.decimal": ColumnType(Kind.NUMBER, MAX_PRECISION, 9),
}

SCALARS = {
    "boolean": ColumnType(Kind.BOOLEAN),
    "integer": INTEGER,
    "number": ColumnType(Kind.FLOAT),
    "string": TEXT,
}

ANNOTATION = re.compile(r"number\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.IGNORECASE)


def column_type(definition: dict[str, Any]) -> ColumnType:
    """Return the Snowflake type for one property of a JSON Schema.

    The standard keys `type`, `format`, `multipleOf`, `anyOf`, `oneOf` decide; the annotation
    `x-sql-datatype` (a Snowflake type, any case) settles what they cannot say.

    Raises:
        LoadError: the annotation names a NUMBER that Snowflake does not have.
    """
    annotation = definition.get("x-sql-datatype")
    if annotation and (annotated := _annotated(str(annotation))):
        return annotated
    members = list(_members(definition))
    types = {name for member in members for name in _type_names(member)} - {"null"}
    if not types or types & {"object", "array"}:
        return ColumnType(Kind.VARIANT)
    if types <= {"integer", "number"} and "number" in types:
        return next(filter(None, map(_exact_number, members)), SCALARS["number"])
    if types == {"string"}:
        formats = {str(member["format"]) for member in members if "format" in member}
        return FORMATS.get(formats.pop(), TEXT) if len(formats) == 1 else TEXT
    return SCALARS[types.pop()] if len(types) == 1 else TEXT


def stored_type(row: dict[str, Any]) -> ColumnType | None:
    """Return the type of an existing column from its row of INFORMATION_SCHEMA.COLUMNS.

    None stands for a type that this loader never makes (GEOGRAPHY, VECTOR and the like).
    """
    name = str(row["DATA_TYPE"]).upper()
    if name == "TEXT":
        return TEXT
    if name == "NUMBER":
        return ColumnType(Kind.NUMBER, int(row["NUMERIC_PRECISION"]), int(row["NUMERIC_SCALE"]))
    try:
        return ColumnType(Kind(name))
    except ValueError:
        return None


def encoding(definition: dict[str, Any]) -> str:
    """Return how bytes are written in this property's JSON text: base64 or base16."""
    return str(definition.get("contentEncoding", "base64")).lower()


def _annotated(annotation: str) -> ColumnType | None:
    if number := ANNOTATION.fullmatch(annotation.strip()):
        precision, scale = int(number[1]), int(number[2])
        if not 0 < precision <= MAX_PRECISION or scale > precision:
            raise LoadError(
                f"x-sql-datatype {annotation} is not a Snowflake NUMBER: a precision of 1 to "
                f"{MAX_PRECISION} and a scale up to the precision are needed."
            )
        return ColumnType(Kind.NUMBER, precision, scale)
    name = annotation.strip().upper()
    if name in Kind.__members__ and name != Kind.NUMBER.value:
        return ColumnType(Kind(name))
    return None


def is_definition(definition: object) -> bool:
    """Whether a property is described by what `column_type` can read."""
    if not isinstance(definition, dict):
        return False
    types = definition.get("type", [])
    alternatives = definition.get("anyOf") or definition.get("oneOf") or []
    return (
        all(isinstance(name, str) for name in (types if isinstance(types, list) else [types]))
        and isinstance(alternatives, list)
        and all(map(is_definition, alternatives))
    )


def _members(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    alternatives = definition.get("anyOf") or definition.get("oneOf")
    if not alternatives:
        yield definition
        return
    for alternative in alternatives:
        yield from _members(alternative)


def _type_names(member: dict[str, Any]) -> list[str]:
    names = member.get("type", [])
    return [names] if isinstance(names, str) else list(names)


def _exact_number(member: dict[str, Any]) -> ColumnType | None:
    """A number of known step is exact: `multipleOf: 0.01` has two decimals."""
    step = str(member.get("multipleOf", ""))
    if match := re.fullmatch(r"(?:0?\.(0*1)|1e-0*(\d+))", step.lower()):
        scale = len(match[1]) if match[1] else int(match[2])
        return ColumnType(Kind.NUMBER, MAX_PRECISION, min(scale, MAX_PRECISION))
    return None
