"""The pods that a manifest makes."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def template(document: Document) -> Document:
    """Metadata and spec of the pods that an object makes, of whatever kind; else nothing."""
    spec = document.get("spec") or {}
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found = document if document["kind"] == "Pod" else spec.get("template")
    return found if isinstance(found, dict) and "containers" in (found.get("spec") or {}) else {}


def containers(pod: Document) -> list[Document]:
    """All containers of a pod's spec, those that run first among them."""
    return [*pod.get("containers", []), *pod.get("initContainers", [])]


def secret_keys(container: Document) -> list[Document]:
    """The keys of Secrets that a container reads: `name`, `key` and `optional` of each."""
    sources = (entry.get("valueFrom") or {} for entry in container.get("env", []))
    return [source["secretKeyRef"] for source in sources if "secretKeyRef" in source]


def projections(pod: Document) -> list[Document]:
    """What its volumes show as files: a volume itself, or the sources of a projected one."""
    volumes = pod.get("volumes", [])
    projected = (volume.get("projected") or {} for volume in volumes)
    return [*volumes, *(source for found in projected for source in found.get("sources", []))]
