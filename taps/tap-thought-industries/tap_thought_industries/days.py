"""Moments and day windows. All days are UTC, all numbers of milliseconds count from 1970."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """One day, or as much of it as has passed.

    Attributes:
        day: The day.
        until: The last moment in it that is read.
    """

    day: dt.date
    until: dt.datetime

    @property
    def start(self) -> int:
        """The first millisecond, which belongs to the window."""
        return milliseconds(midnight(self.day))

    @property
    def end(self) -> int:
        """The last millisecond, which belongs to the window too."""
        return milliseconds(self.until)

    @property
    def next_day(self) -> dt.date:
        return self.day + DAY

    def is_settled(self, now: dt.datetime, settling: dt.timedelta) -> bool:
        """Whether the day ended so long ago that nothing of it is expected to come late."""
        return midnight(self.next_day) + settling <= now


def day_windows(first: dt.date, now: dt.datetime) -> Iterator[Window]:
    """The windows from a day to the moment `now`, oldest first; nothing when it is yet to come.

    Always from midnight: our loader replaces whole days, so a window must never be a later part.
    """
    day = first
    while midnight(day) <= now:
        yield Window(day, min(midnight(day + DAY) - MILLISECOND, now))
        day += DAY


def midnight(day: dt.date) -> dt.datetime:
    """The moment at which a day begins."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def milliseconds(moment: dt.datetime) -> int:
    """Whole milliseconds since 1970; a started one counts as not yet passed."""
    return (moment - EPOCH) // MILLISECOND


def read_moment(text: object, what: str) -> dt.datetime:
    """Read an ISO 8601 date or date-time; without a zone it is UTC.

    Raises:
        TapError: it is neither; `what` begins the sentence. The text itself is left out.
    """
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        raise TapError(
            f"{what} is no date or time in the form of ISO 8601, such as 2024-06-10T08:15:30.412Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
