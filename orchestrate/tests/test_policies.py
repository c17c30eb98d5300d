"""What no manifest may say, whatever an overlay has done to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from orchestrate.cronjob import cronjob
from orchestrate.grants import Grants
from orchestrate.kustomize import pod_spec

from orchestrate import check, manifests, plugin_files, policies

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrate.plan import PlannedJob

ROOT = Path(__file__).parents[2]
Document = dict[str, Any]


def first(document: Document) -> Document:
    found: Document = pod_spec(document)["containers"][0]
    return found


def resources(document: Document, kind: str) -> Document:
    found: Document = first(document)["resources"][kind]
    return found


def mount(document: Document, **volume: Any) -> None:
    pod_spec(document)["volumes"].append({"name": "mine", **volume})


def project(document: Document, **source: Any) -> None:
    mount(document, projected={"sources": [source]})


def read_key(document: Document, secret: str, key: str) -> None:
    source = {"secretKeyRef": {"name": secret, "key": key, "optional": True}}
    first(document)["env"].append({"name": "ANY", "valueFrom": source})


BREAKS = {
    "timeZone": lambda d: d["spec"].pop("timeZone"),
    "concurrencyPolicy": lambda d: d["spec"].update(concurrencyPolicy="Allow"),
    "startingDeadlineSeconds": lambda d: d["spec"].update(startingDeadlineSeconds=5),
    "failedJobsHistoryLimit": lambda d: d["spec"].pop("failedJobsHistoryLimit"),
    "backoffLimit": lambda d: d["spec"]["jobTemplate"]["spec"].pop("backoffLimit"),
    "activeDeadlineSeconds": lambda d: d["spec"]["jobTemplate"]["spec"].pop(
        "activeDeadlineSeconds"
    ),
    "ttlSecondsAfterFinished": lambda d: d["spec"]["jobTemplate"]["spec"].pop(
        "ttlSecondsAfterFinished"
    ),
    "restartPolicy": lambda d: pod_spec(d).update(restartPolicy="OnFailure"),
    "automountServiceAccountToken": lambda d: pod_spec(d).pop("automountServiceAccountToken"),
    "terminationGracePeriodSeconds": lambda d: pod_spec(d).pop("terminationGracePeriodSeconds"),
    "runAsNonRoot": lambda d: pod_spec(d)["securityContext"].pop("runAsNonRoot"),
    "seccompProfile": lambda d: pod_spec(d)["securityContext"].pop("seccompProfile"),
    "The host's network": lambda d: pod_spec(d).update(hostNetwork=True),
    "The host's disk": lambda d: pod_spec(d)["volumes"].append({"hostPath": {"path": "/"}}),
    "readOnlyRootFilesystem": lambda d: first(d)["securityContext"].pop("readOnlyRootFilesystem"),
    "allowPrivilegeEscalation": lambda d: first(d)["securityContext"].update(privileged=True),
    "capabilities": lambda d: first(d)["securityContext"].update(capabilities={"add": ["ALL"]}),
    "memory": lambda d: first(d)["resources"]["limits"].pop("memory"),
    "ephemeral-storage": lambda d: first(d)["resources"]["requests"].pop("ephemeral-storage"),
    "whole Secret": lambda d: first(d)["envFrom"].append({"secretRef": {"name": "a"}}),
    "ZENGRC_PASSWORD": lambda d: first(d)["env"].append({"name": "ZENGRC_PASSWORD", "value": "x"}),
    "MELTANO_ENVIRONMENT": lambda d: first(d)["env"].pop(0),
    "MELTANO_DATABASE_URI": lambda d: first(d).update(
        env=[e for e in first(d)["env"] if e["name"] != "MELTANO_DATABASE_URI"]
    ),
    "Kubernetes 1.31 would refuse it": lambda d: d["spec"].update(schedul="0 0 * * *"),
    "Kubernetes 1.37 would refuse it": lambda d: d["spec"].pop("schedule"),
}
# What an overlay may undo in more ways than one.
UNDOINGS: list[tuple[str, Callable[[Document], Any]]] = [
    (
        "zengrc: securityContext.runAsUser must not be 0",
        lambda d: pod_spec(d)["securityContext"].update(runAsUser=0),
    ),
    (
        "Container meltano: securityContext.runAsUser must not be 0",
        lambda d: first(d)["securityContext"].update(runAsUser=0),
    ),
    (
        "Container meltano: securityContext.runAsNonRoot",
        lambda d: first(d)["securityContext"].update(runAsNonRoot=False),
    ),
    (
        "Container meltano: securityContext.seccompProfile",
        lambda d: first(d)["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    ),
    ("A Secret must not be a volume", lambda d: mount(d, secret={"secretName": "a"})),
    ("A Secret must not be a volume", lambda d: project(d, secret={"name": "a"})),
    ("token must not be mounted", lambda d: project(d, serviceAccountToken={"path": "token"})),
    (
        "service account must be tributary, not tributary-watch",
        lambda d: pod_spec(d).update(serviceAccountName="tributary-watch"),
    ),
    (
        "service account must be tributary, not admin",
        lambda d: (
            pod_spec(d).pop("serviceAccountName"),
            pod_spec(d).update(serviceAccount="admin"),
        ),
    ),
    (
        "must not read TAP_CLARI_API_TOKEN of the Secret tap-clari-secrets",
        lambda d: read_key(d, "tap-clari-secrets", "TAP_CLARI_API_TOKEN"),
    ),
    (
        "must not read ANOTHER of the Secret tap-zengrc-secrets",
        lambda d: read_key(d, "tap-zengrc-secrets", "ANOTHER"),
    ),
    (
        "The secret ZENGRC_PASSWORD has its value in the file",
        lambda d: first(d)["env"].append(
            {
                "name": "ZENGRC_PASSWORD",
                "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}},
            }
        ),
    ),
    (
        "cannot read its schedule: the day of week '7'",
        lambda d: d["spec"].update(schedule="0 0 * * 7"),
    ),
    ("takes no memory of 4GB", lambda d: resources(d, "limits").update(memory="4GB")),
    ("takes no cpu of half", lambda d: resources(d, "requests").update(cpu="half")),
    ("takes no memory of -1Gi", lambda d: resources(d, "requests").update(memory="-1Gi")),
    (
        "takes no sizeLimit of volume mine of 4GB",
        lambda d: mount(d, emptyDir={"sizeLimit": "4GB"}),
    ),
    (
        "limit of memory must not be below its request",
        lambda d: resources(d, "limits").update(memory="1Mi"),
    ),
    (
        "MELTANO_ENVIRONMENT must be prod",
        lambda d: first(d)["env"][0].update(value="local"),
    ),
    ("The host's ports", lambda d: first(d).update(ports=[{"containerPort": 1, "hostPort": 1}])),
]


@pytest.mark.parametrize(("text", "change"), [*BREAKS.items(), *UNDOINGS])
def test_a_manifest_that_breaks_a_policy_is_found(
    text: str, change: Callable[[Document], Any], planned: dict[str, PlannedJob], given: Grants
) -> None:
    """As an overlay's patch might."""
    document = yaml.safe_load(manifests.dump([cronjob(planned["zengrc"])]))
    change(document)

    found = check.wrong(document, "overlay", given)

    assert [problem for problem in found if text in problem.text], found


def test_numbers_are_amounts_and_a_limit_may_be_its_request(
    planned: dict[str, PlannedJob], given: Grants
) -> None:
    document = cronjob(planned["zengrc"])
    for kind in ("requests", "limits"):
        first(document)["resources"][kind] |= {"memory": 2**31, "cpu": 1}

    assert list(policies.violations(document, given)) == []


@pytest.mark.parametrize("kind", ["Pod", "Job", "Deployment", "StatefulSet", "DaemonSet"])
def test_pods_of_every_kind_keep_to_the_policies(
    kind: str, planned: dict[str, PlannedJob], given: Grants
) -> None:
    """And none is given a Secret, or an account, that no file of the project gives to it."""
    pod = pod_spec(cronjob(planned["zengrc"])) | {"hostNetwork": True}
    spec = pod if kind == "Pod" else {"template": {"spec": pod}}
    document = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "zengrc"}, "spec": spec}

    found = list(policies.violations(document, given))

    assert "The host's network, processes and memory are not for pods." in found
    assert [text for text in found if "must be default, not tributary" in text]
    assert [text for text in found if "must not read ZENGRC_PASSWORD" in text]


def test_a_secret_in_a_config_map_is_found_and_not_shown(given: Grants) -> None:
    data = {"ZENGRC_PASSWORD": "hunter2", "ZENGRC_USERNAME": "open"}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}

    [problem] = check.wrong(document, "overlay", given)

    assert "The secret ZENGRC_PASSWORD has its value in the file" in problem.text
    assert "hunter2" not in str(problem)


def test_no_manifest_contains_a_secret(given: Grants) -> None:
    """No Secret stands in the files, and no variable that is secret has a value."""
    secrets = plugin_files.read(ROOT).secret_variables
    for path in (ROOT / manifests.FOLDER).rglob("*.yaml"):
        text = path.read_text()
        assert [name for name in secrets if f"{name}=" in text] == [], path
        for document in yaml.safe_load_all(text):
            if "kustomize" not in document["apiVersion"]:
                assert list(policies.violations(document, given)) == [], path


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("v1", "Servise"),
        ("networking.k8s.io/v1", "NetworkPolcy"),
        ("monitoring.coreos.com/v1", "PromtheusRule"),
        ("external-secrets.io/v1", "ExternalSecrets"),
    ],
)
def test_a_kind_that_nobody_knows_is_found(api_version: str, kind: str) -> None:
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}

    (first, *_) = check.wrong(document, "overlay", Grants())

    assert f"{api_version} has no such kind" in first.text


def test_the_kind_of_an_operator_that_is_not_known_here_passes() -> None:
    document = {"apiVersion": "argoproj.io/v1", "kind": "Rollout", "metadata": {"name": "a"}}

    assert check.wrong(document, "overlay", Grants()) == []
