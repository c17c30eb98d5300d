"""Cron expressions by the rules of Kubernetes, which are stricter than Meltano's.

Kubernetes reads them with the standard parser of Go's robfig/cron, version 3: five fields of lists
of ranges with steps, names of months and days, `?` for `*`, and aliases; no `L`, `W` or `#`, no day
of week 7, no range that wraps around. Beyond that, what would never come is refused here
("kubernetes.md", section 1).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
LONGEST_WAIT_DAYS = 8 * 366  # 29 February comes again after eight years at the latest


class CronError(ValueError):
    """Kubernetes would not take the expression; the text says which part, and why."""


@dataclass(frozen=True)
class Field:
    """What a field may hold."""

    name: str
    lowest: int
    highest: int
    names: dict[str, int]


FIELDS = (
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day of month", 1, 31, {}),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, DAYS),
)


@dataclass(frozen=True)
class Cron:
    """A parsed expression; its moments are UTC.

    Attributes:
        any_day: Whether one of the two day fields is a star, so that the other decides alone;
            else a day comes when either names it.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool

    def next(self, moment: datetime) -> datetime:
        """The first moment after this one."""
        start = moment.astimezone(UTC)
        for day in _days(start.date(), 1):
            if self._is_on(day):
                for found in self._times(day):
                    if found > start:
                        return found
        raise CronError("it names a day that never comes")

    def previous(self, moment: datetime) -> datetime:
        """The last moment that is not after this one."""
        end = moment.astimezone(UTC)
        for day in _days(end.date(), -1):
            if self._is_on(day):
                for found in reversed(list(self._times(day))):
                    if found <= end:
                        return found
        raise CronError("it names a day that never comes")

    def _is_on(self, day: date) -> bool:
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        fits = (in_month and in_week) if self.any_day else (in_month or in_week)
        return day.month in self.months and fits

    def _times(self, day: date) -> Iterator[datetime]:
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                yield datetime.combine(day, time(hour, minute), tzinfo=UTC)


def parse(expression: str) -> Cron:
    """Read an expression.

    Raises:
        CronError: Kubernetes would refuse it, or it never comes.
    """
    words = ALIASES.get(expression.strip(), expression).split()
    if len(words) != len(FIELDS):
        raise CronError(
            f"{expression!r} has {len(words)} fields; Kubernetes takes five, or one of"
            f" {', '.join(ALIASES)}"
        )
    parsed = [_field(word, field) for word, field in zip(words, FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = (frozenset(numbers) for numbers, _ in parsed)
    any_day = parsed[2][1] or parsed[4][1]
    cron = Cron(minutes, hours, days, months, weekdays, any_day=any_day)
    cron.next(datetime(2000, 1, 1, tzinfo=UTC))
    return cron


def _field(text: str, field: Field) -> tuple[set[int], bool]:
    """The numbers of a field, and whether it holds a star; one with steps over 1 is none."""
    parts = [_range(part, field) for part in text.split(",")]
    return set().union(*(numbers for numbers, _ in parts)), any(is_star for _, is_star in parts)


def _range(text: str, field: Field) -> tuple[set[int], bool]:
    ends, slash, step_text = text.partition("/")
    step = _number(step_text, field, {}) if slash else 1
    if step < 1:
        raise CronError(f"the {field.name} {text!r} has a step of 0")
    low_text, hyphen, high_text = ends.partition("-")
    is_star = ends in {"*", "?"}
    if is_star:
        low, high = field.lowest, field.highest
    else:
        low = _number(low_text, field, field.names)
        high = _number(high_text, field, field.names) if hyphen else low
        if slash and not hyphen:
            high = field.highest
    if not field.lowest <= low <= high <= field.highest:
        raise CronError(
            f"the {field.name} {text!r} is not a range from {field.lowest} to {field.highest}"
        )
    return set(range(low, high + 1, step)), is_star and step == 1


def _number(text: str, field: Field, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise CronError(f"the {field.name} {text!r} is neither a number nor a name")
    return int(text)


def _days(start: date, step: int) -> Iterator[date]:
    return (start + timedelta(days=step * count) for count in range(LONGEST_WAIT_DAYS + 1))
