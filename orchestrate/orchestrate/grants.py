"""What the pods of the project's own files are given, beyond which no overlay may go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from orchestrate import pod_templates
from orchestrate.errors import OrchestrateError
from orchestrate.manifests import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    Document = dict[str, Any]

SHARED = f"{FOLDER}/shared"


@dataclass(frozen=True)
class Grant:
    """What the pods of one object are given.

    Attributes:
        account: The service account that they are.
        keys: Names of Secrets, each with a key.
        has_token: Whether the cluster's API knows them by a token.
    """

    account: str = "default"
    keys: frozenset[tuple[str, str]] = frozenset()
    has_token: bool = False


NOTHING = Grant()


@dataclass(frozen=True)
class Grants:
    """What is secret in the project, and who sees what of it.

    Attributes:
        secret_variables: Environment variables that are secret.
        by_object: By kind and name of the object that makes the pods.
    """

    secret_variables: set[str] = field(default_factory=set)
    by_object: dict[tuple[str, str], Grant] = field(default_factory=dict)

    def of(self, document: Document) -> Grant:
        return self.by_object.get(_identity(document), NOTHING)


def grants(documents: Iterable[Document], secret_variables: set[str]) -> Grants:
    """What these documents give to their pods."""
    found = {
        _identity(document): _grant(template["spec"])
        for document in documents
        if (template := pod_templates.template(document))
    }
    return Grants(secret_variables, found)


def shared(project: Path) -> Iterator[Document]:
    """The documents that stand beside the generated ones, written by hand for all overlays.

    Raises:
        OrchestrateError: One of the files is no YAML.
    """
    for path in sorted((project / SHARED).glob("*.yaml")):
        try:
            yield from filter(None, yaml.load_all(path.read_bytes(), yaml.CSafeLoader))
        except yaml.YAMLError:
            raise OrchestrateError(f"{SHARED}/{path.name}: This is no YAML. Correct it.") from None


def account(pod: Document) -> str:
    """The service account of a pod's spec, by its name of today or of old."""
    return str(pod.get("serviceAccountName") or pod.get("serviceAccount") or NOTHING.account)


def _grant(pod: Document) -> Grant:
    keys = (
        (reference["name"], reference["key"])
        for container in pod_templates.containers(pod)
        for reference in pod_templates.secret_keys(container)
    )
    has_token = any("serviceAccountToken" in found for found in pod_templates.projections(pod))
    return Grant(account(pod), frozenset(keys), has_token)


def _identity(document: Document) -> tuple[str, str]:
    return document["kind"], document.get("metadata", {}).get("name", "")
