"""When each schedule ran, with what result, and when it runs next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table

from orchestrate import cron, ledger
from orchestrate.alerts import Alert
from orchestrate.cluster import CRONJOB, JOB, OURS
from orchestrate.cronjob import SCHEDULE_LABEL, SCHEMAS_ANNOTATION
from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrate.cluster import Cluster, Document
    from orchestrate.ledger import Loaded

# A scheduler that is busy, or a cluster that makes a node first, starts a run some minutes late.
PATIENCE = timedelta(minutes=15)
HEADINGS = ("schedule", "last run", "result", "duration", "rows", "next run", "late")


@dataclass(frozen=True)
class ScheduleStatus:
    """The state of one schedule; moments are UTC.

    Attributes:
        run: Name of its last Job, which the ledger calls the run.
        started: When that Job was started.
        result: running, succeeded, failed, or never ran.
        duration: To its end, or to now.
        schemas: Schemas of the warehouse that it loads.
        next_run: None while it is suspended.
        late: How long ago a run should have started that did not; zero if none.
    """

    name: str
    run: str | None
    started: datetime | None
    result: str
    duration: timedelta | None
    schemas: tuple[str, ...]
    next_run: datetime | None
    late: timedelta


def read(cluster: Cluster, now: datetime) -> list[ScheduleStatus]:
    """The state of every schedule of ours in the namespace, by name."""
    selector = f"{OURS},{SCHEDULE_LABEL}"
    runs: dict[str, list[Document]] = defaultdict(list)
    for job in cluster.list(JOB, label_selector=selector):
        runs[job["metadata"]["labels"][SCHEDULE_LABEL]].append(job)
    cronjobs = cluster.list(CRONJOB, label_selector=selector)
    found = (_status(c, runs[c["metadata"]["labels"][SCHEDULE_LABEL]], now) for c in cronjobs)
    return sorted(found, key=lambda status: status.name)


def _status(cronjob: Document, jobs: list[Document], now: datetime) -> ScheduleStatus:
    last = max(jobs, key=started, default=None)
    times = cron.parse(cronjob["spec"]["schedule"])
    suspended = bool(cronjob["spec"].get("suspend"))
    schemas = cronjob["metadata"].get("annotations", {}).get(SCHEMAS_ANNOTATION, "")
    return ScheduleStatus(
        name=cronjob["metadata"]["name"],
        run=last["metadata"]["name"] if last else None,
        started=started(last) if last else None,
        result=_result(last),
        duration=_duration(last, now) if last else None,
        schemas=tuple(filter(None, schemas.split(","))),
        next_run=None if suspended else times.next(now),
        late=timedelta() if suspended else _late(cronjob, times, now),
    )


def _late(cronjob: Document, times: cron.Cron, now: datetime) -> timedelta:
    due = times.previous(now - PATIENCE)
    known_since = datetime.fromisoformat(cronjob["metadata"]["creationTimestamp"])
    last = cronjob.get("status", {}).get("lastScheduleTime")
    if due <= known_since or (last and datetime.fromisoformat(last) >= due):
        return timedelta()
    return now - due


def started(job: Document) -> datetime:
    """When a Job was started, or made if it was not yet."""
    began = job.get("status", {}).get("startTime")
    return datetime.fromisoformat(began or job["metadata"]["creationTimestamp"])


def end(job: Document) -> Document | None:
    """The condition that a Job ended with, Complete or Failed; None while it runs."""
    conditions = job.get("status", {}).get("conditions") or []
    ends = (c for c in conditions if c["status"] == "True" and c["type"] in {"Complete", "Failed"})
    return next(ends, None)


def _result(job: Document | None) -> str:
    if job is None:
        return "never ran"
    condition = end(job)
    if condition is None:
        return "running"
    if condition["type"] == "Complete":
        return "succeeded"
    return f"failed: {condition['reason']}" if condition.get("reason") else "failed"


def _duration(job: Document, now: datetime) -> timedelta:
    condition = end(job)
    ended = datetime.fromisoformat(condition["lastTransitionTime"]) if condition else now
    return ended - started(job)


def loaded(statuses: Iterable[ScheduleStatus]) -> tuple[dict[str, Loaded] | None, str]:
    """What the last run of each schedule committed, by run; or None, and why it is not known."""
    if not ledger.is_configured():
        return None, "The ledger was not asked for rows: the loader's variables are not set."
    runs: dict[str, list[str]] = defaultdict(list)
    for status in statuses:
        for schema in status.schemas:
            if status.run:
                runs[schema].append(status.run)
    try:
        return (ledger.of_runs(runs) if runs else {}), ""
    except OrchestrateError as error:
        return None, str(error)


def table(statuses: list[ScheduleStatus], rows: dict[str, Loaded] | None) -> Table:
    """A line for each schedule; `rows` is None where the ledger was not asked."""
    result = Table(*HEADINGS, box=None, pad_edge=False)
    for status in statuses:
        found = rows.get(status.run or "") if rows is not None else None
        result.add_row(
            status.name,
            _moment(status.started),
            status.result,
            _length(status.duration),
            "" if rows is None or status.run is None else f"{found.rows_read if found else 0:,}",
            _moment(status.next_run) if status.next_run else "suspended",
            _length(status.late) if status.late else "",
        )
    return result


def alert(status: ScheduleStatus, rows: dict[str, Loaded] | None) -> Alert | None:
    """What to tell about a schedule, if anything."""
    facts = {
        "last run": f"{_moment(status.started)} {status.result}".strip(),
        "next run": _moment(status.next_run) or "suspended",
    }
    if rows is not None and status.run:
        facts["ledger"] = str(rows.get(status.run, "nothing was committed"))
    if status.late:
        return Alert(f"Schedule {status.name} is {_length(status.late)} late", facts)
    if status.result.startswith("failed"):
        return Alert(f"Schedule {status.name} {status.result}", facts)
    return None


def now() -> datetime:
    """This moment, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _length(length: timedelta | None) -> str:
    if length is None:
        return ""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
