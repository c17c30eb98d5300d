"""What every document must keep to, whatever an overlay has done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrate import cronjob_policies, pod_policies, pod_templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrate.grants import Grants

    Document = dict[str, Any]


def violations(document: Document, grants: Grants) -> Iterator[str]:
    """What is wrong with a document by itself, as sentences."""
    if document["kind"] == "Secret":
        yield "A Secret must not stand in a file. Remove it; the store makes it."
    if document["kind"] == "ConfigMap":
        yield from _of_config_map(document, grants.secret_variables)
    if document["kind"] == "CronJob":
        yield from cronjob_policies.violations(document)
    if template := pod_templates.template(document):
        given = grants.of(document)
        yield from pod_policies.violations(template["spec"], given, grants.secret_variables)


def _of_config_map(document: Document, secret_variables: set[str]) -> Iterator[str]:
    keys = {key for part in ("data", "binaryData") for key in document.get(part) or {}}
    for name in sorted(keys & secret_variables):
        yield f"The secret {name} has its value in the file. Let it come from a Secret."
