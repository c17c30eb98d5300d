"""The placeholders that a manifest's query may hold (postgres_pipeline.md, section 1).

`{EXECUTION_DATE}`, `{HOURS}`, `{DAYS}`: the interval that ends at the execution date.
`{BEGIN_TIMESTAMP}`, `{END_TIMESTAMP}`: the same interval, as its two ends.
`{INTERNAL_...}`: lists of what is ours, from CSV files (`seeds`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MOMENTS = ("EXECUTION_DATE", "BEGIN_TIMESTAMP", "END_TIMESTAMP")
LENGTHS = ("HOURS", "DAYS")
TIME = (*MOMENTS, *LENGTHS)
INTERNAL = (
    "INTERNAL_NAMESPACE_IDS",
    "INTERNAL_PROJECT_IDS",
    "INTERNAL_PROJECT_PATHS",
    "INTERNAL_NAMESPACE_PATHS",
    "INTERNAL_PATHS",
)
_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def interval_values(begin: dt.datetime, end: dt.datetime) -> dict[str, str]:
    """The values of the time placeholders for an interval, given as aware moments.

    Hours and days are whole numbers, rounded up: no query begins later than `begin`.
    """
    begin, end = begin.astimezone(dt.UTC), end.astimezone(dt.UTC)
    length = end - begin
    return {
        "EXECUTION_DATE": _iso(end),
        "HOURS": str(-(-length // _HOUR)),
        "DAYS": str(-(-length // _DAY)),
        "BEGIN_TIMESTAMP": _iso(begin),
        "END_TIMESTAMP": _iso(end),
    }


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of their names in braces."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _iso(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds")
