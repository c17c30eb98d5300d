"""Streams whose rows, sent twice, would stand twice: appended, or in a snapshot without a key.

Their rows are committed only as far as a state covers them, all of these streams in one
transaction with that state. Whatever comes after it is left to the next run, which sends it
again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snowflake_loader.commits import commit_together
from snowflake_loader.stored_states import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from snowflake_loader.state import StateTracker, WaitingState
    from snowflake_loader.stream import Stream
    from snowflake_loader.workers import Workplace

MARK_SECONDS = 5.0  # between two marks: files are closed at each
# What the SDK notes of a stream that is under way; a run that starts anew forgets it.
UNDER_WAY = frozenset(
    {"progress_markers", "replication_key_signpost", "starting_replication_value"}
)


@dataclass(frozen=True)
class Mark:
    """A state, and how many messages of each of these streams had come by then."""

    state: WaitingState
    received: dict[str, int]


@dataclass
class _Coverage:
    """What the states have said of one stream so far.

    Attributes:
        bookmark: Its bookmark in the last state.
        is_moved: Whether the bookmark has moved since the last row.
    """

    bookmark: Any = None
    is_moved: bool = False


@dataclass
class ExactStreams:
    """Decides when these streams are committed; used by the reading thread.

    A state covers the rows before it if a run that starts from it would not send them again: if
    the bookmark of each of these streams has moved since its last row. One that stands still says
    that the stream would be read anew. At the end of the input it says nothing: then the tap has
    ended the stream.

    Attributes:
        streams: Gives all streams of the run.
        states: The states of the run.
        check: Raises what a session's thread raised.
        has_state: Whether the run goes on with a state, so that rows without one come again.
    """

    streams: Callable[[], Iterable[Stream]]
    states: StateTracker
    check: Callable[[], None]
    has_state: bool
    _coverage: dict[str, _Coverage] = field(default_factory=dict, init=False)
    _last: Mark | None = field(default=None, init=False)
    _covering: Mark | None = field(default=None, init=False)
    _mark: Mark | None = field(default=None, init=False)
    _next_mark: float = field(default=0.0, init=False)

    def take_state(self, state: WaitingState) -> None:
        """Look at a state that has just come, and commit or mark what it covers."""
        before = self._last.received if self._last else {}
        self._last = Mark(state, self._counts())
        for stream in self._exact:
            has_new = self._last.received[stream.name] != before.get(stream.name, 0)
            self._look_at(stream, _bookmark(state, stream.name), has_new=has_new)
        waiting = self._waiting
        moved = (self._coverage[s.name].is_moved for s in waiting if s.has_uncommitted_rows)
        if not waiting or not all(moved) or self._is_under_way(state):
            return
        self._covering = self._last
        if any(stream.is_commit_due() for stream in waiting) and self._commit(self._covering):
            return
        if time.monotonic() >= self._next_mark:
            self._set_mark(self._covering)

    def commit_if_due(self) -> None:
        """Commit if it is due and nothing has come since the last state that covers it."""
        if any(stream.is_commit_due() for stream in self._waiting):
            self.commit_if_covered()

    def commit_if_covered(self) -> None:
        """Commit if nothing has come since the last state that covers it."""
        if self._covering and self._is_latest(self._covering):
            self._commit(self._covering)

    def end(self, *, whole: bool) -> list[str]:
        """Commit what is covered at the end of the input.

        Args:
            whole: whether the input came to its end, as opposed to a signal to stop.

        Returns:
            The streams that had rows which no state covers; they were left out.
        """
        if not self._waiting:
            return []
        if whole and not self._has_ended_by_state:
            asked = all(stream.ends_with_input for stream in self._waiting)
            if asked or (self._last is None and not self.has_state):
                self._give()  # the end of the input is the only word of such a tap
                return []
        last = self._last if whole and self._has_ended_by_state else self._covering
        if last and self._is_latest(last) and self._commit(last):
            return []
        uncovered = [stream.name for stream in self._waiting]
        if self._mark and self._is_asked_for(self._mark):
            self._give(cut_at=self._mark)
        return uncovered

    # Parts

    @property
    def _exact(self) -> list[Stream]:
        return [stream for stream in self.streams() if stream.is_exact]

    @property
    def _waiting(self) -> list[Stream]:
        return [s for s in self._exact if s.has_uncommitted and not s.is_refused]

    @property
    def _has_ended_by_state(self) -> bool:
        """Whether a state came after the last row, and says of no stream that it is under way."""
        last = self._last
        return bool(last and self._is_latest(last) and not self._is_under_way(last.state))

    def _look_at(self, stream: Stream, bookmark: Any, *, has_new: bool) -> None:  # noqa: ANN401
        coverage = self._coverage.setdefault(stream.name, _Coverage())
        changed = bookmark != coverage.bookmark
        coverage.is_moved = changed or (coverage.is_moved and not has_new)
        coverage.bookmark = bookmark

    def _is_under_way(self, state: WaitingState) -> bool:
        """Whether a state says of one of these streams that it would be read anew."""
        bookmarks = _bookmarks(state)
        return any(_has_progress(bookmarks.get(stream.name)) for stream in self._waiting)

    def _counts(self) -> dict[str, int]:
        return {stream.name: self.states.received(stream.name) for stream in self._exact}

    def _is_latest(self, mark: Mark) -> bool:
        """Whether nothing of a stream that goes on has come since."""
        received = self._counts()
        going_on = [stream.name for stream in self._exact if not stream.is_refused]
        return all(mark.received.get(name, 0) == received[name] for name in going_on)

    def _set_mark(self, mark: Mark) -> None:
        for stream in self._waiting:
            stream.mark()
        self.states.keep(mark.state)
        self._mark = mark
        self._next_mark = time.monotonic() + MARK_SECONDS

    def _commit(self, mark: Mark) -> bool:
        """Commit everything up to the mark, where nothing has come since; False if it cannot be.

        Other streams' rows must be in the warehouse before a state may stand beside these.
        """
        for stream in self.streams():
            if not stream.is_exact and stream.has_uncommitted and stream.can_wait_in_warehouse:
                stream.commit()
        can_wait = all(stream.can_wait_in_warehouse for stream in self._waiting)
        if not (can_wait and self._is_asked_for(mark)):
            return False
        self._give(needs=self._needs_of_others(mark))
        return True

    def _is_asked_for(self, mark: Mark) -> bool:
        """Whether the commits that must come first were given to the sessions already."""
        streams = {stream.name: stream for stream in self.streams()}
        needs = self._needs_of_others(mark).items()
        return all(streams[name].is_refused or streams[name].covered >= n for name, n in needs)

    def _needs_of_others(self, mark: Mark) -> dict[str, int]:
        return {name: n for name, n in mark.state.needs.items() if name not in mark.received}

    def _give(self, *, needs: dict[str, int] | None = None, cut_at: Mark | None = None) -> None:
        waiting, states, check = self._waiting, self.states, self.check
        if cut_at:
            needs = self._needs_of_others(cut_at)
        parts = [stream.part(cut=cut_at is not None) for stream in waiting]
        self._mark = None

        def work(place: Workplace) -> None:
            states.wait_until_covered(needs or {}, check)
            commit_together(place, parts, states)

        waiting[0].give(work)


def _bookmarks(state: WaitingState) -> dict[str, Any]:
    """The bookmarks of a state by stream; a state of another shape has none."""
    value = marked(state.value)
    found = value.get("bookmarks") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _bookmark(state: WaitingState, stream: str) -> Any:  # noqa: ANN401 - any JSON value
    """What a state says of a stream, as far as it would hold for a run that starts anew."""
    value = state.value
    if isinstance(value, dict) and not isinstance(value.get("bookmarks"), dict):
        return _settled(marked(value)) or None  # a tap's own shape: it speaks of all streams
    return _settled(_bookmarks(state).get(stream)) or None


def _settled(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A state without what is only under way."""
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if isinstance(value, dict):
        return {name: _settled(item) for name, item in value.items() if name not in UNDER_WAY}
    return value


def _has_progress(bookmark: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a bookmark, or one of its partitions, has progress markers of the SDK."""
    if isinstance(bookmark, list):
        return any(_has_progress(item) for item in bookmark)
    if isinstance(bookmark, dict):
        own = bool(bookmark.get("progress_markers"))
        return own or any(_has_progress(item) for item in bookmark.values())
    return False
