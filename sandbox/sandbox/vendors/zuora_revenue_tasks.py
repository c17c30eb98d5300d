"""Zuora Revenue's background tasks and their four queues ("zuora_revenue.md", section 5.4)."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.zuora_revenue_data import Row

KEPT_SECONDS = 300.0  # a finished task stays listed so long
STALE_SECONDS = 240.0  # without activity
DRAINING_SECONDS = 5.0
QUEUES = ("active", "completed", "draining", "stale")


@dataclass
class Clock:
    """The server's clock, which may go faster than ours, and can be put forward."""

    speed: float = 1.0
    ahead: float = 0.0

    def now(self) -> float:
        return time.monotonic() * self.speed + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class ServerTask:
    """One query at work.

    Attributes:
        view: The view that it reads.
        dates: Its `fromDate` and `toDate`.
        rows: All rows that it will bring, as they were when it began.
        page_size: Rows of a page.
        page_seconds: How long each page takes, by the server's clock.
        begun: When, by the server's clock.
        status: CANCELLED or FAILED once it is; else it follows from the time.
        message: Why it failed.
        ended: When it was cancelled or failed.
        stuck: Since when nothing moves, if so.
        asked: How often each page was asked for before it was given.
    """

    view: str
    dates: tuple[str, str]
    rows: Sequence[Row]
    page_size: int
    page_seconds: float
    begun: float
    status: str = ""
    message: str = ""
    ended: float = 0.0
    stuck: float | None = None
    asked: dict[int, int] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def pages(self) -> int:
        return -(-len(self.rows) // self.page_size)

    def page(self, number: int) -> Sequence[Row]:
        return self.rows[(number - 1) * self.page_size : number * self.page_size]

    def ready_at(self, number: int) -> float:
        """When a page is cached."""
        return self.begun + number * self.page_seconds

    def queue(self, now: float) -> str | None:
        """Which list it stands in; None when it is listed no more."""
        if self.stuck is not None:
            return self._queue_of_stuck(now - self.stuck)
        done = self.ended if self.status else self.ready_at(self.pages)
        if now < done:
            return "active"
        return "completed" if now < done + KEPT_SECONDS else None

    def fail(self, status: str, now: float, message: str = "") -> None:
        self.status, self.ended, self.message, self.stuck = status, now, message, None

    def listed(self, now: float) -> dict[str, Any]:
        """As `biviews-status` shows it, with the vendor's own spellings."""
        done = self._pages_done(now)
        working = f"COMMITING-PAGE-{done}" if done else "SCANNING-PAGE-1"
        finished = self.queue(now) == "completed"
        start, end = self.dates
        return {
            "task_id": self.id,
            "status": self.status or ("COMPLETED" if finished else working),
            "message": self.message,
            "metric": len(self.page(done)) if done else 0,
            "accumulate": min(done * self.page_size, len(self.rows)),
            "query_config": {
                "object_name": self.view,
                "filter_param": {"fromDate": start, "toDate": end},
            },
            "activity_tracker": {
                "initated_time": "2026-01-31T02:00:05Z",
                "last_activity": "2026-01-31T02:01:10Z",
                "elapsed_time": str(int(now - self.begun)),
            },
        }

    def _pages_done(self, now: float) -> int:
        if not self.page_seconds:
            return self.pages
        moved = (now if self.stuck is None else self.stuck) - self.begun
        return min(int(moved / self.page_seconds), self.pages)

    def _queue_of_stuck(self, seconds: float) -> str | None:
        if seconds < STALE_SECONDS:
            return "active"
        if seconds < STALE_SECONDS + KEPT_SECONDS:
            return "stale"
        return "draining" if seconds < STALE_SECONDS + KEPT_SECONDS + DRAINING_SECONDS else None
