"""The server's background tasks, one for each query ("zuora_revenue.md", section 5.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tapsupport.errors import TapError

QUEUES = ("active", "completed", "draining", "stale")
BROKEN_STATUSES = ("CANCELLED", "FAILED")  # final, and its pages are of no use


@dataclass(frozen=True)
class Task:
    """What `biviews-status` says of a task.

    Attributes:
        id: The continuation token.
        queue: One of `QUEUES`.
        status: The vendor's word, in upper case; empty where it says nothing but the id.
        view: Name of the view that it reads; empty likewise.
        dates: Its `fromDate` and `toDate`; empty likewise.
        rows: Rows written so far; None likewise.
        message: The vendor's explanation of a failure.
    """

    id: str
    queue: str
    status: str = ""
    view: str = ""
    dates: tuple[str, str] = ("", "")
    rows: int | None = None
    message: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether it failed or was cancelled: a failed one stands among the completed ones."""
        return self.status in BROKEN_STATUSES

    @property
    def lives(self) -> bool:
        """Whether its pages can be read."""
        return self.queue in ("active", "completed") and not self.is_broken


def parse_tasks(body: Any) -> list[Task]:  # noqa: ANN401 - any JSON
    """Read the answer of `biviews-status`, in its classic shape or that of API 3.0.

    Raises:
        TapError: it has none of the four queues.
    """
    found = body.get("result", body) if isinstance(body, dict) else {}
    if not isinstance(found, dict) or not any(queue in found for queue in QUEUES):
        raise TapError(
            "Zuora Revenue: the answer of biviews-status has none of the lists "
            f"{', '.join(QUEUES)}. Check api_url, or report it as a fault of this tap."
        )
    return [_task(queue, item) for queue in QUEUES for item in found.get(queue) or []]


def _task(queue: str, item: Any) -> Task:  # noqa: ANN401 - any JSON
    if isinstance(item, str):
        return Task(item, queue)
    query = item.get("query_config") or {}
    dates = query.get("filter_param") or {}
    rows = item.get("accumulate")
    return Task(
        id=str(item.get("task_id") or ""),
        queue=queue,
        status=str(item.get("status") or "").upper(),
        view=str(query.get("object_name") or ""),
        dates=(str(dates.get("fromDate") or ""), str(dates.get("toDate") or "")),
        rows=None if rows is None else int(rows),
        message=str(item.get("message") or ""),
    )
