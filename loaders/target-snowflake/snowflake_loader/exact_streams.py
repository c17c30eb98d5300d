"""Streams whose rows, sent twice, would stand twice: appended, or in a snapshot without a key.

Their rows are committed only as far as a state covers them, all of these streams in one
transaction with that state. Whatever comes after it is left to the next run, which sends it
again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
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
    """A state up to which rows may be committed, and how many messages had come by then."""

    state: WaitingState
    received: dict[str, int]


class ExactStreams:
    """Decides when these streams are committed; used by the reading thread.

    A state covers the rows before it if a run that starts from it would not send them again.
    That is so when a bookmark has moved since the last such state: bookmarks that stand still
    say that the stream would be read anew. At the end of the input every state does, since then
    the tap has ended the stream.
    """

    def __init__(
        self,
        streams: Callable[[], Iterable[Stream]],
        states: StateTracker,
        check: Callable[[], None],
    ) -> None:
        self._streams = streams
        self._states = states
        self._check = check
        self._last: WaitingState | None = None
        self._received_at_last: dict[str, int] = {}
        self._covering: Any = None
        self._mark: Mark | None = None
        self._next_mark = 0.0

    def take_state(self, state: WaitingState) -> None:
        """Look at a state that has just come, and commit or mark what it covers."""
        self._last = state
        self._received_at_last = self._counts()
        settled = _settled(marked(state.value))
        if not self._waiting or settled == self._covering or self._is_under_way(state):
            return
        self._covering = settled
        self._mark = Mark(state, self._received_at_last)
        self._states.keep(state)
        if any(stream.is_commit_due() for stream in self._waiting):
            self._commit(self._mark)
        elif time.monotonic() >= self._next_mark:
            for stream in self._waiting:
                stream.mark()
            self._next_mark = time.monotonic() + MARK_SECONDS

    def commit_if_due(self) -> None:
        """Commit if it is due and nothing has come since the last state that covers it."""
        if self._mark is None or self._mark.received != self._counts():
            return
        if any(stream.is_commit_due() for stream in self._waiting):
            self._commit(self._mark)

    def end(self, *, whole: bool) -> list[str]:
        """Commit what is covered at the end of the input.

        Args:
            whole: whether the input came to its end, as opposed to a signal to stop.

        Returns:
            The streams that had rows which no state covers; they were left out.
        """
        waiting = self._waiting
        if not waiting:
            return []
        if self._last and self._received_at_last == self._counts():
            if not self._is_under_way(self._last):
                self._commit(Mark(self._last, self._received_at_last))
                return []
        elif whole and (self._last is None or all(stream.ends_with_input for stream in waiting)):
            self._give(cut=False)  # the end of the input is the only word of such a tap
            return []
        self._give(cut=True, needs=self._needs_of_others(self._mark))
        return [stream.name for stream in waiting]

    # Parts

    @property
    def _waiting(self) -> list[Stream]:
        return [stream for stream in self._streams() if stream.is_exact and stream.has_uncommitted]

    def _is_under_way(self, state: WaitingState) -> bool:
        """Whether a state says of one of these streams that it would be read anew."""
        bookmarks = state.value.get("bookmarks") if isinstance(state.value, dict) else None
        if not isinstance(bookmarks, dict):
            return False
        return any(_has_progress(bookmarks.get(stream.name)) for stream in self._waiting)

    def _counts(self) -> dict[str, int]:
        return {
            stream.name: self._states.received(stream.name)
            for stream in self._streams()
            if stream.is_exact
        }

    def _commit(self, mark: Mark) -> None:
        """Commit everything up to the mark, where nothing has come since.

        Other streams' rows must be in the warehouse before a state may stand beside these.
        """
        uncommitted = [stream for stream in self._streams() if stream.has_uncommitted]
        if not all(stream.can_wait_in_warehouse for stream in uncommitted):
            return
        for stream in uncommitted:
            if not stream.is_exact:
                stream.commit()
        self._give(cut=False, needs=self._needs_of_others(mark))

    def _needs_of_others(self, mark: Mark | None) -> dict[str, int]:
        if mark is None:
            return {}
        exact = {stream.name for stream in self._streams() if stream.is_exact}
        return {name: n for name, n in mark.state.needs.items() if name not in exact}

    def _give(self, *, cut: bool, needs: dict[str, int] | None = None) -> None:
        waiting, states, check = self._waiting, self._states, self._check
        parts = [stream.part(cut=cut) for stream in waiting]

        def work(place: Workplace) -> None:
            states.wait_until_covered(needs or {}, check)
            commit_together(place, parts, states)

        waiting[0].give(work)


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
