"""What Clari's stand-in has of forecasts: quarters, weeks, people and their numbers."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Row = dict[str, Any]
START_MONTH = 2  # of the fiscal year, which is named after the year in which it ends
FIELDS = ("fc_commit", "fc_best_case", "fc_most_likely")
QUOTA = "quota"
WEEK = dt.timedelta(days=7)
DAY = dt.timedelta(days=1)
WEDNESDAY = 2
VALUES = {  # which properties a type brings
    "forecast": ("forecastValue", "currency"),
    "forecast_updated": ("isUpdated", "updatedBy", "updatedOn"),
    "quota": ("quotaValue",),
}
KEY = ("timePeriodId", "timeFrameId", "userId", "fieldId")


class Forecasts:
    """The numbers of all forecasts in four quarters: two that are over, this one and the next.

    Attributes:
        today: What decides which quarter is the current one, and up to which week it is shown.
        quarters: Names of the quarters, oldest first.
        data: By forecast and quarter, the five arrays; may be changed at any time.
        departed: Ids of users that are opted in no more, and shown no more.
        structured: Whether currency and scopeId come as objects.
    """

    def __init__(self, forecast_ids: Sequence[str], people: int, today: dt.date) -> None:
        self.today = today
        self.departed: set[str] = set()
        self.structured = False
        indexes = [quarter_index(today) + step for step in (-2, -1, 0, 1)]
        self.quarters = [quarter_name(index) for index in indexes]
        self.data = {
            (forecast_id, quarter_name(index)): _arrays(index, users(people), forecast_id)
            for forecast_id in forecast_ids
            for index in indexes
        }

    @property
    def current(self) -> str:
        return self.quarters[2]

    def shown(self, forecast_id: str, quarter: str, types: Collection[str]) -> dict[str, list[Row]]:
        """What an export shows now: who is opted in, the weeks so far, the values asked for."""
        data = self.data[forecast_id, quarter]
        weeks = [w for w in data["timeFrames"] if w["startDate"] <= str(self.today)]
        weeks = weeks or data["timeFrames"][:1]
        ids = {week["timeFrameId"] for week in weeks}
        here = [e for e in data["entries"] if e["userId"] not in self.departed]
        seen = [self._visible(e, types) for e in here if e["timeFrameId"] in ids]
        return {
            **data,
            "entries": [entry for entry in seen if len(entry) > len(KEY)],
            "users": [self._form(u) for u in data["users"] if u["userId"] not in self.departed],
            "timeFrames": weeks,
        }

    def _visible(self, entry: Row, types: Collection[str]) -> Row:
        hidden = {n for kind, names in VALUES.items() if kind not in types for n in names}
        return self._form({name: value for name, value in entry.items() if name not in hidden})

    def _form(self, row: Row) -> Row:
        forms = {"currency": "code", "scopeId": "id"} if self.structured else {}
        return {name: {forms[name]: v} if name in forms else v for name, v in row.items()}


def last_week_only(arrays: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """What an answer without its history keeps."""
    last = max((week["timeFrameId"] for week in arrays["timeFrames"]), default=None)
    kept = {
        name: [row for row in arrays[name] if row["timeFrameId"] == last]
        for name in ("entries", "timeFrames")
    }
    return {**arrays, **kept}


def _arrays(index: int, people: list[Row], forecast_id: str) -> dict[str, list[Row]]:
    fields = [
        {"fieldId": name, "fieldName": name.title(), "fieldType": "FORECAST"} for name in FIELDS
    ]
    return {
        "entries": entries(index, people, forecast_id),
        "users": people,
        "fields": [*fields, {"fieldId": QUOTA, "fieldName": "Quota", "fieldType": "QUOTA"}],
        "timePeriods": [period(index)],
        "timeFrames": weeks(index),
    }


def quarter_index(day: dt.date) -> int:
    """A number for the fiscal quarter of a day; the next one has the next number."""
    return (day.year * 12 + day.month - START_MONTH) // 3


def quarter_name(index: int) -> str:
    """The vendor's name of a quarter."""
    return f"{index // 4 + 1}_Q{index % 4 + 1}"


def quarter_start(index: int) -> dt.date:
    """The first day of a quarter."""
    months = index * 3 + START_MONTH - 1
    return dt.date(months // 12, months % 12 + 1, 1)


def weeks(index: int) -> list[Row]:
    """The weeks of a quarter, Wednesday to Tuesday; those at its ends are in two quarters."""
    start, end = quarter_start(index), quarter_start(index + 1)
    first = start - DAY * ((start.weekday() - WEDNESDAY) % 7)
    days = [first + WEEK * n for n in range((end - first).days // 7 + 1)]
    return [
        {
            "timeFrameId": f"TF:{day}",
            "startDate": str(day),
            "endDate": str(day + WEEK - DAY),
        }
        for day in days
        if day < end
    ]


def period(index: int) -> Row:
    """The object of a quarter in an answer."""
    name = quarter_name(index)
    return {
        "timePeriodId": name,
        "type": "quarter",
        "label": f"Quarter {name[-1]}",
        "year": name[:4],
        "startDate": str(quarter_start(index)),
        "endDate": str(quarter_start(index + 1) - DAY),
        "crmId": f"0260{index:011d}",
    }


def users(count: int) -> list[Row]:
    """The first stands at the top of the hierarchy; two ids belong to one person."""
    found = []
    for n in range(count):
        role, person = f"00E{n:012d}", max(n, 1)
        user = {
            "userId": f"{280001 + person}:{role}",
            "name": f"Person {person}",
            "email": f"person{person}@example.com",
            "crmId": f"005{person:012d}",
            "hierarchyId": role,
            "hierarchyName": f"Role {n}",
            "scopeId": f"{1900 + n}::MGR",
        }
        if n:
            user |= {"parentHierarchyId": "00E000000000000", "parentHierarchyName": "Role 0"}
        found.append(user)
    return found


def entries(index: int, people: list[Row], forecast_id: str) -> list[Row]:
    """Every person's numbers in every week: some untouched, some without a value, one unknown."""
    chance = random.Random(f"{forecast_id} {index}")  # noqa: S311 - nothing secret
    found = []
    for week in weeks(index):
        for user in people:
            key = {
                "timePeriodId": quarter_name(index),
                "timeFrameId": week["timeFrameId"],
                "userId": user["userId"],
            }
            found += [{**key, "fieldId": name, **_value(chance, week, user)} for name in FIELDS]
            found.append({**key, "fieldId": QUOTA, "quotaValue": 500_000.0})
    found[0]["unheardOf"] = {"weight": 0.25}
    return found


def _value(chance: random.Random, week: Row, user: Row) -> Row:
    touched = chance.random() < 0.5  # noqa: PLR2004 - half of them
    row: Row = {"currency": "USD", "isUpdated": touched}
    if touched:
        monday = dt.datetime.fromisoformat(week["startDate"]).replace(tzinfo=dt.UTC)
        seconds = int(monday.timestamp()) + chance.randrange(6 * 86_400)
        row |= {"updatedBy": user["userId"].split(":")[0], "updatedOn": seconds * 1000 + 250}
    if chance.random() < 0.9:  # noqa: PLR2004 - now and then there is no number
        row["forecastValue"] = round(chance.uniform(0, 900_000), 3)
    return row
