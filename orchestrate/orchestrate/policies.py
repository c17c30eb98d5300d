"""What every CronJob must keep to, whatever an overlay has done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrate.kustomize import pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]

HOUR_SECONDS = 3600
STATE_BACKEND = "MELTANO_STATE_BACKEND_URI"


def violations(document: Document, secret_variables: set[str]) -> Iterator[str]:
    """What is wrong with a document, as sentences; none but CronJobs and Secrets are looked at."""
    if document["kind"] == "Secret":
        yield "A Secret must not stand in a file. Remove it; the store makes it."
    if document["kind"] != "CronJob":
        return
    spec, pod = document["spec"], pod_spec(document)
    yield from _of_schedule(spec)
    yield from _of_job(spec["jobTemplate"]["spec"])
    yield from _of_pod(pod)
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        for sentence in _of_container(container, secret_variables):
            yield f"Container {container['name']}: {sentence}"


def between(documents: list[Document]) -> Iterator[str]:
    """What does not fit together in all that an overlay puts on a cluster, as sentences."""
    maps = {
        d["metadata"]["name"]: d.get("data") or {} for d in documents if d["kind"] == "ConfigMap"
    }
    cronjobs = [document for document in documents if document["kind"] == "CronJob"]
    read = {name for cronjob in cronjobs for name in _maps_read(cronjob)}
    for name in sorted(maps.keys() - read):
        yield f"No pod reads the ConfigMap {name}. Correct its name, or remove it."
    for cronjob in cronjobs:
        pod = pod_spec(cronjob)
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            for sentence in _misfits(container, maps):
                name = f"CronJob {cronjob['metadata']['name']}"
                yield f"{name}: Container {container['name']}: {sentence}"


def _misfits(container: Document, maps: dict[str, Document]) -> Iterator[str]:
    if not _is_pinned(container["image"]):
        yield f"The image {container['image']} needs a tag or digest."
    if container["name"] == "meltano" and not _has(STATE_BACKEND, container, maps):
        yield f"{STATE_BACKEND} must be set, by the ConfigMap meltano-settings."


def _maps_read(value: object) -> Iterator[str]:
    """Names of the ConfigMaps that a manifest refers to, wherever in it."""
    if isinstance(value, list):
        for element in value:
            yield from _maps_read(element)
    if isinstance(value, dict):
        for key, element in value.items():
            if key in {"configMapRef", "configMapKeyRef", "configMap"}:
                yield str(element.get("name"))
            yield from _maps_read(element)


def _has(variable: str, container: Document, maps: dict[str, Document]) -> bool:
    """Whether a variable is given to a container, by itself or in a ConfigMap."""
    names = [source.get("configMapRef", {}).get("name") for source in container.get("envFrom", [])]
    given = {entry["name"] for entry in container.get("env", [])}
    return variable in given.union(*(maps.get(name, {}) for name in names))


def _is_pinned(image: str) -> bool:
    """Whether it has a tag or digest; without one it is `latest`, whichever that is."""
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return bool(colon) and tag != "latest"


def _of_schedule(spec: Document) -> Iterator[str]:
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
    if pod.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken must be false: no schedule talks to the cluster."
    if pod.get("terminationGracePeriodSeconds", 30) < 120:  # noqa: PLR2004 - the default is 30
        yield "terminationGracePeriodSeconds must be 120 or more, for the loader to commit."
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True:
        yield "securityContext.runAsNonRoot must be true."
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "securityContext.seccompProfile must be RuntimeDefault."
    if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
        yield "The host's network, processes and memory are not for pods."
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield "The host's disk is not for pods."


def _of_container(container: Document, secret_variables: set[str]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true."
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "allowPrivilegeEscalation must be false."
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "All capabilities must be dropped, and none added."
    resources = container.get("resources", {})
    for name in ("memory", "ephemeral-storage"):
        if not all(name in resources.get(kind, {}) for kind in ("requests", "limits")):
            yield f"{name} must have a request and a limit."
    if any("secretRef" in source for source in container.get("envFrom", [])):
        yield "A whole Secret must not be read; name the keys."
    given = {entry["name"] for entry in container.get("env", []) if "value" in entry}
    for name in sorted(given & secret_variables):
        yield f"The secret {name} has its value in the file. Let it come from a Secret."
    if container["name"] == "meltano":
        yield from _of_meltano(container)


def _of_meltano(container: Document) -> Iterator[str]:
    values = {entry["name"]: entry for entry in container["env"]}
    if not values.get("MELTANO_ENVIRONMENT", {}).get("value"):
        yield "MELTANO_ENVIRONMENT must be set, or Meltano runs its default environment."
    database = values.get("MELTANO_DATABASE_URI", {}).get("valueFrom", {}).get("secretKeyRef")
    if not database or database.get("optional"):
        yield "MELTANO_DATABASE_URI must come from a Secret: SQLite in a pod guards nothing."
