"""Single runs: starting one, following its log, keeping schedules from starting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrate.cluster import CRONJOB, JOB, OURS, POD, title
from orchestrate.cronjob import SCHEDULE_LABEL
from orchestrate.errors import OrchestrateError
from orchestrate.job_status import end, started
from orchestrate.plan import job_name
from orchestrate.status import last_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from orchestrate.cluster import Cluster, Document

JOB_LABEL = "batch.kubernetes.io/job-name"
CONTAINER = "meltano"


def start(cluster: Cluster, schedule: str, now: datetime) -> str:
    """Start a run of a schedule outside of its times; return the name of its Job.

    Raises:
        OrchestrateError: There is no such schedule, or a run of it is under way: two would share
            a state.
    """
    cronjob = _cronjob(cluster, schedule)
    active = [job for job in _jobs(cluster, cronjob) if end(job) is None]
    if active:
        raise OrchestrateError(
            f"{schedule} is running already, as {title(active[0])}. Follow it with"
            f" `orchestrate logs {schedule}`."
        )
    job = _job(cronjob, now)
    cluster.create(job)
    return str(job["metadata"]["name"])


def _job(cronjob: Document, now: datetime) -> Document:
    template, owner = cronjob["spec"]["jobTemplate"], cronjob["metadata"]
    return {
        "apiVersion": JOB[0],
        "kind": JOB[1],
        "metadata": {
            "name": f"{owner['name']}-{now.timestamp():.0f}",  # 11 more: 63 at the most
            "labels": template["metadata"]["labels"],
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [
                {
                    "apiVersion": CRONJOB[0],
                    "kind": CRONJOB[1],
                    "name": owner["name"],
                    "uid": owner["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def last(cluster: Cluster, schedule: str) -> str:
    """The name of a schedule's last Job.

    Raises:
        OrchestrateError: There is no such schedule, or no run of it is left.
    """
    cronjob = _cronjob(cluster, schedule)
    jobs = _jobs(cluster, cronjob)
    if not jobs:
        ran = last_time(cronjob)
        what = f"ran at {ran:%Y-%m-%d %H:%M}, but that Job is gone" if ran else "never ran"
        raise OrchestrateError(f"{schedule} {what}. Start it with `orchestrate run {schedule}`.")
    return str(max(jobs, key=started)["metadata"]["name"])


def follow(cluster: Cluster, name: str) -> Iterator[str]:
    """The lines of a Job's log, pod after pod, until the Job has ended.

    Raises:
        OrchestrateError: The Job is not there, or no more.
    """
    seen: set[str] = set()
    while True:
        job = _live(cluster, name)
        for pod in _started_pods(cluster, name):
            if pod not in seen:
                seen.add(pod)
                yield from cluster.log(pod, CONTAINER)
        if end(job) is not None:
            return
        cluster.wait_for_change(job)


def has_succeeded(cluster: Cluster, name: str) -> bool:
    """Whether a Job has ended well."""
    condition = end(_live(cluster, name))
    return condition is not None and condition["type"] == "Complete"


def suspend(cluster: Cluster, schedules: list[str], *, suspended: bool) -> list[str]:
    """Keep schedules from starting, or let them start again; all of ours if none is named.

    Manifests do not say whether a schedule is suspended, so applying them does not change it.
    """
    named = [_cronjob(cluster, name) for name in schedules]
    cronjobs = {found["metadata"]["name"]: found for found in named or _cronjobs(cluster)}
    for cronjob in cronjobs.values():
        cluster.merge(cronjob, {"spec": {"suspend": suspended}})
    return list(cronjobs)


def _cronjobs(cluster: Cluster) -> list[Document]:
    return cluster.list(CRONJOB, label_selector=f"{OURS},{SCHEDULE_LABEL}")


def _cronjob(cluster: Cluster, schedule: str) -> Document:
    known = {cronjob["metadata"]["name"]: cronjob for cronjob in _cronjobs(cluster)}
    name = job_name(schedule)
    if name not in known:
        raise OrchestrateError(
            f"Namespace {cluster.namespace} has no schedule {schedule}; it has"
            f" {', '.join(sorted(known)) or 'none'}."
        )
    return known[name]


def _jobs(cluster: Cluster, cronjob: Document) -> list[Document]:
    selector = f"{OURS},{SCHEDULE_LABEL}={cronjob['metadata']['name']}"
    return cluster.list(JOB, label_selector=selector)


def _live(cluster: Cluster, name: str) -> Document:
    found = cluster.get({"apiVersion": JOB[0], "kind": JOB[1], "metadata": {"name": name}})
    if found is None:
        raise OrchestrateError(f"Job {name} is not there any more; it may have been deleted.")
    return found


def _started_pods(cluster: Cluster, job: str) -> list[str]:
    pods = cluster.list(POD, label_selector=f"{JOB_LABEL}={job}")
    ready = [pod for pod in pods if pod.get("status", {}).get("phase", "Pending") != "Pending"]
    ready.sort(key=lambda pod: pod["metadata"]["creationTimestamp"])
    return [pod["metadata"]["name"] for pod in ready]
