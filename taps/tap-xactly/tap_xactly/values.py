"""From delivered values to Arrow, the same for both ways in.

Numbers arrive as JSON numbers, as text or as Java writes them, ids sometimes as floating point
(fact sheet, section 9), dates with a zone, without one, or as java.time writes them. Messages name
tables and columns, never a value: these are salaries.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tap_xactly.tables import PRECISION, Column, Table
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_xactly.backend import Columns

_INT64 = range(-(2**63), 2**63)
_EXACT = Context(prec=PRECISION, traps=[Inexact, InvalidOperation])
_ROUNDED = Context(prec=PRECISION, traps=[InvalidOperation])
_HAS_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)$"


class Converter:
    """Converts the batches of one stream.

    Args:
        table: For messages.
        columns: What a batch holds, in order.
        zone: The IANA zone of dates that name none.
        rounds: Whether a number with more digits behind its point than its scale is rounded.
    """

    def __init__(self, table: Table, columns: Sequence[Column], zone: str, *, rounds: bool) -> None:
        self.schema = pa.schema([pa.field(column.name, column.arrow) for column in columns])
        self.rounded: dict[str, int] = {}
        self._table = table
        self._columns = columns
        self._zone = zone
        self._rounds = rounds
        self._by_kind = {
            "text": self._texts,
            "integer": self._integers,
            "number": self._numbers,
            "date-time": self._dates,
        }

    def convert(self, batch: Columns) -> pa.RecordBatch:
        """Convert a batch.

        Raises:
            TapError: a value is none of its column's kind, or a key is missing.
        """
        pairs = zip(self._columns, batch, strict=True)
        return pa.RecordBatch.from_arrays(
            [self._column(column, values) for column, values in pairs], schema=self.schema
        )

    def cursor(self, batch: Columns, order: Iterable[Column]) -> list[str | int]:
        """The last row's values of some columns, as a statement and a state take them."""
        places = {column.name: place for place, column in enumerate(self._columns)}
        return [
            _in_statement(column, self._column(column, batch[places[column.name]][-1:])[0])
            for column in order
        ]

    def _column(self, column: Column, values: Sequence[object]) -> pa.Array:
        if column.is_key and any(value is None for value in values):
            raise TapError(
                f"{self._table.name}.{column.name} belongs to the key and is NULL in a row. Set "
                "another key in the setting keys."
            )
        try:
            return self._by_kind[column.kind](column, values)
        except (ValueError, ArithmeticError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise TapError(
                f"{self._table.name}.{column.name} holds a value that is no {column.kind}, or one "
                f"with too many digits{_hint(column)}. Add {self._table.name}.{column.name} to "
                "the setting text_columns to load it as it is."
            ) from None  # the cause quotes the value

    def _texts(self, _: Column, values: Sequence[object]) -> pa.Array:
        return pa.array([None if v is None else _text(v) for v in values], pa.string())

    def _integers(self, _: Column, values: Sequence[object]) -> pa.Array:
        return pa.array([None if v is None else _integer(v) for v in values], pa.int64())

    def _numbers(self, column: Column, values: Sequence[object]) -> pa.Array:
        unit = Decimal(1).scaleb(-column.scale)
        found = [None if v is None else self._number(column, v, unit) for v in values]
        return pa.array(found, column.arrow)

    def _number(self, column: Column, value: object, unit: Decimal) -> Decimal:
        number = Decimal(_text(value))
        if not number.is_finite():
            raise ValueError("no number")
        try:
            return number.quantize(unit, context=_EXACT)
        except Inexact:
            if not self._rounds:
                raise
        self.rounded[column.name] = self.rounded.get(column.name, 0) + 1
        return number.quantize(unit, context=_ROUNDED)

    def _dates(self, _: Column, values: Sequence[object]) -> pa.Array:
        texts = self._texts(_, values)
        texts = pc.replace_substring_regex(texts, r"\[[^\]]*\]$", "")  # java.time's name of a zone
        texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")  # beyond microseconds
        # Behind a time of day only: the end of a bare date looks like a zone.
        zoned = pc.match_substring_regex(texts, r"\d\d:\d\d.*" + _HAS_ZONE)
        nothing = pa.scalar(None, pa.string())
        with_zone = pc.if_else(zoned, texts, nothing).cast(pa.timestamp("us", tz="UTC"))
        bare = pc.if_else(zoned, nothing, texts).cast(pa.timestamp("us"))
        local = pc.assume_timezone(bare, self._zone, ambiguous="earliest", nonexistent="earliest")
        return pc.coalesce(with_zone, local.cast(pa.timestamp("us", tz="UTC")))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"  # as flags arrive everywhere else
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _integer(value: object) -> int:
    if not isinstance(value, int):
        number = Decimal(_text(value))
        value = int(number)
        if value != number:
            raise ValueError("a fraction")
    if value not in _INT64:
        raise ValueError("too large")
    return int(value)


def _in_statement(column: Column, value: pa.Scalar) -> str | int:
    found = value.as_py()
    if found is None:
        raise TapError(
            f"{column.name} is NULL where rows are read in its order. Set another key in the "
            "setting keys, or add the table to full_reload."
        )
    if column.kind != "date-time":
        return found if isinstance(found, int) else _text(found)
    text = found.replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if '.' in text else text}Z"


def _hint(column: Column) -> str:
    if column.kind != "number":
        return ""
    return (
        f" (the setting decimal_scale allows {column.scale} behind the point; beyond_scale: round)"
    )
