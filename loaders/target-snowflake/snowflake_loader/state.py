"""STATE goes out only after the commit that covers it, and never past another stream's rows."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STATES_KEPT = 256  # states waiting for a commit; beyond that every second one is forgotten


@dataclass(frozen=True)
class WaitingState:
    """A state and how many messages of each stream must be committed before it may go out."""

    value: Any
    needs: dict[str, int]


class StateTracker:
    """Knows what was received and what is committed, and writes the states in between.

    Used by the reading thread (`receive`, `wait_for`) and by the threads that commit.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._received: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._waiting: deque[WaitingState] = deque()
        self._bookmarks: dict[str, Any] = {}

    def receive(self, stream: str) -> None:
        """Count one message that carries rows; only the reading thread does."""
        self._received[stream] = self._received.get(stream, 0) + 1

    def received(self, stream: str) -> int:
        """Return how many messages of a stream were counted so far."""
        return self._received.get(stream, 0)

    def bookmark(self, stream: str) -> str | None:
        """Return what the latest state says of a stream, as JSON text, for the ledger."""
        return json.dumps(self._bookmarks[stream]) if stream in self._bookmarks else None

    def wait_for(self, state: Any) -> None:  # noqa: ANN401 - a state is any JSON value
        """Take in a state; it is written at once if all rows before it are committed."""
        with self._lock:
            if isinstance(state, dict) and isinstance(state.get("bookmarks"), dict):
                self._bookmarks = state["bookmarks"]
            needs = {
                stream: count
                for stream, count in self._received.items()
                if count > self._committed.get(stream, 0)
            }
            self._waiting.append(WaitingState(state, needs))
            if len(self._waiting) > STATES_KEPT:
                self._forget_every_second()
            self._write_covered()

    def commit(self, stream: str, messages: int) -> None:
        """Note that a stream's first so many messages are in the warehouse."""
        with self._lock:
            self._committed[stream] = max(messages, self._committed.get(stream, 0))
            self._write_covered()

    def _write_covered(self) -> None:
        covered = None
        while self._waiting and self._is_covered(self._waiting[0]):
            covered = self._waiting.popleft()
        if covered is not None:
            self._write(json.dumps(covered.value))

    def _is_covered(self, state: WaitingState) -> bool:
        return all(self._committed.get(stream, 0) >= n for stream, n in state.needs.items())

    def _forget_every_second(self) -> None:
        """An older state may always be left out; the newest is kept."""
        newest_first = list(self._waiting)[::-2]
        self._waiting = deque(newest_first[::-1])
