"""The result file of an export: checked, and shaped into rows ("clari.md" 5 and 6)."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

Row = dict[str, Any]
LEEWAY = dt.timedelta(days=14)  # by which a quarter may differ from whole months
DECIMALS = 9  # that the columns of values have
CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
UPDATED_ON = "updatedOn"
KEY = ("timeFrameId", "userId", "fieldId")


class ExportFailedError(TapError):
    """The job is of no use any more: only a new one can bring what was asked for."""


@dataclass(frozen=True)
class Export:
    """One forecast in one quarter, and the body of the POST that asks for it.

    Attributes:
        contains: A day that must lie in the quarter, where it was asked for as the current one.
    """

    forecast_id: str
    time_period_id: str
    request: Mapping[str, Any]
    contains: dt.date | None = None

    @property
    def name(self) -> str:
        """Both together, the value of `forecast_period` in every row."""
        return f"{self.forecast_id}:{self.time_period_id}"


class File(msgspec.Struct, rename="camel"):
    """The five arrays, all of which must be there, empty or not."""

    entries: list[Row]
    users: list[Row]
    fields: list[Row]
    time_periods: list[Row]
    time_frames: list[Row]


decoder = msgspec.json.Decoder(File, float_hook=Decimal)


class Answer:
    """What one export brought.

    Attributes:
        names_quarter: Whether the file says of which quarter it is; one without any row may not.

    Raises:
        ExportFailedError: an array is missing, the file is of another quarter than was asked for,
            or two entries of one key contradict each other.
    """

    def __init__(self, export: Export, exported_at: str, content: bytes) -> None:
        self.export = export
        self.exported_at = exported_at
        try:
            self.file = decoder.decode(content)
        except msgspec.DecodeError as error:
            # Of a validation error the message names the property and no value.
            detail = f" ({error})" if isinstance(error, msgspec.ValidationError) else ""
            raise ExportFailedError(
                f"The result of Clari's export {export.name} is not an object with the arrays "
                f"{', '.join(File.__struct_encode_fields__)}{detail}; report it."
            ) from None
        self._check_quarter()
        self.file.entries = self._merged(self.file.entries)
        ids = sorted({str(frame["timeFrameId"]) for frame in self.file.time_frames})
        self._week_numbers = {frame_id: number for number, frame_id in enumerate(ids)}

    def rows(self, array: str, columns: Collection[str]) -> Iterator[Row]:
        """Shape the objects of one array; what has no column goes into `extra`."""
        for found in getattr(self.file, array):
            row = _shaped(found, columns)
            if "time_frame_id" in row:
                row["week_number"] = self._week_numbers.get(row["time_frame_id"])
            yield {**row, **self.marks}

    @property
    def marks(self) -> Row:
        """The columns that every row of this export has."""
        return {
            "forecast_id": self.export.forecast_id,
            "time_period_id": self.export.time_period_id,
            "forecast_period": self.export.name,
            "exported_at": self.exported_at,
        }

    def _check_quarter(self) -> None:
        """Clari answers with the current quarter when it does not know the one asked for."""
        named = {each.get("timePeriodId") for each in [*self.file.time_periods, *self.file.entries]}
        others = self.file.users or self.file.fields or self.file.time_frames
        asked = self.export.time_period_id
        if named - {asked} or (others and not named):
            found = ", ".join(sorted(map(str, named))) or "no quarter at all"
            raise ExportFailedError(
                f"Clari's export {self.export.name} answered with {found}, not with {asked}: "
                "it gives the current quarter when it does not know the one asked for. Correct "
                "time_periods, fiscal_year_start_month or fiscal_year_named_after."
            )
        self.names_quarter = bool(named)
        for period in self.file.time_periods:
            self._check_days(period)

    def _check_days(self, period: Row) -> None:
        """A wrong fiscal calendar names a quarter that exists, but in another year."""
        day, first, last = self.export.contains, period.get("startDate"), period.get("endDate")
        if not (day and first and last):
            return
        if not self._day(first) - LEEWAY <= day <= self._day(last) + LEEWAY:
            raise ExportFailedError(
                f"Clari's {self.export.time_period_id} runs from {first} to {last}, so it is not "
                f"the current quarter on {day}. Correct fiscal_year_start_month or "
                "fiscal_year_named_after."
            )

    def _day(self, text: object) -> dt.date:
        try:
            return dt.date.fromisoformat(str(text)[: len("2025-01-31")])
        except ValueError:
            raise ExportFailedError(
                f"Clari's export {self.export.name} has a quarter whose startDate or endDate is no "
                "date; report it."
            ) from None

    def _merged(self, entries: Iterable[Row]) -> list[Row]:
        """Put entries of one key together: each type of value may come as an entry of its own."""
        by_key: dict[tuple[Any, ...], Row] = {}
        for entry in entries:
            whole = by_key.setdefault(tuple(entry.get(name) for name in KEY), {})
            for name, value in entry.items():
                if whole.setdefault(name, value) != value:
                    raise ExportFailedError(
                        f"Clari's export {self.export.name} has two entries of one week, user and "
                        f"field that differ in {name}. Ask for fewer types_to_export at once."
                    )
        for whole in by_key.values():
            if UPDATED_ON in whole:
                whole[UPDATED_ON] = moment(whole[UPDATED_ON])
        return list(by_key.values())


def moment(milliseconds: float | str | None) -> str | None:
    """ISO 8601 in UTC of Clari's milliseconds since the epoch.

    Raises:
        ExportFailedError: they are no such number.
    """
    if milliseconds is None:
        return None
    try:
        return dt.datetime.fromtimestamp(float(milliseconds) / 1000, dt.UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        raise ExportFailedError(
            "Clari gave a time that is no number of milliseconds since 1970; report it."
        ) from None


def shaped_object(found: Row, columns: Collection[str]) -> Row:
    """Rename an object's properties to columns; the rest stays as it is, in `extra`."""
    row: Row = {}
    extra: Row = {}
    for name, value in found.items():
        column = CAPITAL.sub("_", name).lower()
        if column in columns:
            row[column] = value
        else:
            extra[name] = value
    return {**row, "extra": extra or None}


def _shaped(found: Row, columns: Collection[str]) -> Row:
    row = shaped_object(found, columns)
    for name in ("forecast_value", "quota_value"):
        if isinstance(row.get(name), Decimal):
            row[name] = round(row[name], DECIMALS)
    return row
