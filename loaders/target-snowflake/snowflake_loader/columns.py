"""Arrow columns from JSON values: the validation of the record lane.

A column is converted whole by Arrow's own casts. Only where that fails is it gone through value
by value, to find which record does not fit and why.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from snowflake_loader.column_types import MAX_PRECISION, MAX_TEXT_BYTES, Kind, encoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from snowflake_loader.schema import Column

SAFE_DIGITS = 38  # characters of a number that Arrow surely reads without overflow
NO_VALUE = msgspec.Raw(b"null")
CONVERSION_ERRORS = (
    pa.ArrowException,
    ArithmeticError,
    ValueError,
    TypeError,
    msgspec.MsgspecError,
)


@dataclass
class Built:
    """One column's values, null where a value did not fit, and why, by row number."""

    values: pa.Array
    faults: dict[int, str] = field(default_factory=dict)


def field_type(column: Column) -> Any:  # noqa: ANN401 - msgspec's annotations are plain objects
    """Return what msgspec must decode the property's JSON value to."""
    if column.type.kind is Kind.VARCHAR and not _is_pure_text(column):
        return msgspec.Raw
    if column.type.kind is Kind.NUMBER:
        return int | float | None if column.type.is_integer else msgspec.Raw
    return FIELD_TYPES.get(column.type.kind, str | None)


def build(column: Column, values: list[Any]) -> Built:
    """Return the column of one batch of decoded values (as `field_type` asked for them)."""
    convert = _converter(column)
    try:
        built = Built(convert(values))
    except CONVERSION_ERRORS:
        built = _one_by_one(column, convert, values)
    if column.type.kind in {Kind.VARCHAR, Kind.VARIANT}:
        _refuse_long_text(column, built)
    if column.is_key and built.values.null_count:
        for row in pc.indices_nonzero(built.values.is_null()).to_pylist():
            built.faults.setdefault(row, f"key {column.property_name} is missing or null")
    return built


def _one_by_one(
    column: Column, convert: Callable[[list[Any]], pa.Array], values: list[Any]
) -> Built:
    faults: dict[int, str] = {}
    pieces: list[pa.Array] = []
    for row, value in enumerate(values):
        try:
            piece = convert([value])
        except CONVERSION_ERRORS:
            faults[row] = f"{column.property_name} does not fit {column.type.sql}: {_shown(value)}"
            piece = None
        pieces.append(piece)
    arrow_type = next((piece.type for piece in pieces if piece is not None), column.type.arrow)
    if any(piece is not None and piece.type != arrow_type for piece in pieces):
        arrow_type = column.type.arrow
    nothing = pa.nulls(1, arrow_type)
    whole = [nothing if piece is None else piece.cast(arrow_type) for piece in pieces]
    return Built(pa.concat_arrays(whole), faults)


def _converter(column: Column) -> Callable[[list[Any]], pa.Array]:
    kind = column.type.kind
    if kind is Kind.VARCHAR and not _is_pure_text(column):
        return _text_of_anything
    if kind is Kind.NUMBER:
        if column.type.is_integer:
            return lambda values: _integers(values, column.type.arrow)
        return lambda values: _decimals(_unquoted(values), column.type.arrow)
    if kind is Kind.BINARY and encoding(column.definition) == "base16":
        return lambda values: pa.array([v and binascii.unhexlify(v) for v in values], pa.binary())
    return CONVERTERS.get(kind) or (lambda values: pa.array(values, column.type.arrow))


def _is_pure_text(column: Column) -> bool:
    """Whether the schema allows nothing but text and null, so text needs no conversion."""
    types = column.definition.get("type", [])
    return set([types] if isinstance(types, str) else types) | {"null"} == {"string", "null"}


def _raw_json(values: list[Any]) -> pa.Array:
    """JSON text as it was sent; JSON null is SQL NULL."""
    texts = pa.array([bytes(value) for value in values], pa.binary()).cast(pa.string())
    return pc.if_else(pc.equal(texts, "null"), pa.scalar(None, pa.string()), texts)


def _unquoted(values: list[Any]) -> pa.Array:
    """The digits of numbers, whether sent as JSON numbers or as text."""
    return pc.utf8_trim(_raw_json(values), characters='" ')


def _text_of_anything(values: list[Any]) -> pa.Array:
    """Text as it is; anything else as its JSON."""
    return pa.array([_text(bytes(value)) for value in values], pa.string())


def _text(value: bytes) -> str | None:
    if value == b"null":
        return None
    if value.startswith(b'"'):
        return msgspec.json.decode(value, type=str)
    return value.decode()


def _integers(values: list[Any], widest: pa.DataType) -> pa.Array:
    # JSON Schema counts 5.0 as an integer; Arrow would cut 5.5 to 5 without a word.
    if any(type(value) is float and not value.is_integer() for value in values):
        raise ValueError("not a whole number")
    try:
        return pa.array(values, pa.int64())
    except OverflowError:
        exact = [None if value is None else Decimal(int(value)) for value in values]
        return pa.array(exact, widest)


def _decimals(texts: pa.Array, exact: pa.DataType) -> pa.Array:
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    has_exponent = pc.any(pc.match_substring(texts, "e", ignore_case=True)).as_py()
    if longest <= SAFE_DIGITS and not has_exponent:
        return texts.cast(exact)
    # Arrow wraps around silently past 38 digits, makes 0 of 1e-77 and crashes at 1e-999999999.
    return pa.array([text and _decimal(text, exact.scale) for text in texts.to_pylist()], exact)


def _decimal(text: str, scale: int) -> Decimal:
    value = Decimal(text)
    exact = value.quantize(Decimal(1).scaleb(-scale), context=Context(prec=MAX_PRECISION))
    if exact != value:
        raise ValueError("too many decimals")
    return exact


def _dates(values: list[Any]) -> pa.Array:
    texts = pa.array(values, pa.string())
    try:
        return texts.cast(pa.date32())
    except pa.ArrowInvalid:
        # A date sent as midnight is still a date; any other time of day would be lost.
        instants = _local_times(values)
        dates = instants.cast(pa.date32())
        if not dates.cast(instants.type).equals(instants):
            raise ValueError("not a date") from None
        return dates


def _times(values: list[Any]) -> pa.Array:
    """Times of day; Arrow reads them only as part of a date-time."""
    texts = pa.array(values, pa.string())
    return (
        pc.binary_join_element_wise("1970-01-01T", texts, "")
        .cast(pa.timestamp("us"))
        .cast(pa.time64("us"))
    )


def instants(values: list[Any]) -> pa.Array:
    """Date-times with a zone; one without is taken as UTC."""
    texts = pa.array(values, pa.string())
    try:
        return texts.cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid:
        return _local_times(values).cast(pa.timestamp("us", tz="UTC"))


def _local_times(values: list[Any]) -> pa.Array:
    """Date-times as the clock showed them, without a zone; one of `Z` or `+00:00` is the same."""
    texts = pa.array(values, pa.string())
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        zoneless = pc.replace_substring_regex(texts, r"(Z|[+-]00:?00)$", "")
        micros = pc.replace_substring_regex(zoneless, r"(\.\d{6})\d+$", r"\1")
        return micros.cast(pa.timestamp("us"))


def _refuse_long_text(column: Column, built: Built) -> None:
    if built.values.nbytes <= MAX_TEXT_BYTES:
        return
    too_long = pc.greater(pc.binary_length(built.values), MAX_TEXT_BYTES)
    for row in pc.indices_nonzero(too_long.fill_null(pa.scalar(value=False))).to_pylist():
        size = len(built.values[row].as_buffer())
        built.faults[row] = (
            f"{column.property_name} has {size:,} bytes, more than the {MAX_TEXT_BYTES:,} that "
            f"Snowflake holds in {column.type.sql}"
        )


def _shown(value: object) -> str:
    """A value's first characters; enough to find it, too few to fill a log."""
    text = bytes(value).decode(errors="replace") if isinstance(value, msgspec.Raw) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."  # noqa: PLR2004 - characters of a line


FIELD_TYPES: dict[Kind, Any] = {
    Kind.BOOLEAN: bool | None,
    Kind.FLOAT: float | None,
    Kind.VARIANT: msgspec.Raw,
}

CONVERTERS: dict[Kind, Callable[[list[Any]], pa.Array]] = {
    Kind.VARIANT: _raw_json,
    Kind.DATE: _dates,
    Kind.TIME: _times,
    Kind.TIMESTAMP_TZ: instants,
    Kind.TIMESTAMP_NTZ: _local_times,
    Kind.BINARY: lambda values: pa.array(
        [v and binascii.a2b_base64(v, strict_mode=True) for v in values], pa.binary()
    ),
}
