"""Everything that can be known without a cluster."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import yaml
from kubernetes_validate.utils import (  # type: ignore[import-untyped]  # likewise
    all_versions,
    major_minor,
)

from orchestrate import (
    deploy,
    kustomize,
    manifests,
    overlay_policies,
    plugin_files,
    policies,
    schedules,
)
from orchestrate.errors import OrchestrateError, Problem, ProblemsError
from orchestrate.grants import Grants, grants, shared
from orchestrate.needs import MELTANO_SECRETS
from orchestrate.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrate.plan import PlannedJob

OLDEST_KUBERNETES = (1, 31)
# The library reads all definitions of a version anew for each document, and lists the versions.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)
kubernetes_validate.utils.all_versions = cache(all_versions)
OPERATORS_KINDS = {
    "external-secrets.io": {"ClusterSecretStore", "ExternalSecret", "SecretStore"},
    "monitoring.coreos.com": {"PodMonitor", "PrometheusRule", "ServiceMonitor"},
}


def planned(project: Path) -> list[PlannedJob]:
    """The CronJobs of the project.

    Raises:
        ProblemsError: Something in the Meltano files cannot be put on a cluster.
        OrchestrateError: The files cannot be read, or Meltano cannot list the schedules.
    """
    found = plan(schedules.of_project(project), plugin_files.read(project))
    if found.problems:
        raise ProblemsError(found.problems)
    return found.jobs


def check(project: Path) -> list[Problem]:
    """All problems of the project's manifests: drift, wrong schemas, broken policies."""
    try:
        generated = manifests.files(planned(project))
    except ProblemsError as error:
        return sorted(set(error.problems))
    documents = {
        path: list(yaml.load_all(text, Loader=yaml.CSafeLoader)) for path, text in generated.items()
    }
    given = granted(project, [found for several in documents.values() for found in several])
    problems = manifests.drift(project, generated)
    for path, several in documents.items():
        for document in several:
            problems += wrong(document, f"{manifests.FOLDER}/{path}", given)
    if kustomize.command():
        for overlay in kustomize.overlays(project):
            problems += of_overlay(project, overlay, given)
    return sorted(set(problems))


def granted(project: Path, generated: list[dict[str, Any]]) -> Grants:
    """What is secret, and which pods see it: those of generated documents, and of `shared`.

    Raises:
        OrchestrateError: A file of `shared` cannot be read.
    """
    secrets = plugin_files.read(project).secret_variables | set(MELTANO_SECRETS)
    return grants([*generated, *shared(project)], secrets)


def of_overlay(project: Path, overlay: str, given: Grants) -> list[Problem]:
    """What is wrong with an overlay; without kubectl or kustomize, that they are missing."""
    folder = f"{manifests.FOLDER}/overlays/{overlay}"
    try:
        documents = kustomize.build(project, overlay)
    except OrchestrateError as error:
        return [Problem(folder, 0, str(error))]
    problems = [Problem(folder, 0, text) for text in overlay_policies.between(documents)]
    try:
        deploy.namespace_of(documents)
    except OrchestrateError as error:
        problems.append(Problem(folder, 0, str(error)))
    for document in documents:
        problems += wrong(document, folder, given)
    return problems


def wrong(document: dict[str, Any], path: str, given: Grants) -> list[Problem]:
    """What schemas and policies say against one document."""
    name = f"{document['kind']} {document.get('metadata', {}).get('name', '')}".rstrip()
    if document["apiVersion"].startswith("kustomize.config.k8s.io/"):
        return []
    found = [f"{name}: {text}" for text in policies.violations(document, given)]
    found += [
        f"{name}: Kubernetes {version} would refuse it: {text}."
        for version in versions()
        for text in _against_schema(document, version)
    ]
    return [Problem(path, 0, text) for text in found]


@cache
def versions() -> tuple[str, ...]:
    """Versions of Kubernetes to check against, oldest first."""
    known = dict.fromkeys(major_minor(version) for version in all_versions())
    return tuple(v for v in known if tuple(map(int, v.split("."))) >= OLDEST_KUBERNETES)


def _against_schema(document: dict[str, Any], version: str) -> list[str]:
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(str(key) for key in error.path)
        return [f"{where}: {error.message}" if where else str(error.message)]
    except kubernetes_validate.SchemaNotFoundError:
        if not _is_operators(document):
            return [f"{document['apiVersion']} has no such kind"]
    return []


def _is_operators(document: dict[str, Any]) -> bool:
    """Whether an operator may know it, which has the schemas of its kinds itself."""
    group = document["apiVersion"].rpartition("/")[0]
    if group in OPERATORS_KINDS:
        return document["kind"] in OPERATORS_KINDS[group]
    return "." in group and not group.endswith(".k8s.io")
