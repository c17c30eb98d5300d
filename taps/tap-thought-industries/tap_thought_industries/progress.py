"""Which days of a stream are to be read, and how its state moves on.

States, under `bookmarks.<stream>`:

- `replication_key`, `replication_key_value`: the midnight before which every day has been read
  after it had settled; the next run begins there.
- `backfill`, during one that is not finished: `from`, `to` as in the settings, `next` the day to go
  on with. A backfill leaves the bookmark alone.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tap_thought_industries.days import DAY, Window, day_windows, midnight, read_moment
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BACKFILL = "backfill"
BOOKMARK = "replication_key_value"


class Progress:
    """One stream's way through the days of one run.

    Args:
        state: The stream's state, which is changed in place.
        config: The tap's settings, which `check_dates` has found to be right.
        now: The moment up to which there is anything to read.
    """

    def __init__(self, state: dict[str, Any], config: Mapping[str, Any], now: dt.datetime) -> None:
        self._state = state
        self._now = now
        self._settling = dt.timedelta(minutes=config["settle_minutes"])
        self._start = config["start_date"]
        self._is_backfill = is_backfill(config)
        self._from = config.get("backfill_from") or self._start
        self._to = config.get("backfill_to") or ""

    def windows(self) -> Iterator[Window]:
        """The days to read, oldest first."""
        if not self._is_backfill:
            return day_windows(self._bookmark(), self._now)
        last = self._now
        if self._to:
            end_of_range = midnight(_day(self._to, "backfill_to") + DAY)
            last = min(last, end_of_range - dt.timedelta(milliseconds=1))
        return day_windows(self._next_of_backfill(), last)

    def advance(self, window: Window) -> None:
        """Note that everything of a window was sent; windows come in order."""
        if self._is_backfill:
            self._state[BACKFILL] = {**self._range, "next": window.next_day.isoformat()}
        elif window.is_settled(self._now, self._settling):
            self._state["replication_key"] = "timestamp"
            self._state[BOOKMARK] = midnight(window.next_day).isoformat()

    def finish(self) -> None:
        """Note that the last window was sent."""
        self._state.pop(BACKFILL, None)

    @property
    def _range(self) -> dict[str, str]:
        return {"from": self._from, "to": self._to}

    def _bookmark(self) -> dt.date:
        if BOOKMARK in self._state:
            return _day(self._state[BOOKMARK], "The bookmark in the state")
        return _day(self._start, "start_date")

    def _next_of_backfill(self) -> dt.date:
        begun = dict(self._state.get(BACKFILL, {}))
        following = begun.pop("next", None)
        if begun == self._range:
            return _day(following, "The state's next day of a backfill")
        return _day(self._from, "backfill_from")


def _day(text: object, what: str) -> dt.date:
    return read_moment(text, what).date()


def is_backfill(config: Mapping[str, Any]) -> bool:
    """Whether a range is to be read again: it is asked for, or has a begin or an end."""
    return any(config.get(name) for name in ("backfill", "backfill_from", "backfill_to"))


def check_dates(config: Mapping[str, Any]) -> None:
    """Refuse dates that cannot be read, and a range of none, before the first request.

    Raises:
        TapError: names the setting.
    """
    days = {
        name: _day(config[name], f"The setting {name}")
        for name in ("start_date", "end_date", "backfill_from", "backfill_to")
        if name in config and (config[name] or name == "start_date")
    }
    first = days.get("backfill_from") or days.get("start_date")
    last = days.get("backfill_to")
    if first and last and first > last:
        raise TapError(
            f"There is nothing to read again: the range ends on {last} (backfill_to) and begins "
            f"on {first} (backfill_from, or else start_date). Correct the dates."
        )
