"""From Java's values to Python's: of a row of a java.sql.ResultSet, and of its columns' types."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_xactly.statement import Select

# java.sql.Types
NUMBERS = {-7, -6, -5, 2, 3, 4, 5, 6, 7, 8}
DATES = {91, 93, 2014}
WITH_ZONE = 2014
# Java classes whose text is their value; that of a CLOB or an array is its address.
TIMESTAMP, BIG_DECIMAL = "java.sql.Timestamp", "java.math.BigDecimal"
WRITTEN = ("java.math.BigInteger", "java.time.", "java.sql.Date", "java.sql.Time", "java.util.UUID")


def row_reader(results: Any, statement: Select) -> Callable[[], list[object]]:  # noqa: ANN401 - Java's
    """Return what reads the current row.

    Raises:
        TapError: the columns have other names than those asked for.
    """
    metadata = results.getMetaData()
    places = range(1, int(metadata.getColumnCount()) + 1)
    if [str(metadata.getColumnLabel(p)).upper() for p in places] != list(statement.columns):
        raise TapError(
            f"Reading {statement.label}: the result has {len(places)} columns with other names "
            f"than the {len(statement.columns)} asked for. Report it as a fault of this tap."
        )
    columns = [
        (p, _has_zone(metadata, p), n) for p, n in zip(places, statement.columns, strict=True)
    ]

    def read() -> list[object]:
        return [
            _plain(results.getObject(place), f"{statement.label}.{name}", has_zone=has_zone)
            for place, has_zone, name in columns
        ]

    return read


def _has_zone(metadata: Any, place: int) -> bool:  # noqa: ANN401 - Java's
    """Whether a column holds moments, by the number of its type or, as in PostgreSQL, its name."""
    if int(metadata.getColumnType(place)) == WITH_ZONE:
        return True
    name = str(metadata.getColumnTypeName(place)).lower()
    return name == "timestamptz" or name.endswith("with time zone")


def _plain(value: Any, column: str, *, has_zone: bool) -> object:  # noqa: ANN401 - Java's
    """A value without Java: numbers and text stay, others are what Java writes for them.

    Raises:
        TapError: what Java writes for it is not its value.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    kind = type(value).__name__
    if has_zone and kind == TIMESTAMP:
        return str(value.toInstant())  # else its text is a time of day without the zone
    if isinstance(value, float) or kind == BIG_DECIMAL:
        return Decimal(str(value))  # as over HTTPS; it is text without an exponent
    if kind.startswith(WRITTEN):
        return str(value)
    raise TapError(
        f"{column} arrives as {kind[:80]}, which this tap does not read. Deselect the column."
    )


def kind_of(name: str, type_code: int) -> str:
    """The kind of a column (of `tables.KINDS`), by its name and its number in java.sql.Types."""
    if type_code in DATES:
        return "date-time"
    if type_code not in NUMBERS:
        return "text"
    return "integer" if name.endswith("_ID") else "number"
