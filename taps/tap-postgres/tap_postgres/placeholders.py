"""The placeholders that manifests' queries may hold.

`{EXECUTION_DATE}`, `{HOURS}`, `{DAYS}`: the interval that ends at the execution date.
`{BEGIN_TIMESTAMP}`, `{END_TIMESTAMP}`: the same interval, as its two ends.
"""

from __future__ import annotations

import datetime as dt
import re

from tapsupport.errors import TapError

_PLACEHOLDER = re.compile(r"\{([A-Z][A-Z_]*)\}")
NAMES = frozenset({"EXECUTION_DATE", "HOURS", "DAYS", "BEGIN_TIMESTAMP", "END_TIMESTAMP"})


def unknown_placeholders(query: str) -> list[str]:
    """Return the placeholders in a query that nothing fills, as they stand there."""
    found = _PLACEHOLDER.findall(query)
    return [f"{{{name}}}" for name in dict.fromkeys(found) if name not in NAMES]


def interval(execution_date: str | None, hours: int) -> dict[str, str]:
    """The placeholders' values for an execution date (now when None) and a length in hours.

    Raises:
        TapError: the date is not ISO 8601.
    """
    try:
        end = (
            dt.datetime.fromisoformat(execution_date) if execution_date else dt.datetime.now(dt.UTC)
        )
    except ValueError as error:
        raise TapError(
            f"The setting execution_date is {execution_date}, not a date. "
            "Use ISO 8601, such as 2030-01-31T00:00:00+00:00."
        ) from error
    end = (end if end.tzinfo else end.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    begin = end - dt.timedelta(hours=hours)
    return {
        "EXECUTION_DATE": end.isoformat(),
        "HOURS": str(hours),
        "DAYS": str(-(-hours // 24)),
        "BEGIN_TIMESTAMP": begin.isoformat(),
        "END_TIMESTAMP": end.isoformat(),
    }


def fill(query: str, values: dict[str, str]) -> str:
    """Put the values in place."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), query)
