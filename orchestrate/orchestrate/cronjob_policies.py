"""What every CronJob must keep to, beside its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrate import cron
from orchestrate.cronjob import ENVIRONMENT
from orchestrate.kustomize import pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]

HOUR_SECONDS = 3600


def violations(cronjob: Document) -> Iterator[str]:
    """What is wrong with when and how it runs, as sentences."""
    spec, pod = cronjob["spec"], pod_spec(cronjob)
    yield from _of_schedule(spec)
    yield from _of_job(spec["jobTemplate"]["spec"])
    yield from _of_pod(pod)
    for container in pod.get("containers", []):
        if container["name"] == "meltano":
            for sentence in _of_meltano(container):
                yield f"Container meltano: {sentence}"


def _of_schedule(spec: Document) -> Iterator[str]:
    try:
        cron.parse(str(spec.get("schedule")))
    except cron.CronError as error:
        yield f"Kubernetes cannot read its schedule: {error}."
    if spec.get("timeZone") != "Etc/UTC":
        yield "timeZone must be Etc/UTC, or the cluster's own zone decides."
    if spec.get("concurrencyPolicy") != "Forbid":
        yield "concurrencyPolicy must be Forbid: two runs would share a state."
    if not 10 <= spec.get("startingDeadlineSeconds", 0) <= 24 * HOUR_SECONDS:  # noqa: PLR2004
        yield "startingDeadlineSeconds must be 10 to 86400: without it 100 missed starts end all."
    if not {"successfulJobsHistoryLimit", "failedJobsHistoryLimit"} <= spec.keys():
        yield "successfulJobsHistoryLimit and failedJobsHistoryLimit must be set."


def _of_job(job: Document) -> Iterator[str]:
    if job.get("backoffLimit", 6) > 2:  # noqa: PLR2004 - Kubernetes' own default is 6
        yield "backoffLimit must be at most 2: long extractions would be repeated for days."
    for name in ("activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        if name not in job:
            yield f"{name} must be set."


def _of_pod(pod: Document) -> Iterator[str]:
    if pod.get("restartPolicy") != "Never":
        yield "restartPolicy must be Never, which keeps the logs of failed pods."
    if pod.get("terminationGracePeriodSeconds", 30) < 120:  # noqa: PLR2004 - the default is 30
        yield "terminationGracePeriodSeconds must be 120 or more, for the loader to commit."


def _of_meltano(container: Document) -> Iterator[str]:
    entries = {entry["name"]: entry for entry in container.get("env", [])}
    name = "MELTANO_ENVIRONMENT"
    if entries.get(name, {}).get("value") != ENVIRONMENT[name]:
        yield f"{name} must be {ENVIRONMENT[name]}, or Meltano runs another, such as its default."
    database = entries.get("MELTANO_DATABASE_URI", {}).get("valueFrom", {}).get("secretKeyRef")
    if not database or database.get("optional"):
        yield "MELTANO_DATABASE_URI must come from a Secret: SQLite in a pod guards nothing."
