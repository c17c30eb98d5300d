"""Points at which a test may kill this process; they do nothing unless the variable is set."""

from __future__ import annotations

import enum
import os
import signal
import threading

VARIABLE = "TARGET_SNOWFLAKE_FAULT"  # `<point>:<n>`: die when the point is reached the nth time


class Point(enum.StrEnum):
    """What has just been done."""

    FILE_WRITTEN = "file-written"
    FILE_UPLOADED = "file-uploaded"
    COPIED = "copied"
    MERGED = "merged"
    ROWS_DELETED = "rows-deleted"
    LEDGER_WRITTEN = "ledger-written"
    COMMITTED = "committed"
    STATE_EMITTED = "state-emitted"
    STATE_STORED = "state-stored"
    DRAINING = "draining"


class _Fault:
    def __init__(self, text: str) -> None:
        point, _, number = text.partition(":")
        self._point = Point(point)
        self._left = int(number or 1)
        self._lock = threading.Lock()

    def reach(self, point: Point) -> None:
        if point is not self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_fault = _Fault(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def reach(point: Point) -> None:
    """Die here if a test asks for it."""
    if _fault is not None:
        _fault.reach(point)
