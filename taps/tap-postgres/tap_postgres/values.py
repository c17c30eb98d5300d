"""From the driver's Arrow batches to the types the stream promises, checking every value.

ADBC gives numerics as text. Dates and times that Python and Snowflake cannot hold come out of it as
numbers outside of the years 1 to 9999, infinite ones too. Such values, and floats and numerics that
are NaN or infinite, fail the stream or become NULL, as the setting `out_of_range` says.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tap_postgres.table import Column, Table, arrow_schema
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

logger = logging.getLogger(__name__)

_NOT_NUMBERS = pa.array(["nan", "inf", "-inf"])
_MICROSECONDS_A_DAY = 86_400_000_000
_EPOCH = dt.date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = dt.date.min.toordinal() - _EPOCH, dt.date.max.toordinal() - _EPOCH
_DAYS = (_FIRST_DAY, _LAST_DAY)
_STAMPS = (_FIRST_DAY * _MICROSECONDS_A_DAY, (_LAST_DAY + 1) * _MICROSECONDS_A_DAY - 1)
_TIMES = (0, _MICROSECONDS_A_DAY - 1)  # PostgreSQL allows 24:00:00


class Converter:
    """Converts the batches of one stream; `on_bad_value` is "error" or "null".

    `stamps` are the values of the columns that the tap adds. Several threads may convert at once.
    """

    def __init__(
        self,
        table: Table,
        columns: tuple[Column, ...],
        on_bad_value: str,
        stamps: Sequence[tuple[Column, object]] = (),
    ) -> None:
        self.schema = arrow_schema((*columns, *(column for column, _ in stamps)))
        self._stamps = [pa.scalar(value, column.type.arrow) for column, value in stamps]
        self._table = table
        self._columns = columns
        self._to_null = on_bad_value == "null"
        self._nulled: Counter[str] = Counter()
        self._counting = threading.Lock()

    def convert(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches converted.

        Raises:
            TapError: a value cannot be carried; names table, column, key and setting.
        """
        for batch in batches:
            pairs = zip(self._columns, batch.columns, strict=True)
            arrays = [self._column(column, array, batch) for column, array in pairs]
            arrays += [pa.repeat(stamp, batch.num_rows) for stamp in self._stamps]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def log_nulled(self) -> None:
        """Warn once for each column in which values became NULL."""
        for name, count in self._nulled.items():
            logger.warning(
                "%s.%s: %d values that cannot be carried became NULL (out_of_range: null).",
                self._table.label, name, count,
            )  # fmt: skip

    def _column(self, column: Column, array: pa.Array, batch: pa.RecordBatch) -> pa.Array:
        kind = column.type.arrow
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if pa.types.is_decimal(kind):
            return self._decimals(column, array, batch)
        if column.is_json:
            return _json_null_to_null(array)
        if pa.types.is_floating(kind):
            return self._checked(column, array, pc.is_finite(array), batch)
        if pa.types.is_temporal(kind):
            return self._checked(column, array, _within_calendar(array), batch)
        return array

    def _decimals(self, column: Column, array: pa.Array, batch: pa.RecordBatch) -> pa.Array:
        try:
            return pc.cast(array, column.type.arrow)
        except pa.ArrowInvalid:  # rare: only now look for what does not fit
            numbers = pc.invert(pc.is_in(array, _NOT_NUMBERS))
            array = self._checked(column, array, numbers, batch)
        try:
            return pc.cast(array, column.type.arrow)
        except pa.ArrowInvalid as error:
            row = next(i for i in range(len(array)) if not _fits(array[i], column.type.arrow))
            raise TapError(
                f"{self._place(column, batch, row)} is {array[row]}, which does not fit "
                f"{column.type.schema['x-sql-datatype']}. Declare the column's precision, or cast "
                "it where a query computes it (to numeric(38,20), or to text for every digit), or "
                "set unconstrained_numeric to text for all such columns."
            ) from error

    def _checked(
        self, column: Column, array: pa.Array, good: pa.Array, batch: pa.RecordBatch
    ) -> pa.Array:
        """Let through what is `good` (null where the value is null) and treat the rest."""
        if pc.all(good).as_py() is not False:
            return array
        if not self._to_null:
            row = pc.index(good, value=False).as_py()
            raise TapError(
                f"{self._place(column, batch, row)} holds a value that cannot be carried: NaN, an "
                "infinity, a time of 24:00 or a date outside the years 1 to 9999. "
                "Set out_of_range to null, or correct it."
            )
        with self._counting:
            self._nulled[column.name] += pc.sum(pc.invert(good)).as_py()
        return pc.if_else(good, array, pa.scalar(None, array.type))

    def _place(self, column: Column, batch: pa.RecordBatch, row: int) -> str:
        keys = {name: batch.column(name)[row] for name in self._table.key}
        where = ", ".join(f"{name}={_shown(value)}" for name, value in keys.items())
        return f"{self._table.label}, column {column.name}, row {where or '(no key)'}:"


def _within_calendar(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_date(kind):
        low, high = _DAYS
        numbers = array.cast(pa.int32())
    else:
        low, high = _TIMES if pa.types.is_time(kind) else _STAMPS
        numbers = array.cast(pa.int64())
    return pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))


def _json_null_to_null(array: pa.Array) -> pa.Array:
    """JSON's null is SQL's NULL in both lanes; `json` columns may have spaces around it."""
    nulls = pc.equal(pc.ascii_trim_whitespace(array), "null")
    if not pc.any(nulls).as_py():
        return array
    return pc.if_else(nulls, pa.scalar(None, array.type), array)


def _fits(value: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        value.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _shown(value: pa.Scalar) -> str:
    storage = value.value if isinstance(value, pa.ExtensionScalar) else value
    return str(storage)
