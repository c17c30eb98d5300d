"""What must fit together in all that an overlay puts on a cluster."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from orchestrate.cronjob import cronjob
from orchestrate.kustomize import pod_spec
from orchestrate.overlay_policies import between
from orchestrate.pod_templates import template

from orchestrate import check, manifests

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrate.plan import PlannedJob

    Change = Callable[[list[dict[str, Any]]], Any]

ROOT = Path(__file__).parents[2]
Documents = list[dict[str, Any]]


def first(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod_spec(document)["containers"][0]
    return found


def named(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    return next(d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name))


def rename_map(documents: Documents, name: str) -> None:
    """As a misspelling in the overlay would: pods go on naming the right one."""
    named(documents, "ConfigMap", f"{name}-settings")["metadata"]["name"] = f"{name}-setings"


def set_image(documents: Documents, image: str) -> None:
    first(named(documents, "CronJob", "oci"))["image"] = image


def set_state(documents: Documents, **data: str) -> None:
    named(documents, "ConfigMap", "meltano-settings")["data"] = data


def read_setting(documents: Documents, name: str, key: str) -> None:
    source = {"configMapKeyRef": {"name": name, "key": key}}
    first(named(documents, "CronJob", "oci"))["env"].append({"name": "ANY", "valueFrom": source})


def remove(documents: Documents, kind: str, name: str) -> None:
    documents.remove(named(documents, kind, name))


MISFITS: list[tuple[str, Change]] = [
    ("No pod reads the ConfigMap tap-oci-setings", lambda d: rename_map(d, "tap-oci")),
    ("oci: Nothing makes the ConfigMap tap-oci-settings", lambda d: rename_map(d, "tap-oci")),
    ("No pod reads the ConfigMap meltano-setings", lambda d: rename_map(d, "meltano")),
    ("oci: Container meltano: MELTANO_STATE_BACKEND_URI must", lambda d: rename_map(d, "meltano")),
    ("zuora-revenue: Container meltano: MELTANO_STATE_BACKEND_URI must be set", set_state),
    (
        "oci: Container meltano: MELTANO_STATE_BACKEND_URI must begin with gs://",
        lambda d: set_state(d, MELTANO_STATE_BACKEND_URI="systemdb"),
    ),
    (
        "oci: Container meltano: MELTANO_STATE_BACKEND_URI must begin with gs://",
        lambda d: first(named(d, "CronJob", "oci"))["env"].append(
            {"name": "MELTANO_STATE_BACKEND_URI", "value": "file:///tmp"}
        ),
    ),
    ("image tributary needs", lambda d: set_image(d, "tributary")),
    ("image tributary:latest needs", lambda d: set_image(d, "tributary:latest")),
    ("image a.example:5000/tributary needs", lambda d: set_image(d, "a.example:5000/tributary")),
    ("CronJob oci: Nothing makes the ConfigMap mine", lambda d: read_setting(d, "mine", "A")),
    (
        "CronJob oci: The ConfigMap tap-oci-settings has no A",
        lambda d: read_setting(d, "tap-oci-settings", "A"),
    ),
    (
        "CronJob oci: No ExternalSecret makes the Secret meltano-secrets",
        lambda d: remove(d, "ExternalSecret", "meltano-secrets"),
    ),
    (
        "CronJob oci: No NetworkPolicy selects its pods",
        lambda d: template(named(d, "CronJob", "oci"))["metadata"]["labels"].pop(
            "app.kubernetes.io/name"
        ),
    ),
    (
        "CronJob tributary-watch: No NetworkPolicy selects its pods",
        lambda d: remove(d, "NetworkPolicy", "tributary"),
    ),
    (
        "CronJob oci: No NetworkPolicy selects its pods",
        lambda d: named(d, "NetworkPolicy", "tributary")["spec"].update(policyTypes=["Ingress"]),
    ),
]


@pytest.mark.parametrize(("text", "change"), MISFITS)
def test_what_does_not_fit_together_in_an_overlay_is_found(
    text: str, change: Change, built: Documents
) -> None:
    documents = copy.deepcopy(built)
    assert list(between(documents)) == []

    change(documents)

    found = list(between(documents))
    assert [sentence for sentence in found if text in sentence], found


def test_secrets_that_people_make_are_not_missed(built: Documents) -> None:
    """An overlay may do without External Secrets (README)."""
    documents = [document for document in built if document["kind"] != "ExternalSecret"]

    assert list(between(documents)) == []


def test_an_image_by_digest_is_pinned(planned: dict[str, PlannedJob]) -> None:
    document = cronjob(planned["zengrc"])
    first(document)["image"] = f"a.example:5000/tributary@sha256:{64 * '0'}"

    assert not [text for text in between([document]) if "image" in text]


PATCHES = """
- target: {kind: CronJob, name: zengrc}
  patch: |
    - {op: replace, path: /spec/schedule, value: 0 0 L * *}
    - op: replace
      path: /spec/jobTemplate/spec/template/spec/containers/0/resources/limits/memory
      value: 4GB
    - op: add
      path: /spec/jobTemplate/spec/template/spec/containers/0/securityContext/runAsUser
      value: 0
    - op: remove
      path: /spec/jobTemplate/spec/template/metadata/labels/app.kubernetes.io~1name
- target: {kind: ConfigMap, name: meltano-settings}
  patch: |
    - {op: replace, path: /data/MELTANO_STATE_BACKEND_URI, value: systemdb}
    - {op: add, path: /data/ZENGRC_PASSWORD, value: hunter2}
"""
FOUND = [
    "CronJob zengrc: Kubernetes cannot read its schedule: the day of month 'L'",
    "CronJob zengrc: Container meltano: Kubernetes takes no memory of 4GB",
    "CronJob zengrc: Container meltano: securityContext.runAsUser must not be 0",
    "CronJob zengrc: No NetworkPolicy selects its pods",
    "CronJob oci: Container meltano: MELTANO_STATE_BACKEND_URI must begin with gs://",
    "ConfigMap meltano-settings: The secret ZENGRC_PASSWORD has its value in the file",
    "CronJob extra: Nothing makes the ConfigMap tap-zengrc--extra-settings",
]
EXTRA = """
plugins:
  extractors:
  - name: tap-zengrc--extra
    inherit_from: tap-zengrc
    config: {password: $EXTRA_PASSWORD}
schedules:
- {name: extra, interval: '@daily', job: extra}
jobs:
- {name: extra, tasks: [tap-zengrc--extra target-snowflake]}
"""


@pytest.mark.usefixtures("kustomizer")
def test_what_patches_of_an_overlay_undo_is_found(tmp_path: Path) -> None:
    """As `check` does, with kubectl; and a new plugin whose settings no overlay makes."""
    for name in ("plugins", manifests.FOLDER):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "meltano.yml", tmp_path)
    (tmp_path / "plugins/extra.meltano.yml").write_text(EXTRA)
    file = tmp_path / manifests.FOLDER / "overlays/staging/kustomization.yaml"
    file.write_text(file.read_text() + f"patches:{PATCHES}")

    generated = manifests.files(check.planned(tmp_path))
    manifests.write(tmp_path, generated)
    documents = [d for text in generated.values() for d in yaml.safe_load_all(text)]
    given = check.granted(tmp_path, documents)
    found = [problem.text for problem in check.of_overlay(tmp_path, "staging", given)]

    assert [text for text in FOUND if not any(text in problem for problem in found)] == [], found
    assert len(found) == len(FOUND) - 1 + len([text for text in found if "BACKEND_URI" in text])
    assert "hunter2" not in "".join(found)


# The network


def test_the_network_policy_holds_for_every_pod_and_lets_it_reach_what_it_needs(
    built: Documents, planned: dict[str, PlannedJob]
) -> None:
    """Names, HTTPS, and the ports of the databases, those of Cloud SQL's proxy among them."""
    [policy] = [d["spec"] for d in built if d["kind"] == "NetworkPolicy"]
    pods = {d["metadata"]["name"]: template(d) for d in built if template(d)}
    anywhere = {
        (port["protocol"], port["port"])
        for rule in policy["egress"]
        if not rule.get("to")
        for port in rule["ports"]
    }

    assert planned.keys() < pods.keys()
    for name, pod in pods.items():
        selected = policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert selected, name
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert policy.get("ingress", []) == []
    assert {("UDP", 53), ("TCP", 53), ("TCP", 443)} <= anywhere
    assert ports_of_databases(built) <= anywhere
    assert ("TCP", 3307) in anywhere or not any(
        job.annotations.database for job in planned.values()
    )


def ports_of_databases(documents: Documents) -> set[tuple[str, int]]:
    """5432, which is that of Meltano's own, and whichever the settings name."""
    data = [d.get("data") or {} for d in documents if d["kind"] == "ConfigMap"]
    named_ones = {int(found["PG_PORT"]) for found in data if "PG_PORT" in found}
    return {("TCP", port) for port in named_ones | {5432}}
