"""What every pod must keep to, of whatever kind the object is that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrate import quantities
from orchestrate.grants import NOTHING, account
from orchestrate.pod_templates import containers, projections, secret_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrate.grants import Grant

    Document = dict[str, Any]

PROCESS = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def violations(pod: Document, given: Grant, secret_variables: set[str]) -> Iterator[str]:
    """What is wrong with a pod's spec, as sentences.

    Args:
        pod: The spec.
        given: What the project's own files give to it.
        secret_variables: Environment variables whose values stand in no file.
    """
    yield from _of_pod(pod)
    yield from _of_identity(pod, given)
    yield from _of_volumes(pod)
    for container in containers(pod):
        for sentence in (
            *_of_container(container),
            *_of_resources(container.get("resources") or {}),
            *_of_secrets(container, given, secret_variables),
        ):
            yield f"Container {container['name']}: {sentence}"


def _of_pod(pod: Document) -> Iterator[str]:
    yield from _of_process(pod.get("securityContext") or {})
    if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
        yield "The host's network, processes and memory are not for pods."


def _of_process(security: Document) -> Iterator[str]:
    if security.get("runAsNonRoot") is not True:
        yield "securityContext.runAsNonRoot must be true."
    if security.get("runAsUser") == 0:
        yield "securityContext.runAsUser must not be 0, which is root."
    if security.get("seccompProfile") != PROCESS["seccompProfile"]:
        yield "securityContext.seccompProfile must be RuntimeDefault."


def _of_identity(pod: Document, given: Grant) -> Iterator[str]:
    if pod.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken must be false: no schedule talks to the cluster."
    if (own := account(pod)) not in {given.account, NOTHING.account}:
        yield f"The service account must be {given.account}, not {own}, which may do other things."
    if not given.has_token and any("serviceAccountToken" in found for found in projections(pod)):
        yield "A service account's token must not be mounted: no schedule talks to the cluster."


def _of_volumes(pod: Document) -> Iterator[str]:
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            yield "The host's disk is not for pods."
        size = (volume.get("emptyDir") or {}).get("sizeLimit", "0")
        if quantities.parse(str(size)) is None:
            yield _no_amount(f"sizeLimit of volume {volume['name']}", size)
    if any("secret" in found for found in projections(pod)):
        yield "A Secret must not be a volume, which shows all its keys; name the keys in env."


def _of_container(container: Document) -> Iterator[str]:
    security = container.get("securityContext") or {}
    yield from _of_process(PROCESS | security)
    if security.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true."
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "allowPrivilegeEscalation must be false."
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "All capabilities must be dropped, and none added."
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "The host's ports are not for pods."


def _of_resources(resources: Document) -> Iterator[str]:
    requests, limits = (resources.get(kind) or {} for kind in ("requests", "limits"))
    for name in ("memory", "ephemeral-storage"):
        if name not in requests or name not in limits:
            yield f"{name} must have a request and a limit."
    for name in sorted(requests.keys() | limits.keys()):
        amounts = [kind[name] for kind in (requests, limits) if name in kind]
        numbers = [quantities.parse(str(amount)) for amount in amounts]
        for amount, number in zip(amounts, numbers, strict=True):
            if number is None or number < 0:
                yield _no_amount(name, amount)
        known = [number for number in numbers if number is not None]
        if known != sorted(known):
            yield f"The limit of {name} must not be below its request."


def _no_amount(name: str, amount: object) -> str:
    return f"Kubernetes takes no {name} of {amount}; write an amount such as 500m or 2Gi."


def _of_secrets(container: Document, given: Grant, secret_variables: set[str]) -> Iterator[str]:
    if any("secretRef" in source for source in container.get("envFrom", [])):
        yield "A whole Secret must not be read; name the keys."
    for reference in secret_keys(container):
        name, key = reference["name"], reference["key"]
        if (name, key) not in given.keys:
            yield f"It must not read {key} of the Secret {name}, which is for others."
    open_ones = {
        entry["name"]
        for entry in container.get("env", [])
        if "secretKeyRef" not in (entry.get("valueFrom") or {})
    }
    for name in sorted(open_ones & secret_variables):
        yield f"The secret {name} has its value in the file. Let it come from a Secret."
