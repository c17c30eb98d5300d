"""Which files a run reads, and what it remembers of them.

State of a stream: `last_name`, the last file that was loaded, `start`, from where the next run
lists, and `loaded`, the entity tags of the loaded files from there on. So a run lists only what is
new and a little before it: a file there that is late, or was written anew, is read as well.

Sources: "oci.md", sections 1 (Names) and 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_oci.client import ReportFile

PART = re.compile(r"-\d+\.csv\.gz$")
DATE_FOLDER = re.compile(r"(\d{4})/(\d{2})/(\d{2})/$")


@dataclass(frozen=True)
class Interval:
    """Moments between which files were made; None is no limit. The end is not part of it."""

    begin: datetime | None = None
    end: datetime | None = None

    def has(self, moment: datetime) -> bool:
        return not (self.begin and moment < self.begin) and not (self.end and moment >= self.end)


def moment(config: Mapping[str, Any], setting: str) -> datetime | None:
    """Read a setting that is a date or a date-time; without a zone it is UTC.

    Raises:
        TapError: it is neither.
    """
    text = config.get(setting)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise TapError(
            f"{setting} is {text!r}, which is no date. Give one as 2026-02-14 or "
            "2026-02-14T06:00:00Z."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def backfill_of(config: Mapping[str, Any]) -> Interval:
    """Read the settings that say what is to be read again; without limits, nothing is.

    Raises:
        TapError: they are no dates, or no file can have been made between them.
    """
    interval = Interval(moment(config, "backfill_from"), moment(config, "backfill_to"))
    if interval.begin and interval.end and interval.begin >= interval.end:
        raise TapError(
            f"backfill_from {config['backfill_from']} is not before backfill_to "
            f"{config['backfill_to']}, so there would be nothing to read. Correct them."
        )
    return interval


def report_of(name: str) -> str:
    """Return what all parts of a report share: the name without its part."""
    return PART.sub("", name)


def reports(files: Iterable[ReportFile]) -> Iterator[list[ReportFile]]:
    """Group files, which are in the order of their names, by report."""
    for _, parts in groupby(files, lambda file: report_of(file.name)):
        yield list(parts)


class Bookmark:
    """What was loaded so far.

    Args:
        prefix: What the files' names begin with.
        state: The stream's state; empty in a first run. One of other names than those below
            the prefix is of no use: listed from there, new files might never be seen.
        recheck_files: How many of the last files to list again, where names are numbers alone.
        recheck_days: How many days of folders to list again, where names have a date.
    """

    def __init__(
        self, prefix: str, state: Mapping[str, Any], recheck_files: int, recheck_days: int
    ) -> None:
        self._prefix = prefix
        self._recheck_files = recheck_files
        self._recheck_days = recheck_days
        if not str(state.get("start", "")).startswith(prefix):
            state = {}
        self._loaded: dict[str, str] = dict(state.get("loaded", {}))
        self._start: str | None = state.get("start")
        self._last_name: str = state.get("last_name", "")

    @property
    def start(self) -> str | None:
        """The name from which to list; None for all."""
        return self._start

    def is_new(self, file: ReportFile) -> bool:
        """Whether the file was not loaded, or was written anew since."""
        return self._loaded.get(file.name) != file.etag

    def take(self, files: Iterable[ReportFile]) -> None:
        """Note that files were loaded, in the order of their names."""
        for file in files:
            self._loaded[file.name] = file.etag
        names = sorted(self._loaded)
        if not names:
            return
        self._last_name = max(self._last_name, names[-1])
        self._start = max(self._start or "", self._first_to_recheck(names))
        self._loaded = {n: self._loaded[n] for n in names if n >= self._start}

    @property
    def state(self) -> dict[str, Any]:
        """What to give to the next run."""
        if not self._loaded:
            return {}
        return {"last_name": self._last_name, "start": self._start, "loaded": self._loaded}

    def _first_to_recheck(self, names: list[str]) -> str:
        folder = names[-1].rpartition("/")[0] + "/"
        if dated := DATE_FOLDER.search(folder.removeprefix(self._prefix)):
            year, month, day = map(int, dated.groups())
            first = date(year, month, day) - timedelta(days=self._recheck_days)
            return f"{self._prefix}{first:%Y/%m/%d}/"
        return report_of(names[-self._recheck_files :][0])
