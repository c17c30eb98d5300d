"""What Clari's stand-in has of audit events."""

from __future__ import annotations

import datetime as dt
from typing import Any

Row = dict[str, Any]
KINDS = ("LOGIN", "EXPORT_STARTED", "FORECAST_SUBMITTED")
PEOPLE = 3


def actors() -> list[Row]:
    """The people; jobs and the system act too, and are not among them."""
    return [
        {
            "actorType": "USER",
            "actorId": str(280_001 + n),
            "name": f"Person {n}",
            "email": f"person{n}@example.com",
        }
        for n in range(PEOPLE)
    ]


def audit_events(count: int, today: dt.date) -> list[Row]:
    """Newest first; two of the same moment, and every fourth without a session or a user."""
    last = dt.datetime.combine(today, dt.time(7, 30), dt.UTC)
    return [_event(n, last - dt.timedelta(minutes=n // 2)) for n in range(count)]


def _event(n: int, moment: dt.datetime) -> Row:
    event: Row = {
        "correlationID": f"c-{n:06d}",
        "event": KINDS[n % len(KINDS)],
        "eventParameters": {"number": n},
        "eventTimestamp": moment.isoformat().replace("+00:00", "Z"),
    }
    if n % 4 == 0:
        return {**event, "actorId": "scheduler", "actorType": "JOB"}
    return {
        **event,
        "actorId": str(280_001 + n % PEOPLE),
        "actorType": "USER",
        "sessionId": f"s-{n // 8}",
        "sessionType": "WEB",
        "ipAddress": "192.0.2.7",
    }
