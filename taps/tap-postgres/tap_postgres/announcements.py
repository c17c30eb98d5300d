"""When ranges that are read side by side are announced, and the state that each one reaches.

Where a state can say which earlier ranges are still missing, a range is announced as soon as it is
read: a run that dies then reads again only what it was reading. A bookmark cannot say that, so the
ranges of an increment are announced in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tap_postgres.reading import Part, State
    from tapsupport.parquet import FinishedFile


@dataclass(eq=False)
class RangeRead:
    """A range that is read into a file; `files` is None until it is read."""

    part: Part
    path: Path
    files: list[FinishedFile] | None = None


class Announcements:
    """Keeps the ranges of one load in their order; for one thread at a time."""

    def __init__(self) -> None:
        self._reads: list[RangeRead] = []

    def begin(self, part: Part, path: Path) -> RangeRead:
        """Take up the next range in order."""
        read = RangeRead(part, path)
        self._reads.append(read)
        return read

    def finish(
        self, read: RangeRead, files: list[FinishedFile]
    ) -> list[tuple[RangeRead, State | None]]:
        """Take note that a range was read; return what to announce now, each with its state."""
        read.files = files
        if read.part.span is not None:
            return [(read, self._state())]
        ready = []
        while self._reads and self._reads[0].files is not None:
            first = self._reads.pop(0)
            ready.append((first, first.part.progress))
        return ready

    def _state(self) -> State | None:
        """That of the last range in order that was read, less those before it that were not."""
        last = max(i for i, read in enumerate(self._reads) if read.files is not None)
        missing = [read.part.span for read in self._reads[:last] if read.files is None]
        state = self._reads[last].part.progress
        self._reads = [
            read for i, read in enumerate(self._reads) if read.files is None or i == last
        ]
        if state is None or not missing:
            return state
        place = state["range"]
        return {**state, "range": {**place, "missing": [*missing, *place.get("missing", [])]}}
