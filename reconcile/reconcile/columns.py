"""The text that stands for a value in a row's hash: the same text in both databases.

| Value | Text |
|---|---|
| text | its number of characters, a colon, itself: no character is special |
| numbers | all digits, with the larger one of both columns' scales |
| floats | see `floats` |
| timestamps, times | ISO 8601 in UTC, without zeros at the end |
| bytes | hexadecimal |
| JSON | how many braces, brackets and quotation marks, and its words and numbers, sorted |

JSON has no one text: Snowflake gives an object's keys in any order (its page on TO_JSON). So words
that only changed places are not seen, and a number is compared as it is spelt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from reconcile.errors import ReconcileError
from reconcile.floats import float_text
from snowflake_loader.column_types import ColumnType, Kind, column_type
from snowflake_loader.names import quote
from tap_postgres import sql

if TYPE_CHECKING:
    from tap_postgres.table import Column

NOTHING = "':'"  # a text that is NULL; one that is empty is 0:
_JSON_MARKS = '{}[]:," \t\n\r'
_MOMENTS = {Kind.DATE, Kind.TIME, Kind.TIMESTAMP_NTZ, Kind.TIMESTAMP_TZ}
_SIMPLE = {
    Kind.BOOLEAN: ("{}::text", "TO_VARCHAR({})"),
    Kind.BINARY: ("upper(encode({}, 'hex'))", "HEX_ENCODE({})"),
}
_ORDINARY_TEXTS = ("text", "character varying")


@dataclass(frozen=True)
class Comparable:
    """One column on both sides.

    Attributes:
        name: In the source.
        kind: Of the column in Snowflake.
        source: SQL for PostgreSQL: the value as text, or NULL.
        copy: SQL for Snowflake: the same.
        column: The column in Snowflake, quoted.
        type_name: Of the column in PostgreSQL, as format_type() spells it.
        is_free_text: Whether the text may hold any character.
    """

    name: str
    kind: Kind
    source: str
    copy: str
    column: str
    type_name: str
    is_free_text: bool = False

    @property
    def in_source_row(self) -> str:
        """Arguments of PostgreSQL's concat(), which takes NULL for an empty text."""
        return f"length({self.source}), ':', {self.source}" if self.is_free_text else self.source

    @property
    def in_copy_row(self) -> str:
        """SQL for Snowflake: what those arguments are together."""
        if self.is_free_text:
            return f"COALESCE(LENGTH({self.copy}) || ':' || {self.copy}, {NOTHING})"
        return f"COALESCE({self.copy}, '')"


def comparable(
    label: str, column: Column, name: str, stored: ColumnType | None, out_of_range: str
) -> Comparable:
    """Say how to compare a column.

    Args:
        label: How messages call the table.
        column: As the tap reads it.
        name: The column in Snowflake.
        stored: Its type there; None for one that the loader never makes.
        out_of_range: The tap's setting: what becomes of values that cannot be carried.

    Raises:
        ReconcileError: the types on both sides have no common text.
    """
    loaded = column_type(column.type.schema)
    if stored is None or stored.kind is not loaded.kind:
        found = stored.sql if stored else "another"
        raise ReconcileError(
            f"Comparing {label}: column {column.name} is loaded as {loaded.sql}, but Snowflake has "
            f"it as {found}. Load the table whole, or leave the column out with --ignore."
        )
    value = column.type.select.format(sql.identifier(column.name))
    stored_value = quote(name)
    nulls = out_of_range == "null"
    source, copy = _texts(column, value, stored_value, stored, nulls=nulls)
    plain_text = stored.kind is Kind.VARCHAR
    return Comparable(
        column.name, stored.kind, source, copy, stored_value, column.type_name, plain_text
    )


def _texts(
    column: Column, value: str, copy: str, stored: ColumnType, *, nulls: bool
) -> tuple[str, str]:
    kind = stored.kind
    if kind is Kind.NUMBER:
        return _number(column.type.arrow, value, copy, stored, nulls=nulls)
    if kind is Kind.FLOAT:
        double = f"{value}::float8"
        return float_text(double, keeps_special=not nulls), float_text(copy, keeps_special=True)
    if kind in _MOMENTS:
        return _moment(kind, value, copy, nulls=nulls)
    if kind is Kind.VARIANT:
        return _json(value, copy)
    if kind is Kind.VARCHAR:
        # A cast of character(n) to text would cut the blanks at the end off.
        ordinary = value.endswith("::text") or column.type_name.startswith(_ORDINARY_TEXTS)
        whole = f"CASE WHEN {value} IS NOT NULL THEN concat({value}) END"
        return (value if ordinary else whole), copy
    source, there = _SIMPLE[kind]
    return source.format(value), there.format(copy)


def _number(
    found: pa.DataType, value: str, copy: str, stored: ColumnType, *, nulls: bool
) -> tuple[str, str]:
    own_scale = found.scale if pa.types.is_decimal(found) else 0
    scale = max(own_scale, stored.scale or 0)
    source = value
    if pa.types.is_decimal(found) or scale:
        source = f"round({value}::numeric, {scale})"
    if pa.types.is_decimal(found) and nulls:
        special = "('NaN', 'Infinity', '-Infinity')"
        source = f"CASE WHEN {value}::text NOT IN {special} THEN {source} END"
    as_stored = scale == stored.scale and scale != stored.precision
    number = copy if as_stored else f"CAST({copy} AS NUMBER(38, {scale}))"
    return source, f"TO_VARCHAR({number})"


def _moment(kind: Kind, value: str, copy: str, *, nulls: bool) -> tuple[str, str]:
    if kind is Kind.DATE:
        source = f"CASE WHEN {value} BETWEEN '0001-01-01' AND '9999-12-31' THEN {value} END"
        return (source if nulls else value), f"TO_VARCHAR({copy}, 'YYYY-MM-DD')"
    if kind is Kind.TIME:
        source = f"CASE WHEN {value} < '24:00' THEN {value} END" if nulls else value
        return _cut(f"({source})::text"), _cut_there(f"TO_VARCHAR({copy}, 'HH24:MI:SS.FF9')")
    source = value
    if nulls:
        within = f"{value} >= '0001-01-01' AND {value} < '10000-01-01'"
        source = f"CASE WHEN {within} THEN {value} END"
    if kind is Kind.TIMESTAMP_TZ:
        copy = f"CONVERT_TIMEZONE('UTC', {copy})"
    text = f"TO_VARCHAR({copy}, 'YYYY-MM-DD HH24:MI:SS.FF9')"
    # The session's time zone is UTC.
    return _cut(f"({source})::timestamp::text"), _cut_there(text)


def _cut(text: str) -> str:
    return f"rtrim({text}, '0.')"


def _cut_there(text: str) -> str:
    return f"RTRIM(CAST({text} AS VARCHAR), '0.')"


def _json(value: str, copy: str) -> tuple[str, str]:
    text = f"nullif(btrim({value}, E' \\t\\n\\r'), 'null')"
    marks, blanks = sql.literal(_JSON_MARKS), sql.literal(" " * len(_JSON_MARKS))
    words = f"unnest(string_to_array(translate({text}, {marks}, {blanks}), ' ')) AS word"
    in_order = f"string_agg(word, ' ' ORDER BY word COLLATE \"C\") FROM {words} WHERE word <> ''"
    source = f"concat({', '.join(_counts(text))}, (SELECT {in_order}))"
    there = f"TO_JSON({copy})"
    words = f"STRTOK_TO_ARRAY(TRANSLATE({there}, {marks}, {blanks}), ' ')"
    counts = " || ".join(_counts(there))
    there = f"{counts} || COALESCE(ARRAY_TO_STRING(ARRAY_SORT({words}), ' '), '')"
    return (
        f"CASE WHEN {text} IS NOT NULL THEN {source} END",
        f"CASE WHEN {copy} IS NOT NULL THEN {there} END",
    )


def _counts(text: str) -> list[str]:
    parts = []
    for mark in '{["':
        parts += [f"(LENGTH({text}) - LENGTH(REPLACE({text}, '{mark}', '')))", "' '"]
    return parts
