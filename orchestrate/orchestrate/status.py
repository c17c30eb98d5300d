"""When each schedule ran, with what result, and when it runs next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table

from orchestrate import cron, job_status, ledger, troubles
from orchestrate.cluster import CRONJOB, JOB, OURS
from orchestrate.cronjob import SCHEDULE_LABEL, SCHEMAS_ANNOTATION
from orchestrate.errors import OrchestrateError
from orchestrate.troubles import Trouble
from orchestrate.words import length_text, moment_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrate.cluster import Cluster, Document
    from orchestrate.ledger import Loaded

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
        next_run: None if none is to come.
        no_run: Why none is to come.
        late: How long ago a run should have started that did not; zero if none.
        troubles: What is wrong with it, and with those of its Jobs that are still there.
    """

    name: str
    run: str | None
    started: datetime | None
    result: str
    duration: timedelta | None
    schemas: tuple[str, ...]
    next_run: datetime | None
    no_run: str
    late: timedelta
    troubles: tuple[Trouble, ...]


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
    last = max(jobs, key=job_status.started, default=None)
    run = last["metadata"]["name"] if last else None
    began = job_status.started(last) if last else last_time(cronjob)
    result = job_status.result(last, now) if last else _result_without_job(cronjob)
    times, no_run = _times(cronjob)
    due = _missed(cronjob, times, now) if times else None
    late = now - due if due else timedelta()
    how = f"is {length_text(late)} late"
    lateness = Trouble(how, due + job_status.PATIENCE, run, began, result) if due else None
    schemas = cronjob["metadata"].get("annotations", {}).get(SCHEMAS_ANNOTATION, "")
    return ScheduleStatus(
        name=cronjob["metadata"]["name"],
        run=run,
        started=began,
        result=result,
        duration=job_status.duration(last, now) if last else None,
        schemas=tuple(filter(None, schemas.split(","))),
        next_run=times.next(now) if times else None,
        no_run=no_run,
        late=late,
        troubles=tuple(filter(None, (lateness, *(troubles.of_job(job, now) for job in jobs)))),
    )


def _times(cronjob: Document) -> tuple[cron.Cron | None, str]:
    """When it runs; or None, and why that is not known."""
    spec = cronjob["spec"]
    if spec.get("suspend"):
        return None, "suspended"
    if (zone := spec.get("timeZone", "Etc/UTC")) not in {"Etc/UTC", "UTC"}:
        return None, f"unknown: in {zone}"
    try:
        return cron.parse(spec["schedule"]), ""
    except cron.CronError:
        return None, f"unknown: {spec['schedule']}"


def _missed(cronjob: Document, times: cron.Cron, now: datetime) -> datetime | None:
    """When a run was due that did not start, if the schedule was as it is now by then."""
    due = times.previous(now - job_status.PATIENCE)
    last = last_time(cronjob)
    if due <= _changed(cronjob) or (last and last >= due):
        return None
    return due


def _changed(cronjob: Document) -> datetime:
    """When its spec was changed last: by what is applied, suspended or resumed."""
    metadata = cronjob["metadata"]
    moments = [metadata["creationTimestamp"]]
    moments += [
        entry["time"]
        for entry in metadata.get("managedFields") or []
        if "time" in entry and "f:spec" in entry.get("fieldsV1", {})
    ]
    return max(map(datetime.fromisoformat, moments))


def last_time(cronjob: Document) -> datetime | None:
    """The last time that a run was started for, if any; remembered when its Job is gone."""
    return _moment_in(cronjob, "lastScheduleTime")


def _moment_in(document: Document, name: str) -> datetime | None:
    text = document.get("status", {}).get(name)
    return datetime.fromisoformat(text) if text else None


def _result_without_job(cronjob: Document) -> str:
    """By what the CronJob remembers: its Jobs are removed some days after their end."""
    last = last_time(cronjob)
    success = _moment_in(cronjob, "lastSuccessfulTime")
    if last is None:
        return "never ran"
    return "succeeded" if success and success >= last else "no success, and its Job is gone"


def loaded(
    runs: Iterable[tuple[str | None, ScheduleStatus]],
) -> tuple[dict[str, Loaded] | None, str]:
    """What these runs of schedules committed, by run; or None, and why it is not known."""
    if not ledger.is_configured():
        return None, "The ledger was not asked for rows: the loader's variables are not set."
    by_schema: dict[str, set[str]] = defaultdict(set)
    for run, status in runs:
        for schema in status.schemas:
            if run:
                by_schema[schema].add(run)
    try:
        return (ledger.of_runs(by_schema) if by_schema else {}), ""
    except OrchestrateError as error:
        return None, str(error)


def table(statuses: list[ScheduleStatus], rows: dict[str, Loaded] | None) -> Table:
    """A line for each schedule; `rows` is None where the ledger was not asked."""
    result = Table(*HEADINGS, box=None, pad_edge=False)
    for status in statuses:
        found = rows.get(status.run or "") if rows is not None else None
        result.add_row(
            status.name,
            moment_text(status.started),
            status.result,
            length_text(status.duration),
            "" if rows is None or status.run is None else f"{found.rows_read if found else 0:,}",
            moment_text(status.next_run) or status.no_run,
            length_text(status.late) if status.late else "",
        )
    return result


def now() -> datetime:
    """This moment, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
