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
# Of a Job whose pods ended with an exit code, each of which `orchestrate pod` has posted. Those
# that were killed for their memory or stopped at the deadline may not have come to it.
TELLS_ITSELF = "BackoffLimitExceeded"
HEADINGS = ("schedule", "last run", "result", "duration", "rows", "next run", "late")


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
    last = max(jobs, key=started, default=None)
    run = last["metadata"]["name"] if last else None
    began = started(last) if last else last_time(cronjob)
    result = _result(last, now) if last else _result_without_job(cronjob)
    times, no_run = _times(cronjob)
    due = _missed(cronjob, times, now) if times else None
    late = now - due if due else timedelta()
    how = f"is {_length(late)} late"
    lateness = Trouble(how, due + PATIENCE, run, began, result) if due else None
    schemas = cronjob["metadata"].get("annotations", {}).get(SCHEMAS_ANNOTATION, "")
    return ScheduleStatus(
        name=cronjob["metadata"]["name"],
        run=run,
        started=began,
        result=result,
        duration=_duration(last, now) if last else None,
        schemas=tuple(filter(None, schemas.split(","))),
        next_run=times.next(now) if times else None,
        no_run=no_run,
        late=late,
        troubles=tuple(filter(None, (lateness, *(_trouble(job, now) for job in jobs)))),
    )


def _trouble(job: Document, now: datetime) -> Trouble | None:
    """What is wrong with a run, if anything."""
    condition = end(job)
    if condition is None:
        since = started(job) + PATIENCE if _waits_for_pod(job, now) else None
    else:
        is_failed = condition["type"] == "Failed"
        since = datetime.fromisoformat(condition["lastTransitionTime"]) if is_failed else None
    if since is None:
        return None
    result, name = _result(job, now), job["metadata"]["name"]
    is_told = condition is not None and condition.get("reason") == TELLS_ITSELF
    return Trouble(result, since, name, started(job), result, is_told)


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
    due = times.previous(now - PATIENCE)
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


def _waits_for_pod(job: Document, now: datetime) -> bool:
    """Whether no pod of a run is at work though one should be: no image, Secret or node for it."""
    status = job.get("status", {})
    # A pod that has just ended is not ready either; that is counted in steps.
    is_there = any(status.get(n) for n in ("ready", "succeeded", "uncountedTerminatedPods"))
    return not is_there and now - started(job) > PATIENCE


def started(job: Document) -> datetime:
    """When a Job was started, or made if it was not yet."""
    began = job.get("status", {}).get("startTime")
    return datetime.fromisoformat(began or job["metadata"]["creationTimestamp"])


def end(job: Document) -> Document | None:
    """The condition that a Job ended with, Complete or Failed; None while it runs."""
    conditions = job.get("status", {}).get("conditions") or []
    ends = (c for c in conditions if c["status"] == "True" and c["type"] in {"Complete", "Failed"})
    return next(ends, None)


def _result(job: Document, now: datetime) -> str:
    condition = end(job)
    if condition is None:
        return "waiting for its pod" if _waits_for_pod(job, now) else "running"
    if condition["type"] == "Complete":
        return "succeeded"
    return f"failed: {condition['reason']}" if condition.get("reason") else "failed"


def _result_without_job(cronjob: Document) -> str:
    """By what the CronJob remembers: its Jobs are removed some days after their end."""
    last = last_time(cronjob)
    success = _moment_in(cronjob, "lastSuccessfulTime")
    if last is None:
        return "never ran"
    return "succeeded" if success and success >= last else "no success, and its Job is gone"


def _duration(job: Document, now: datetime) -> timedelta:
    condition = end(job)
    ended = datetime.fromisoformat(condition["lastTransitionTime"]) if condition else now
    return ended - started(job)


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
            _moment(status.started),
            status.result,
            _length(status.duration),
            "" if rows is None or status.run is None else f"{found.rows_read if found else 0:,}",
            _moment(status.next_run) or status.no_run,
            _length(status.late) if status.late else "",
        )
    return result


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
    run = f"{_moment(trouble.started)} {trouble.result}".strip()
    facts = {
        "namespace": namespace,
        "last run" if trouble.run == status.run else "run": run,
        "next run": _moment(status.next_run) or status.no_run,
    }
    if rows is not None and trouble.run:
        facts["ledger"] = str(rows.get(trouble.run, "nothing was committed"))
    return Alert(f"Schedule {status.name} {trouble.how}", facts)


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
