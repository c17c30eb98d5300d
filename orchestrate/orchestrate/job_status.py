"""What has become of one Job, by its status."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrate.cluster import Document

# A scheduler that is busy, or a cluster that makes a node first, starts a run some minutes late.
PATIENCE = timedelta(minutes=15)


def started(job: Document) -> datetime:
    """When a Job was started, or made if it was not yet."""
    began = job.get("status", {}).get("startTime")
    return datetime.fromisoformat(began or job["metadata"]["creationTimestamp"])


def end(job: Document) -> Document | None:
    """The condition that a Job ended with, Complete or Failed; None while it runs."""
    conditions = job.get("status", {}).get("conditions") or []
    ends = (c for c in conditions if c["status"] == "True" and c["type"] in {"Complete", "Failed"})
    return next(ends, None)


def waits_for_pod(job: Document, now: datetime) -> bool:
    """Whether no pod of a run is at work though one should be: no image, Secret or node for it."""
    status = job.get("status", {})
    # A pod that has just ended is not ready either; that is counted in steps.
    is_there = any(status.get(n) for n in ("ready", "succeeded", "uncountedTerminatedPods"))
    return not is_there and now - started(job) > PATIENCE


def wrong_since(job: Document, now: datetime) -> datetime | None:
    """When it failed, or should have had a pod; None if neither is so."""
    condition = end(job)
    if condition is None:
        return started(job) + PATIENCE if waits_for_pod(job, now) else None
    failed = condition["type"] == "Failed"
    return datetime.fromisoformat(condition["lastTransitionTime"]) if failed else None


def result(job: Document, now: datetime) -> str:
    """running, waiting for its pod, succeeded, or failed and why."""
    condition = end(job)
    if condition is None:
        return "waiting for its pod" if waits_for_pod(job, now) else "running"
    if condition["type"] == "Complete":
        return "succeeded"
    return f"failed: {condition['reason']}" if condition.get("reason") else "failed"


def duration(job: Document, now: datetime) -> timedelta:
    """To its end, or to now."""
    condition = end(job)
    ended = datetime.fromisoformat(condition["lastTransitionTime"]) if condition else now
    return ended - started(job)
