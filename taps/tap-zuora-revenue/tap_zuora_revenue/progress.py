"""The state of one view: how far its reading has come, and what the next run must know."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tap_zuora_revenue.windows import Window, beginning_before
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Progress:
    """A view that is being read.

    Attributes:
        version: The snapshot's version.
        full: Whether the whole view is read, as opposed to what has changed.
        query: What must be asked for unchanged while the task is read: page size and so on.
        windows: All windows of the view, in the order they are read.
        index: Which of them is being read.
        task_id: The continuation token of its query.
        pages: Pages of it that were sent.
        rows: Rows of it that were sent.
        columns: Columns of the rows sent so far, in their order.
    """

    version: int
    full: bool
    query: Mapping[str, Any]
    windows: tuple[Window, ...]
    index: int = 0
    task_id: str | None = None
    pages: int = 0
    rows: int = 0
    columns: tuple[str, ...] = ()

    @property
    def has_sent_rows(self) -> bool:
        return bool(self.columns)


@dataclass(frozen=True)
class ViewState:
    """What is kept of a view from run to run.

    Attributes:
        bookmark: `toDate` of the last run that finished.
        columns: Columns of the table that it loaded; none when there were no rows.
        splits: Moments at which windows are divided, since a query brought too many rows.
        progress: Only while the view is being read.
    """

    bookmark: str | None = None
    columns: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    progress: Progress | None = field(default=None)

    def windows(self, start: str, end: str) -> tuple[Window, ...]:
        """The windows to read from `start` to `end`; neighbours share a second."""
        inner = [split for split in self.splits if start < split < end]
        return tuple(
            Window(left if left == start else beginning_before(left), right)
            for left, right in pairwise([start, *inner, end])
        )


def read_state(state: Mapping[str, Any], view: str) -> ViewState:
    """Read a stream's state, as `written_state` wrote it.

    Raises:
        TapError: something else has written it.
    """
    try:
        found = state.get("progress")
        return ViewState(
            bookmark=state.get("bookmark"),
            columns=tuple(state.get("columns", ())),
            splits=tuple(state.get("splits", ())),
            progress=found and _progress(found),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise TapError(
            f"The state of stream {view} is not this tap's ({error!r}). Remove the stream from "
            "the state, so that it is read anew."
        ) from error


def written_state(state: ViewState) -> dict[str, Any]:
    """The stream's state as JSON."""
    written: dict[str, Any] = {"columns": list(state.columns), "splits": list(state.splits)}
    if state.bookmark:
        written["bookmark"] = state.bookmark
    if state.progress:
        windows = [[window.start, window.end] for window in state.progress.windows]
        columns = list(state.progress.columns)
        written["progress"] = {**vars(state.progress), "windows": windows, "columns": columns}
    return written


def _progress(found: Mapping[str, Any]) -> Progress:
    windows = tuple(Window(start, end) for start, end in found["windows"])
    return Progress(**{**found, "windows": windows, "columns": tuple(found["columns"])})
