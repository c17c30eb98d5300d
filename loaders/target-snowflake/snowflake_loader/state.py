"""STATE goes out only after the commit that covers it, and never past another stream's rows."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from snowflake_loader.stored_states import marked, with_bookmark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATES_KEPT = 256  # states waiting for a commit; beyond that every second one is forgotten


@dataclass(frozen=True)
class WaitingState:
    """A state and how many messages of each stream must be committed before it may go out.

    Attributes:
        value: What the tap sent.
        number: Its place among the states of this run.
        needs: Messages of each stream that came before it and were not committed then.
        is_kept: Whether it must not be forgotten: rows are to be committed up to it.
    """

    value: Any
    number: int
    needs: Mapping[str, int]
    is_kept: bool = False


class StateTracker:
    """Knows what was received and what is committed, and writes the states in between.

    Used by the reading thread (`receive`, `wait_for`) and by the threads that commit.
    """

    def __init__(self, write: Callable[[WaitingState], None]) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._received: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._waiting: deque[WaitingState] = deque()
        self._written: WaitingState | None = None
        self._bookmarks: dict[str, Any] = {}
        self._held: dict[str, Any] = {}
        self._number = 0

    def receive(self, stream: str) -> None:
        """Count one message that carries rows; only the reading thread does."""
        self._received[stream] = self._received.get(stream, 0) + 1

    def received(self, stream: str) -> int:
        """Return how many messages of a stream were counted so far."""
        return self._received.get(stream, 0)

    def bookmark(self, stream: str) -> str | None:
        """Return what the latest state says of a stream, as JSON text, for the ledger."""
        return json.dumps(self._bookmarks[stream]) if stream in self._bookmarks else None

    def wait_for(self, state: Any) -> WaitingState:  # noqa: ANN401 - a state is any JSON value
        """Take in a state; it is written at once if all rows before it are committed."""
        with self._changed:
            if _has_bookmarks(state):
                self._bookmarks = marked(state)["bookmarks"]
            needs = {
                stream: count
                for stream, count in self._received.items()
                if count > self._committed.get(stream, 0)
            }
            self._number += 1
            waiting = WaitingState(self._with_held(state), self._number, needs)
            self._waiting.append(waiting)
            if len(self._waiting) > STATES_KEPT:
                self._forget_every_second()
            self._write_covered()
            return waiting

    def keep(self, state: WaitingState) -> None:
        """Keep this state, and none of those before it, however many states come."""
        with self._changed:
            self._waiting = deque(
                replace(waiting, is_kept=waiting.number == state.number)
                for waiting in self._waiting
            )

    def covered_by(self, commits: Mapping[str, int]) -> WaitingState | None:
        """Return the newest state that may go out once these messages are committed, too.

        Args:
            commits: for each stream how many of its first messages will be.
        """
        with self._changed:
            committed = self._committed_with(commits)
            covered = None
            for state in self._waiting:
                if not self._is_covered(state, committed):
                    break
                covered = state
            return covered

    def wait_until_covered(self, needs: Mapping[str, int], check: Callable[[], None]) -> None:
        """Wait until so many messages of the streams are committed.

        Args:
            needs: for each stream, how many.
            check: called now and then; raises if waiting is of no use any more.
        """
        with self._changed:
            while any(self._committed.get(stream, 0) < count for stream, count in needs.items()):
                check()
                self._changed.wait(0.2)

    def hold_back(self, stream: str) -> bool:
        """Wait no more for a stream, and let every state say of it what its last commit covers.

        To be called where no commit of the stream is under way.

        Returns:
            False if that is not known, as no state has come that speaks of no more; nothing is
            changed then.
        """
        with self._changed:
            covers = [
                state
                for state in (*([self._written] if self._written else []), *self._waiting)
                if state.needs.get(stream, 0) <= self._committed.get(stream, 0)
            ]
            if not covers or not _has_bookmarks(covers[-1].value):
                return False
            self._held[stream] = covers[-1].value["bookmarks"].get(stream)
            self._waiting = deque(
                replace(waiting, value=self._with_held(waiting.value)) for waiting in self._waiting
            )
            self._committed[stream] = sys.maxsize
            self._write_covered()
            self._changed.notify_all()
            return True

    def commit(self, commits: Mapping[str, int]) -> None:
        """Note that each stream's first so many messages are in the warehouse."""
        with self._changed:
            self._committed = self._committed_with(commits)
            self._write_covered()
            self._changed.notify_all()

    def _with_held(self, state: Any) -> Any:  # noqa: ANN401 - a state is any JSON value
        for stream, bookmark in self._held.items():
            state = with_bookmark(state, stream, bookmark)
        return state

    def _committed_with(self, commits: Mapping[str, int]) -> dict[str, int]:
        counts = {name: max(n, self._committed.get(name, 0)) for name, n in commits.items()}
        return self._committed | counts

    def _write_covered(self) -> None:
        covered = None
        while self._waiting and self._is_covered(self._waiting[0], self._committed):
            covered = self._waiting.popleft()
        if covered is not None:
            self._written = covered
            self._write(covered)

    @staticmethod
    def _is_covered(state: WaitingState, committed: Mapping[str, int]) -> bool:
        return all(committed.get(stream, 0) >= n for stream, n in state.needs.items())

    def _forget_every_second(self) -> None:
        """An older state may always be left out; the newest is kept."""
        newest = self._waiting[-1].number
        self._waiting = deque(
            state
            for place, state in enumerate(self._waiting)
            if place % 2 or state.is_kept or state.number == newest
        )


def _has_bookmarks(state: Any) -> bool:  # noqa: ANN401 - a state is any JSON value
    return isinstance(state, dict) and isinstance(state.get("bookmarks"), dict)
