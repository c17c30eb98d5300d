"""Windows of INCR_UPDT_DT, the only column that the server filters by."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from tapsupport.errors import TapError

# Whether bounds belong to a window is not documented; so neighbours share this much.
SHARED = dt.timedelta(seconds=1)
SHORTEST = dt.timedelta(seconds=4)


@dataclass(frozen=True)
class Window:
    """A range of INCR_UPDT_DT, both ends as the API wants them."""

    start: str
    end: str

    def halves(self) -> tuple[Window, Window] | None:
        """Two windows that cover this one and share a second; None when it is too short."""
        start, end = (dt.datetime.fromisoformat(moment) for moment in (self.start, self.end))
        if end - start < SHORTEST:
            return None
        middle = as_text(start + (end - start) // 2)
        return Window(self.start, middle), Window(beginning_before(middle), self.end)


def as_text(moment: dt.datetime) -> str:
    """As the API wants it: no zone and no fraction."""
    return moment.replace(tzinfo=None, microsecond=0).isoformat()


def beginning_before(end: str) -> str:
    """Where a window begins whose neighbour ends at `end`."""
    return as_text(dt.datetime.fromisoformat(end) - SHARED)


def parse_moment(text: str, setting: str) -> dt.datetime:
    """Read a date-time of a setting; of one with a zone, what UTC's clock shows.

    Raises:
        TapError: it is none.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise TapError(
            f"The setting {setting} is {text}, which is no date-time. Write it as "
            "2016-07-26T00:00:00."
        ) from None
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
