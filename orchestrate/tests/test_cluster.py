"""The commands that talk to a cluster, through the official client, over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.config import incluster_config
from orchestrate.cli import app
from orchestrate.cluster import connect
from orchestrate.cronjob import SCHEDULE_LABEL, cronjob
from orchestrate.errors import OrchestrateError
from orchestrate.testing import ApiServer, RefusalError, kubeconfig

from orchestrate import deploy, kustomize
from sandbox.certificates import Authority
from sandbox.vendors.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrate.plan import PlannedJob

    from orchestrate.tests.conftest import Webhook
    from sandbox.testing import Warehouse

Command = "Callable[..., str]"
NOW = datetime(2026, 6, 1, 10, 2, 7, tzinfo=UTC)
HALF_HOUR = NOW.replace(minute=0, second=0)  # the last one


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    server = ApiServer()
    with serve(server) as url:
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig(url))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield server


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late, or news, hangs on the minute; here it is always the same one."""
    monkeypatch.setattr("orchestrate.status.now", lambda: NOW)


@pytest.fixture
def orchestrate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: Any
) -> Callable[..., str]:
    """Run the command in this process; return what it printed, on both channels."""
    root = request.config.rootpath

    def run(*words: str, code: int = 0) -> str:
        monkeypatch.chdir(root)
        monkeypatch.setattr("sys.argv", ["orchestrate", *words])
        with pytest.raises(SystemExit) as ended:
            app()
        shown = capsys.readouterr()
        assert (ended.value.code or 0) == code, shown.out + shown.err
        assert "kubeconfig-token-of-tests" not in shown.out + shown.err
        return shown.out + shown.err

    return run


@pytest.fixture
def alerts(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    """Where this process posts its alerts."""
    monkeypatch.setenv("TRIBUTARY_ALERT_URL", webhook.url)
    return webhook


@pytest.fixture
def ledger(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse that the loader's variables lead to."""
    for name, value in warehouse.config.items():
        monkeypatch.setenv(f"TARGET_SNOWFLAKE_{name.upper()}", str(value))
    return warehouse


def at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def stored(api: ApiServer, job: PlannedJob, **spec: Any) -> dict[str, Any]:
    """A CronJob on the cluster, made long ago."""
    document = cronjob(job)
    document["spec"] |= spec
    document["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return api.put(document)


def job_of(job: PlannedJob, name: str, started: datetime, **status: Any) -> dict[str, Any]:
    moment = at(started)
    labels = cronjob(job)["metadata"]["labels"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "creationTimestamp": moment},
        "spec": {},
        "status": {"startTime": moment, **status},
    }


def ended(kind: str, moment: datetime, reason: str = "") -> list[dict[str, str]]:
    condition = {"type": kind, "status": "True", "reason": reason}
    return [{**condition, "lastTransitionTime": at(moment)}]


# apply and diff


@pytest.mark.usefixtures("kustomizer")
def test_apply_brings_the_cluster_to_what_the_files_say(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    shown = orchestrate("diff", "production")
    assert "create: CronJob zengrc" in shown
    assert api.objects == {}

    orchestrate("apply", "production", "--yes", "--image", "registry.example/tributary@sha256:1")

    cronjobs = api.find("cronjobs")
    assert set(planned) <= set(cronjobs)
    containers = kustomize.pod_spec(cronjobs["zengrc"])["containers"]
    assert containers[0]["image"] == "registry.example/tributary@sha256:1"
    assert {"tributary"} == {key[0] for key in api.objects}
    shown = orchestrate("apply", "production", "--image", "registry.example/tributary@sha256:1")
    assert "The cluster is as the files say." in shown
    assert "left out, the cluster has no such kind: PrometheusRule tributary" in shown


@pytest.mark.usefixtures("kustomizer")
def test_apply_removes_what_is_gone_and_carries_our_label_and_nothing_else(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    orchestrate("apply", "production", "--yes")
    renamed, foreign = cronjob(planned["zengrc"]), cronjob(planned["zengrc"])
    renamed["metadata"]["name"], foreign["metadata"]["name"] = "old-name", "of-others"
    foreign["metadata"]["labels"] = {"app": "another"}
    api.put(renamed)
    api.put(foreign)

    shown = orchestrate("apply", "production", "--yes")

    assert "delete: CronJob old-name" in shown
    assert "1 changes were applied" in shown
    assert "old-name" not in api.find("cronjobs")
    assert "of-others" in api.find("cronjobs")


@pytest.mark.usefixtures("kustomizer")
def test_apply_asks_first(
    api: ApiServer, orchestrate: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    monkeypatch.setattr("typer.confirm", questions.append)  # which is no yes

    shown = orchestrate("apply", "staging", code=1)

    assert "Nothing was changed." in shown
    assert "changes to namespace tributary-staging of http://127.0.0.1:" in questions[0]
    assert api.objects == {}


def test_what_is_gone_already_does_not_keep_apply_from_deleting_the_rest(
    api: ApiServer, planned: dict[str, PlannedJob]
) -> None:
    for name in ("oci", "zengrc"):
        stored(api, planned[name])
    cluster = connect(None)
    found = deploy.changes(cluster, [])
    assert [change.verb for change in found.changes] == ["delete", "delete"]
    cluster.delete(found.changes[0].document)

    deploy.apply(cluster, found)

    assert api.find("cronjobs") == {}


@pytest.mark.usefixtures("kustomizer")
def test_a_field_that_someone_else_set_is_a_conflict_until_it_is_taken_over(
    api: ApiServer, orchestrate: Callable[..., str]
) -> None:
    orchestrate("apply", "production", "--yes")
    live = api.find("cronjobs")["zengrc"]
    cluster = connect(None)
    cluster._resource(("batch/v1", "CronJob")).patch(
        body={"spec": {"schedule": "0 9 * * *"}},
        name="zengrc",
        namespace="tributary",
        content_type="application/merge-patch+json",
        field_manager="kubectl-edit",
    )

    shown = orchestrate("apply", "production", "--yes", code=1)
    assert "The cluster refused applying CronJob zengrc (409)" in shown
    assert "kubectl-edit" in shown
    assert ".spec.schedule" in shown
    assert api.find("cronjobs")["zengrc"]["spec"]["schedule"] == "0 9 * * *"

    orchestrate("apply", "production", "--yes", "--force-conflicts")
    assert api.find("cronjobs")["zengrc"]["spec"]["schedule"] == live["spec"]["schedule"]


@pytest.mark.usefixtures("kustomizer")
def test_a_suspended_schedule_stays_suspended_when_manifests_are_applied(
    api: ApiServer, orchestrate: Callable[..., str]
) -> None:
    orchestrate("apply", "production", "--yes")

    orchestrate("suspend", "zengrc")
    orchestrate("apply", "production", "--yes", "--image", "registry.example/tributary:next")

    assert api.find("cronjobs")["zengrc"]["spec"]["suspend"] is True
    orchestrate("resume", "--all")
    assert api.find("cronjobs")["zengrc"]["spec"]["suspend"] is False


@pytest.mark.usefixtures("kustomizer")
def test_what_is_not_allowed_is_a_sentence(api: ApiServer, orchestrate: Callable[..., str]) -> None:
    api.forbidden.add(("patch", "cronjobs"))

    shown = orchestrate("apply", "production", "--yes", code=1)

    assert 'User "deployer" cannot patch resource "cronjobs"' in shown
    assert "Ask for a role that allows it." in shown


def test_a_cluster_that_does_not_answer_is_a_sentence(
    orchestrate: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig("http://127.0.0.1:1"))
    monkeypatch.setenv("KUBECONFIG", str(path))

    assert "could not be reached" in orchestrate("status", code=1)


def test_a_cluster_that_takes_the_call_and_says_nothing_is_a_sentence(
    orchestrate: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setattr("orchestrate.cluster.TIMEOUTS_SECONDS", (1.0, 0.2))

        assert "could not be reached" in orchestrate("status", code=1)

        silent.settimeout(0)
        for _ in range(2):  # tries, each of which takes as long as the time-out
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_in_a_pod_the_service_account_opens_the_cluster(
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, authority = ApiServer(), Authority(tmp_path)
    stored(server, planned["zengrc"])
    given = {"token": b"token", "ca.crt": authority.path.read_bytes(), "namespace": b"tributary\n"}
    for name, content in given.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("orchestrate.cluster.SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)

    with serve(server, authority.issue(["localhost"])) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        shown = orchestrate("status")

    assert "zengrc" in shown


@pytest.mark.parametrize(
    "content", [b"plain text", b"clusters: [", b"- a list", b"", b"\xff\xfe\x00"]
)
def test_a_kubeconfig_that_is_none_is_a_sentence(
    content: bytes,
    orchestrate: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(path))

    shown = orchestrate("status", code=1)

    assert "There is no cluster to talk to" in shown or f"{path} cannot be read" in shown


def test_a_folder_and_a_missing_file_are_named(
    orchestrate: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path))
    assert f"The kubeconfig {tmp_path} cannot be read" in orchestrate("status", code=1)

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    assert f"There is no file {tmp_path / 'missing'}" in orchestrate("status", code=1)


@pytest.mark.usefixtures("api")
def test_an_empty_kubeconfig_variable_is_none(
    orchestrate: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl has it: the file in the home folder, or in a pod what that was given."""
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert "Service host/port is not set. Set KUBECONFIG" in orchestrate("status", code=1)

    (tmp_path / ".kube").mkdir()
    (tmp_path / "kubeconfig").rename(tmp_path / ".kube/config")
    assert "next run" in orchestrate("status")


@pytest.mark.usefixtures("api")
def test_a_list_of_kubeconfigs_is_merged(
    orchestrate: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"/nowhere{os.pathsep}{os.environ['KUBECONFIG']}")

    assert "next run" in orchestrate("status")


# status


def test_status_shows_what_ran_and_what_should_have(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    begun = NOW - timedelta(hours=1)
    for name in ("zengrc", "clari", "oci", "xactly"):
        spec = {"schedule": "0 0 1 1 *"} if name != "oci" else {"schedule": "*/30 * * * *"}
        stored(api, planned[name], **spec, suspend=name == "xactly")
    finished = ended("Complete", begun + timedelta(minutes=5))
    api.put(job_of(planned["zengrc"], "zengrc-1", begun - timedelta(days=1)))
    api.put(job_of(planned["zengrc"], "zengrc-2", begun, conditions=finished))
    broken = ended("Failed", begun + timedelta(minutes=2), "BackoffLimitExceeded")
    api.put(job_of(planned["clari"], "clari-1", begun, conditions=broken))
    # That of 1 January was due; its run began in time.
    for name in ("zengrc", "clari"):
        live = api.find("cronjobs")[name]
        api.put({**live, "status": {"lastScheduleTime": f"{NOW.year}-01-01T00:00:00Z"}})

    shown = orchestrate("status")

    lines = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert "succeeded" in lines["zengrc"]
    assert "0:05:00" in lines["zengrc"]
    assert "failed: BackoffLimitExceeded" in lines["clari"]
    assert "never ran" in lines["oci"]
    assert lines["oci"].split()[-1].startswith("0:")
    assert "suspended" in lines["xactly"]
    assert "The ledger was not asked" in shown


def test_status_has_the_rows_of_the_ledger(
    api: ApiServer,
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    ledger: Warehouse,
    alerts: Webhook,
) -> None:
    ledger.query(f"CREATE SCHEMA RAW.{ledger.schema}")
    counts = "ROWS_READ INT, INSERTED INT, UPDATED INT, DELETED INT, REJECTED INT"
    ledger.query(f"CREATE TABLE _LOADS (RUN_ID TEXT, STREAM TEXT, {counts})")
    ledger.query("INSERT INTO _LOADS VALUES ('zengrc-1', 'a', 1200, 1, 2, 3, 4)")
    ledger.query("INSERT INTO _LOADS VALUES ('zengrc-1', 'b', 34, 1, 2, 3, 4)")
    live = stored(api, planned["zengrc"])
    live["metadata"]["annotations"] = {"tributary/schemas": f"{ledger.schema},NOT_YET_THERE"}
    api.put(live)
    api.put(job_of(planned["zengrc"], "zengrc-1", NOW))

    shown = orchestrate("status", "--alert")

    assert "1,234" in shown
    assert "*ledger*: 1,234 rows read of 2 streams: 2 inserted" in json.dumps(alerts.posted)


def test_status_shows_the_rest_when_the_warehouse_refuses(
    api: ApiServer,
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    ledger: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ledger.config["password"] != "no-such-password"
    monkeypatch.setenv("TARGET_SNOWFLAKE_PASSWORD", "no-such-password")
    stored(api, planned["zengrc"])
    api.put(job_of(planned["zengrc"], "zengrc-1", NOW))

    shown = orchestrate("status")

    assert "zengrc" in shown
    assert "The ledger cannot be read. Snowflake refused logging in" in shown
    assert "no-such-password" not in shown


def test_late_and_failed_schedules_are_told_to_the_webhook(
    api: ApiServer,
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    alerts: Webhook,
) -> None:
    due = HALF_HOUR - timedelta(minutes=20)
    stored(api, planned["oci"], schedule=f"{due.minute} * * * *")
    stored(api, planned["clari"], schedule="0 0 1 1 *", suspend=True)
    failed = ended("Failed", HALF_HOUR, "BackoffLimitExceeded")  # its pods have told that
    api.put(job_of(planned["clari"], "clari-1", HALF_HOUR, conditions=failed))

    orchestrate("status", "--alert", "--within", "30")
    new = [told["text"] for told in alerts.posted]
    shown = orchestrate("status", "--alert")
    every = [told["text"] for told in alerts.posted[len(new) :]]

    assert len(new) == 1
    assert new[0].startswith("Schedule oci is 0:")
    assert min(every) == "Schedule clari failed: BackoffLimitExceeded"
    assert "*namespace*: tributary" in json.dumps(alerts.posted[0])
    alerts.posted.clear()
    alerts.status = 500
    refused = orchestrate("status", "--alert", code=1)
    assert len(alerts.posted) == 2, "one that is refused keeps no other back"
    assert "answered 500" in refused
    assert alerts.url not in shown + refused


def test_what_no_pod_can_tell_is_told_once(
    api: ApiServer,
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    alerts: Webhook,
) -> None:
    """Killed for its memory, stopped at its deadline, or never come up; and none of long ago."""
    reasons = {"oci": "PodFailurePolicy", "clari": "DeadlineExceeded"}
    for name in ("oci", "clari", "zengrc", "xactly"):
        stored(api, planned[name], schedule="0 0 1 1 *", suspend=True)
    for name, reason in reasons.items():
        recent = ended("Failed", HALF_HOUR - timedelta(minutes=9), reason)
        api.put(job_of(planned[name], f"{name}-1", NOW - timedelta(hours=5), conditions=recent))
    old = ended("Failed", HALF_HOUR - timedelta(minutes=39), "PodFailurePolicy")
    api.put(job_of(planned["xactly"], "xactly-1", NOW - timedelta(hours=5), conditions=old))
    begun = HALF_HOUR - timedelta(minutes=20)
    api.put(job_of(planned["zengrc"], "zengrc-1", begun, active=1, ready=0))

    orchestrate("status", "--alert", "--within", "30")

    assert sorted(told["text"] for told in alerts.posted) == [
        "Schedule clari failed: DeadlineExceeded",
        "Schedule oci failed: PodFailurePolicy",
        "Schedule zengrc waiting for its pod",
    ]


@pytest.mark.parametrize(
    ("changed", "is_late"), [(timedelta(minutes=1), False), (timedelta(days=99), True)]
)
def test_what_was_due_before_the_schedule_was_changed_is_not_late(
    api: ApiServer,
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    changed: timedelta,
    is_late: bool,  # noqa: FBT001
) -> None:
    """By an apply, or when it was resumed."""
    live = stored(api, planned["oci"], schedule="0 0 1 1 *")
    spec = {"f:spec": {"f:suspend": {}}}
    status = {"f:status": {}}
    live["metadata"]["managedFields"] = [
        {"manager": "tributary-orchestrate", "time": at(NOW - changed), "fieldsV1": spec},
        {"manager": "controller", "time": at(NOW), "fieldsV1": status, "subresource": "status"},
    ]
    live["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    changed_at = NOW - changed
    due = changed_at - timedelta(days=1) if not is_late else NOW - timedelta(hours=1)
    live["spec"]["schedule"] = f"{due.minute} {due.hour} {due.day} {due.month} *"
    api.put(live)

    [line] = [line for line in orchestrate("status").splitlines() if line.startswith("oci")]

    assert (line.split()[-1].count(":") == 2) is is_late, line


def test_a_run_whose_job_is_gone_is_remembered(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    for name, success in (("oci", 3), ("clari", 9)):
        live = stored(api, planned[name], schedule="0 0 1 1 *", suspend=True)
        status = {
            "lastScheduleTime": at(NOW - timedelta(days=3, hours=1)),
            "lastSuccessfulTime": at(NOW - timedelta(days=success)),
        }
        api.put({**live, "status": status})

    lines = {line.split()[0]: line for line in orchestrate("status").splitlines() if line.split()}

    assert "succeeded" in lines["oci"]
    assert f"{NOW - timedelta(days=3, hours=1):%Y-%m-%d %H:%M}" in lines["oci"]
    assert "no success, and its Job is gone" in lines["clari"]
    shown = orchestrate("logs", "clari", code=1)
    assert f"clari ran at {NOW - timedelta(days=3, hours=1):%Y-%m-%d %H:%M}, but" in shown
    assert "that Job is gone" in shown


def test_a_schedule_that_cannot_be_read_hides_no_other(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    stored(api, planned["oci"], schedule="@every 1h")
    stored(api, planned["clari"], timeZone="Europe/Berlin")
    stored(api, planned["zengrc"])

    shown = orchestrate("status")

    assert "unknown: @every 1h" in shown
    assert "unknown: in Europe/Berlin" in shown
    assert "zengrc" in shown


# run and logs


def controller(
    api: ApiServer, planned: PlannedJob, kind: str, pods: int
) -> Callable[[dict[str, Any]], None]:
    """What becomes of a Job: pods, one after the other, and an end."""

    def act(job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        for number in range(pods):
            pod = f"{name}-{number}"
            api.logs[pod] = f"line 1 of {pod}\nline 2 of {pod}\n"
            labels = {"batch.kubernetes.io/job-name": name}
            metadata = {"name": pod, "labels": labels}
            metadata["creationTimestamp"] = f"2026-01-01T00:00:0{number}Z"  # type: ignore[assignment]
            api.put(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": metadata,
                    "status": {"phase": "Succeeded"},
                }
            )
        assert job["metadata"]["labels"][SCHEDULE_LABEL] == planned.name
        api.put({**job, "status": {"conditions": ended(kind, NOW)}})

    return act


def test_run_starts_a_job_and_follows_its_log(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    live = stored(api, planned["zengrc"])
    api.on_create = controller(api, planned["zengrc"], "Complete", 2)

    shown = orchestrate("run", "zengrc")

    [(name, job)] = api.find("jobs").items()
    assert len(name) <= 63
    assert job["spec"] == live["spec"]["jobTemplate"]["spec"]
    assert job["metadata"]["ownerReferences"][0]["uid"] == live["metadata"]["uid"]
    lines = shown.splitlines()
    assert lines[1:] == [f"line {n} of {name}-{pod}" for pod in range(2) for n in (1, 2)]
    assert orchestrate("logs", "zengrc").splitlines() == lines[1:]


def test_run_fails_when_the_job_does(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    stored(api, planned["zengrc"])
    api.on_create = controller(api, planned["zengrc"], "Failed", 1)

    assert "failed." in orchestrate("run", "zengrc", code=1)


@pytest.mark.parametrize("state", ["evicted", "deleted", "drained"])
def test_a_pod_without_a_log_hides_no_other_and_decides_nothing(
    state: str, api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    """A node evicts a pod before it starts (400), forgets it (404), or hangs up in the middle."""
    stored(api, planned["zengrc"])
    act = controller(api, planned["zengrc"], "Complete", 2)

    def lose_the_first_log(job: dict[str, Any]) -> None:
        act(job)
        pod = f"{job['metadata']['name']}-0"
        api.put({**api.find("pods")[pod], "status": {"phase": "Failed", "reason": "Evicted"}})
        if state == "drained":
            api.cut_logs.add(pod)
        else:
            del api.logs[pod]

    api.on_create = lose_the_first_log
    if state == "deleted":  # between the list and the log
        api._existing = _without_pods(api._existing)  # type: ignore[method-assign]

    for command in ("run", "logs"):
        shown = orchestrate(command, "zengrc")

        [job] = api.find("jobs")
        said = "The log of pod {}-0 was cut off." if state == "drained" else "Pod {}-0 left no log."
        assert said.format(job) in shown.splitlines()
        assert shown.splitlines()[-2:] == [f"line {number} of {job}-1" for number in (1, 2)]
        assert (f"line 2 of {job}-0" in shown) is (state == "drained")


def _without_pods(existing: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    def find(request: Any) -> dict[str, Any]:
        if request.path_params["plural"] == "pods":
            raise RefusalError(404, "pods not found")
        return existing(request)

    return find


def test_who_may_not_read_logs_is_told_so(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    stored(api, planned["zengrc"])
    api.on_create = controller(api, planned["zengrc"], "Complete", 1)
    api.forbidden.add(("get", "pods/log"))

    assert 'cannot get resource "pods/log"' in orchestrate("run", "zengrc", code=1)


def test_what_looks_like_markup_is_printed_as_it_is(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    """`:100:` is an emoji to Rich, `[bold]` a style, and `[/]` an error."""
    stored(api, planned["zengrc"], schedule="[/] :100:")
    odd = "secrets.yaml:100: [bold]wrong[/bold] [/]"
    act = controller(api, planned["zengrc"], "Complete", 1)

    def log_it(job: dict[str, Any]) -> None:
        act(job)
        api.logs[f"{job['metadata']['name']}-0"] = f"{odd}\n"

    api.on_create = log_it

    assert orchestrate("run", "zengrc").splitlines()[-1] == odd
    assert f"has no schedule {odd};" in orchestrate("run", odd, code=1)
    assert "unknown: [/] :100:" in orchestrate("status")


def test_a_schedule_that_is_named_twice_is_suspended_once(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    stored(api, planned["zengrc"])

    assert orchestrate("suspend", "zengrc", "zengrc").splitlines() == ["suspended: zengrc"]
    assert [method for method, _ in api.requests if method == "PATCH"] == ["PATCH"]


def test_run_goes_on_when_the_watch_has_expired(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    """The server forgets old versions; who watches from one is told 410 and looks anew."""
    stored(api, planned["zengrc"])
    act = controller(api, planned["zengrc"], "Complete", 1)
    waiting: list[dict[str, Any]] = []
    api.on_create = waiting.append
    api.oldest_version = 10**6
    refused_watches = 0
    watch = api._watch

    async def expire(request: Any) -> Any:
        nonlocal refused_watches
        async for event in watch(request):
            refused_watches += 1
            yield event
        if waiting:
            act(waiting.pop())

    api._watch = expire  # type: ignore[method-assign]

    assert "line 2" in orchestrate("run", "zengrc")
    assert refused_watches > 0


def test_run_waits_for_the_end_by_watching(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    stored(api, planned["zengrc"])
    act = controller(api, planned["zengrc"], "Complete", 1)
    waiting: list[dict[str, Any]] = []
    api.on_create = waiting.append
    watch = api._watch

    async def end_then(request: Any) -> Any:
        if waiting:
            act(waiting.pop())
        async for event in watch(request):
            yield event

    api._watch = end_then  # type: ignore[method-assign]

    assert "line 2" in orchestrate("run", "zengrc")


def test_run_refuses_a_second_run_at_the_same_time(
    api: ApiServer, orchestrate: Callable[..., str], planned: dict[str, PlannedJob]
) -> None:
    """Two would share Meltano's state; Forbid keeps only the controller from it."""
    stored(api, planned["zengrc"])
    api.put(job_of(planned["zengrc"], "zengrc-29401560", NOW))

    assert "running already, as Job zengrc-29401560" in orchestrate("run", "zengrc", code=1)
    assert "has no schedule nothing; it has zengrc" in orchestrate("logs", "nothing", code=1)


def test_runs_within_a_minute_have_names_of_their_own(
    api: ApiServer,
    orchestrate: Callable[..., str],
    planned: dict[str, PlannedJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored(api, planned["zengrc"])
    api.on_create = controller(api, planned["zengrc"], "Complete", 1)
    for second in range(2):
        moment = NOW.replace(second=second)
        monkeypatch.setattr("orchestrate.status.now", lambda moment=moment: moment)
        orchestrate("run", "zengrc")

    assert len(api.find("jobs")) == 2
    shown = orchestrate("run", "zengrc", code=1)
    assert "already exists. Wait a second, then try again." in shown


def test_the_command_itself_reads_the_kubeconfig(
    api: ApiServer, planned: dict[str, PlannedJob], tmp_path: Path
) -> None:
    """As a process, with the variable that kubectl knows too."""
    stored(api, planned["zengrc"])
    done = subprocess.run(
        ["orchestrate", "status"],
        env=os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "zengrc" in done.stdout


def test_an_overlay_must_label_everything_and_keep_to_one_namespace() -> None:
    document = {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}
    with pytest.raises(OrchestrateError, match="ConfigMap a lacks the label"):
        deploy.namespace_of([document])
    with pytest.raises(OrchestrateError, match="must be in one namespace"):
        deploy.namespace_of([document, {"kind": "ConfigMap", "metadata": {"name": "c"}}])
