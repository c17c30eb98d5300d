"""What is wrong with schedules, and what of it to tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrate import job_status
from orchestrate.alerts import Alert
from orchestrate.words import moment_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrate.cluster import Document
    from orchestrate.ledger import Loaded
    from orchestrate.status import ScheduleStatus

# Of a Job whose pods ended with an exit code, each of which `orchestrate pod` has posted. Those
# that were killed for their memory or stopped at the deadline may not have come to it.
TELLS_ITSELF = "BackoffLimitExceeded"


@dataclass(frozen=True)
class Trouble:
    """Something wrong with a schedule.

    Attributes:
        how: The end of a sentence that begins with the schedule.
        since: When it became wrong.
        run: Name of the Job that is wrong, or that was the last before a run that is late.
        started: When that Job was started.
        result: What that Job has come to.
        is_told: Whether the pods of that Job have posted it themselves.
    """

    how: str
    since: datetime
    run: str | None
    started: datetime | None
    result: str
    is_told: bool = False


def of_job(job: Document, now: datetime) -> Trouble | None:
    """What is wrong with a run, if anything."""
    since = job_status.wrong_since(job, now)
    if since is None:
        return None
    condition = job_status.end(job)
    is_told = condition is not None and condition.get("reason") == TELLS_ITSELF
    result = job_status.result(job, now)
    return Trouble(result, since, job["metadata"]["name"], job_status.started(job), result, is_told)


def current(statuses: Iterable[ScheduleStatus]) -> list[tuple[ScheduleStatus, Trouble]]:
    """What is wrong now; of earlier runs nothing."""
    return [
        (status, trouble)
        for status in statuses
        for trouble in status.troubles
        if trouble.run == status.run
    ]


def news(
    statuses: Iterable[ScheduleStatus], now: datetime, interval: timedelta
) -> list[tuple[ScheduleStatus, Trouble]]:
    """What became wrong in the last whole interval, as clocks show it, and no pod has told.

    Intervals are those of the clock, since who asks at each of them asks now sooner, now later.
    """
    until = now - (now - datetime.fromtimestamp(0, UTC)) % interval
    return [
        (status, trouble)
        for status in statuses
        for trouble in status.troubles
        if until - interval < trouble.since <= until and not trouble.is_told
    ]


def alert(
    status: ScheduleStatus, trouble: Trouble, rows: dict[str, Loaded] | None, namespace: str
) -> Alert:
    """What to tell about something that is wrong with a schedule."""
    run = f"{moment_text(trouble.started)} {trouble.result}".strip()
    facts = {
        "namespace": namespace,
        "last run" if trouble.run == status.run else "run": run,
        "next run": moment_text(status.next_run) or status.no_run,
    }
    if rows is not None and trouble.run:
        facts["ledger"] = str(rows.get(trouble.run, "nothing was committed"))
    return Alert(f"Schedule {status.name} {trouble.how}", facts)
