"""Fiscal quarters by Clari's names, `YYYY_Qn`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

MONTHS, QUARTERS = 3, 4  # of a quarter, of a year
STEPS = {"previous": -1, "current": 0, "next": 1}


@dataclass(frozen=True)
class FiscalCalendar:
    """A customer's quarters: three months each, from the first day of a month.

    Attributes:
        start_month: First month of the fiscal year, 1 to 12.
        named_after: Which calendar year names it: that of its `start` or of its `end`.
    """

    start_month: int
    named_after: str

    def name(self, period: str, today: dt.date) -> str:
        """Name the quarter that is meant by a word (`current` and so on), or by its name."""
        if period not in STEPS:
            return period
        months = today.year * 12 + today.month - self.start_month
        year, quarter = divmod(months // MONTHS + STEPS[period], QUARTERS)
        later = self.named_after == "end" and self.start_month > 1
        return f"{year + later}_Q{quarter + 1}"
