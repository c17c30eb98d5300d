"""Bringing a namespace to what the documents of an overlay say."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from orchestrate import manifests
from orchestrate.cluster import kind_of, title
from orchestrate.cronjob import MANAGED_BY
from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from orchestrate.cluster import Cluster

    Document = dict[str, Any]

# What the cluster keeps for itself, and changes by itself.
BOOKKEEPING = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


@dataclass(frozen=True)
class Change:
    """What apply does to one object.

    Attributes:
        verb: create, change or delete.
        text: A unified diff.
    """

    verb: str
    document: Document
    text: str


@dataclass
class Changes:
    """What apply does.

    Attributes:
        left_out: Documents of kinds that this cluster does not have.
    """

    changes: list[Change] = field(default_factory=list)
    left_out: list[Document] = field(default_factory=list)


def namespace_of(documents: list[Document]) -> str:
    """The one namespace of all documents.

    Raises:
        OrchestrateError: They have several, or none, or one of them lacks our label, so that it
            would never be removed again.
    """
    namespaces = {document["metadata"].get("namespace") for document in documents}
    if len(namespaces) != 1 or None in namespaces:
        found = ", ".join(sorted(map(str, namespaces)))
        raise OrchestrateError(f"All objects must be in one namespace, but they are in {found}.")
    for document in documents:
        if not MANAGED_BY.items() <= document["metadata"].get("labels", {}).items():
            raise OrchestrateError(
                f"{title(document)} lacks the label by which what is gone is removed; let the"
                " overlay's `labels` give it to every object."
            )
    return str(namespaces.pop())


def changes(cluster: Cluster, documents: list[Document], *, force: bool = False) -> Changes:
    """Find what apply would do, by the server's own dry run."""
    found = Changes()
    for document in documents:
        if not cluster.knows(kind_of(document)):
            found.left_out.append(document)
            continue
        live = cluster.get(document)
        wanted = cluster.apply(document, dry_run=True, force=force)
        before, after = _text(live), _text(wanted)
        if before != after:
            verb = "change" if live else "create"
            found.changes.append(Change(verb, document, _diff(before, after, document)))
    wanted_titles = {title(document) for document in documents}
    for live in cluster.ours():
        if title(live) not in wanted_titles:
            found.changes.append(Change("delete", live, _diff(_text(live), "", live)))
    return found


def apply(cluster: Cluster, found: Changes, *, force: bool = False) -> None:
    """Do what `changes` found; what is deleted goes last, when its successor stands."""
    for change in found.changes:
        if change.verb == "delete":
            cluster.delete(change.document)
        else:
            cluster.apply(change.document, force=force)


def _text(document: Document | None) -> str:
    if document is None:
        return ""
    metadata = {k: v for k, v in document["metadata"].items() if k not in BOOKKEEPING}
    plain = {k: v for k, v in document.items() if k != "status"} | {"metadata": metadata}
    return manifests.dump([plain])


def _diff(before: str, after: str, document: Document) -> str:
    name = title(document)
    lines = unified_diff(
        before.splitlines(), after.splitlines(), f"{name} (live)", f"{name} (files)", lineterm=""
    )
    return "\n".join(lines)
