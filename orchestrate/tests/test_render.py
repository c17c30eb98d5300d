"""Manifests: what is written, and what is found wrong with what stands in the Meltano files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from orchestrate.cli import cli
from orchestrate.cronjob import cronjob
from orchestrate.errors import OrchestrateError
from orchestrate.grants import Grants
from orchestrate.kustomize import pod_spec
from orchestrate.needs import SecretKeys
from orchestrate.plan import LONGEST_NAME, Plan, PlannedJob, job_name, plan
from orchestrate.schedules import Schedule

from orchestrate import check, kustomize, manifests, plugin_files, schedules

ROOT = Path(__file__).parents[2]
PROBLEM = re.compile(r"^(\S+?):(\d+): (.*)$")

BAD_PROJECT = """\
project_id: 0c5a6b8e-5d0f-4a39-8a4e-6b2f6b7d9e10
plugins:
  extractors:
  - name: tap-one
    namespace: tap_one
    settings:
    - name: password
      sensitive: true
    annotations:
      kubernetes:
        memory: 512MB
        ephemeral_storage: 1Gi
        deadline_minutes: 30
        memroy: 1Gi
  - name: tap-two
    namespace: tap_two
    annotations: {someone: else}
  - name: tap-three
    namespace: tap_three
    annotations:
      kubernetes: {memory: "1", ephemeral_storage: 1Gi, deadline_minutes: 1.5}
  loaders:
  - name: target-one
    namespace: target_one
jobs:
- name: one
  tasks: [tap-one target-one]
- name: two
  tasks: [tap-two target-one]
- name: both
  tasks: [tap-one target-one, tap-two target-one]
schedules:
- name: bad-cron
  interval: 99,5 2 * * *
  job: one
- name: Same_Name
  interval: '@daily'
  job: two
- name: same-name
  interval: '@hourly'
  job: two
- name: a-name-that-is-just-one-character-too-long-to-be-used
  interval: '@hourly'
  job: both
  env:
    TAP_ONE_PASSWORD: hunter2
    MELTANO_DATABASE_URI: postgresql://user:hunter2@host/db
    TMPDIR: /elsewhere
- name: by-hand
  interval: '@manual'
  job: one
"""


def test_every_problem_is_found_at_once_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_text(BAD_PROJECT)

    found = check.check(tmp_path)

    assert all(problem.path == "meltano.yml" for problem in found)
    lines = BAD_PROJECT.splitlines()
    said = [(lines[problem.line - 1].strip(" -"), problem.text) for problem in found]
    expected = [
        ("memory: 512MB", "must be an amount of bytes such as 512Mi or 2Gi"),
        ("memroy: 1Gi", "The keys are memory, ephemeral_storage, deadline_minutes"),
        ("kubernetes: {memory", "is 1 bytes; write an amount such as 512Mi or 2Gi"),
        ("kubernetes: {memory", "annotations.kubernetes.deadline_minutes: Input should be a valid"),
        ("interval: 99,5 2 * * *", "the minute '99' is not a range from 0 to 59"),
        ("name: tap-two", "tap-two has no annotations.kubernetes"),
        ("name: Same_Name", "shares the CronJob same-name with another"),
        ("name: same-name", "shares the CronJob same-name with another"),
        ("name: same-name", "shares the state tap-two-to-target-one with another"),
        ("name: a-name-that", "53 characters; Kubernetes takes 52"),
        ("name: a-name-that", "runs 2 extractors in one job"),
        ("env:", "gives the secret TAP_ONE_PASSWORD a value in a file"),
        ("env:", "gives the secret MELTANO_DATABASE_URI a value in a file"),
        ("env:", "sets TMPDIR, which every pod has"),
    ]
    for line, text in expected:
        assert any(s.startswith(line) and text in t for s, t in said), (line, text, said)
    assert "hunter2" not in "".join(map(str, found))


@pytest.mark.parametrize(
    ("annotations", "text"),
    [
        ("foo", "tap-two has no annotations.kubernetes"),
        ("{kubernetes: [a]}", "wrong annotations.kubernetes"),
        ("{kubernetes: {database: harbour}}", "wrong annotations.kubernetes.database"),
        ("{kubernetes: {database: [a]}}", "wrong annotations.kubernetes.database"),
        *(
            (f"{{kubernetes: {{memory: {amount}}}}}", "wrong annotations.kubernetes.memory")
            for amount in (
                "NaN",
                "InfinityGi",
                "1_0Gi",
                "' 1Gi'",
                "\uff11Gi",
                "1e3Mi",
                "1e999999999",
                "-1Gi",
                "4GB",
            )
        ),
    ],
)
def test_annotations_of_the_wrong_kind_are_found(
    annotations: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / "meltano.yml").write_text(BAD_PROJECT.replace("{someone: else}", annotations))

    found = [str(problem) for problem in check.check(tmp_path)]

    assert [problem for problem in found if text in problem and "tap-two" in problem], found


def test_check_finds_meltano_without_path(tmp_path: Path) -> None:
    """As the pipeline calls it, by the path of the command."""
    (tmp_path / "meltano.yml").write_text(BAD_PROJECT)
    command = str(Path(sys.executable).with_name("orchestrate"))

    done = subprocess.run(
        [command, "check"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "shares the CronJob" in done.stderr, done.stderr


def test_a_project_that_meltano_refuses_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_text(BAD_PROJECT.replace("job: one", "job: none", 1))

    with pytest.raises(OrchestrateError, match="Meltano cannot list the schedules"):
        check.check(tmp_path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("plugins: [", "meltano.yml:2: This is no YAML"),
        ("- a", "meltano.yml:1: A Meltano file must be a mapping"),
        (
            "plugins:\n  loaders:\n  - name: a\n    inherit_from: b\n",
            "meltano.yml:4: a inherits from b, which no file defines",
        ),
    ],
)
def test_files_that_cannot_be_read_are_named_with_their_line(
    tmp_path: Path, text: str, error: str
) -> None:
    (tmp_path / "meltano.yml").write_text(text)

    with pytest.raises(OrchestrateError, match=error):
        plugin_files.read(tmp_path)


SMALL_PROJECT = """\
project_id: 0c5a6b8e-5d0f-4a39-8a4e-6b2f6b7d9e10
environments:
- name: prod
plugins:
  extractors:
  - name: tap-one
    namespace: tap_one
    annotations:
      kubernetes: {memory: 1Gi, ephemeral_storage: 1Gi, deadline_minutes: 30}
  loaders:
  - name: target-one
    namespace: target_one
  mappers:
  - name: hasher
    namespace: hasher
    settings:
    - {name: salt, sensitive: true}
    mappings:
    - {name: hash-it, config: {}}
jobs:
- name: one
  tasks: [tap-one target-one]
schedules:
"""
PAIR = "tap-one target-one"


def daily(
    name: Any = "a", task: str = PAIR, *, is_pair: bool = False, **env: Any
) -> dict[str, Any]:
    """A schedule as it stands in the file; what it runs stands there for `plan_of` only."""
    return {"name": name, "interval": "@daily", "env": env, "task": task, "is_pair": is_pair}


def plan_of(folder: Path, *entries: dict[str, Any]) -> Plan:
    """Plan schedules in the small project."""
    text = yaml.safe_dump(list(entries), sort_keys=False)
    (folder / "meltano.yml").write_text(SMALL_PROJECT + text)
    listed = [
        Schedule(str(e["name"]), "0 0 * * *", e["env"], "one", (e["task"],), is_pair=e["is_pair"])
        for e in entries
    ]
    return plan(listed, plugin_files.read(folder))


@pytest.mark.parametrize(
    ("entries", "shared"),
    [
        ([daily("a"), daily("b")], "tap-one-to-target-one"),
        ([daily("a", "tap-one hash-it target-one"), daily("b")], "tap-one-to-target-one"),
        (
            [daily(name, MELTANO_RUN_STATE_ID_SUFFIX="x") for name in "ab"],
            "tap-one-to-target-one:x",
        ),
        ([daily(name, MELTANO_RUN_STATE_ID_SUFFIX=name) for name in "ab"], None),
        ([daily("a", MELTANO_RUN_STATE_ID_SUFFIX="x"), daily("b")], None),
        ([daily("a"), daily("b", is_pair=True)], None),
        ([daily("a", is_pair=True), daily("b", is_pair=True)], None),
    ],
)
def test_only_schedules_of_one_state_id_share_a_state(
    entries: list[dict[str, Any]], shared: str | None, tmp_path: Path
) -> None:
    """A pair's state is named for its plugins and the suffix; that of an `elt` schedule for it."""
    found = [problem.text for problem in plan_of(tmp_path, *entries).problems]

    assert found == [
        f"Schedule {name} shares the state {shared} with another. Give each its own."
        for name in "ab"
        if shared
    ]


def test_a_mapping_runs_with_the_secrets_of_its_mapper(tmp_path: Path) -> None:
    """Tasks name the mapping, never the mapper."""
    [job] = plan_of(tmp_path, daily(task="tap-one hash-it target-one")).jobs

    assert SecretKeys("hasher", ("HASHER_SALT",)) in job.secrets


@pytest.mark.parametrize(
    ("entry", "line", "text"),
    [
        (daily("-x"), "name: -x", "A pod would not read '-x' as the name of a schedule"),
        (daily("$(HOME)"), "name: $(HOME)", "A pod would not read '$(HOME)'"),
        (daily(2024), "name: 2024", "`meltano schedule run` does not find 2024"),
        (daily(SIZE=5), "env:", "gives SIZE a value that is no text"),
        (daily(SIZE=None), "env:", "gives SIZE a value that is no text"),
        (daily(task="tap-one rehash target-one"), "name: a", "runs rehash, which no file defines"),
    ],
)
def test_a_schedule_that_no_pod_could_run_is_found(
    entry: dict[str, Any], line: str, text: str, tmp_path: Path
) -> None:
    [problem] = plan_of(tmp_path, entry).problems

    lines = (tmp_path / "meltano.yml").read_text().splitlines()
    assert lines[problem.line - 1].strip(" -") == line.strip(" -")
    assert text in problem.text


def test_without_meltano_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OrchestrateError, match="Meltano is neither beside"):
        schedules.of_project(tmp_path)


def test_what_is_empty_in_a_file_is_nothing(tmp_path: Path) -> None:
    text = "include_paths:\nschedules:\nplugins:\n  extractors:\n  utilities:\n  - name: 2024\n"
    (tmp_path / "meltano.yml").write_text(f"{text}    settings:\n    config:\n")

    files = plugin_files.read(tmp_path)

    assert files.plugins["2024"].settings() == []
    assert files.plugins["2024"].config == {}
    assert files.schedules == {}


# What is written


def rendered(jobs: list[PlannedJob]) -> dict[str, str]:
    return manifests.files(jobs)


def test_the_projects_own_manifests_are_in_order() -> None:
    """Up to date, what Kubernetes takes from 1.31 to the newest, and within the policies."""
    assert check.check(ROOT) == []
    assert check.versions()[0] == "1.31"
    assert len(check.versions()) >= 7


def test_changing_one_schedule_changes_one_file(planned: dict[str, PlannedJob]) -> None:
    before = rendered(list(planned.values()))
    changed = planned | {"oci": replace(planned["oci"], cron="30 3 * * *")}

    after = rendered(list(changed.values()))

    assert {p for p in after if after[p] != before[p]} == {"base/cronjobs/oci.yaml"}


def test_renaming_removes_the_old_cronjob(planned: dict[str, PlannedJob], tmp_path: Path) -> None:
    manifests.write(tmp_path, rendered(list(planned.values())))
    renamed = [
        replace(job, name="oracle") if job.name == "oci" else job for job in planned.values()
    ]

    out_of_date = manifests.drift(tmp_path, rendered(renamed))
    changed, removed = manifests.write(tmp_path, rendered(renamed))

    assert {Path(problem.path).name for problem in out_of_date} == {
        "oci.yaml",
        "oracle.yaml",
        "kustomization.yaml",
    }
    assert changed == ["base/cronjobs/oracle.yaml", "base/kustomization.yaml"]
    assert removed == ["base/cronjobs/oci.yaml"]
    assert manifests.write(tmp_path, rendered(renamed)) == ([], [])


def test_whatever_lies_in_the_generated_folders_is_named(tmp_path: Path) -> None:
    folder = tmp_path / manifests.FOLDER / "base"
    (folder / "folder.yaml").mkdir(parents=True)
    (folder / "mine.yml").write_text("kind: ConfigMap")
    (folder / "theirs.yaml").write_bytes(b"kind: \xff")
    (folder / "kustomization.yaml").write_bytes(b"\xff")

    found = {Path(problem.path).name for problem in manifests.drift(tmp_path, rendered([]))}
    _, removed = manifests.write(tmp_path, rendered([]))

    assert found == {"mine.yml", "theirs.yaml", "kustomization.yaml", "secrets.yaml"}
    assert removed == ["base/mine.yml", "base/theirs.yaml"]
    assert manifests.drift(tmp_path, rendered([])) == []


def test_two_hundred_schedules_are_rendered_in_two_seconds(tmp_path: Path) -> None:
    """Beyond Meltano's own start."""
    for name in ("meltano.yml", "plugins"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    extractors = [f"tap-zengrc--{number}" for number in range(200)]
    definitions = [{"name": name, "inherit_from": "tap-zengrc"} for name in extractors]
    found = [{"name": f"run-{name}", "interval": "@daily", "job": name} for name in extractors]
    content = {"plugins": {"extractors": definitions}, "schedules": found}
    (tmp_path / "plugins/many.meltano.yml").write_text(yaml.safe_dump(content))
    listed = [
        Schedule(f"run-{name}", "0 0 * * *", {}, name, (f"{name} target-snowflake",))
        for name in extractors
    ]

    begun = time.perf_counter()
    planned = plan(listed, plugin_files.read(tmp_path))
    changed, _ = manifests.write(tmp_path, manifests.files(planned.jobs))
    seconds = time.perf_counter() - begun

    assert planned.problems == []
    assert len(changed) == 203
    assert seconds < 2


@given(st.text(min_size=1, max_size=80))
def test_names_of_cronjobs_are_dns_names_or_refused(name: str) -> None:
    found = job_name(name)

    assert found == "" or re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found)


def test_a_pod_sees_the_keys_of_its_own_plugins_only(planned: dict[str, PlannedJob]) -> None:
    def keys(name: str) -> set[str]:
        env = pod_spec(cronjob(planned[name]))["containers"][0]["env"]
        sources = [entry.get("valueFrom", {}).get("secretKeyRef") for entry in env]
        return {f"{source['name']}/{source['key']}" for source in sources if source}

    own = keys("zendesk-community-relations") - keys("zengrc")
    assert (
        "tap-zendesk--community-relations-secrets/TAP_ZENDESK_COMMUNITY_RELATIONS_API_TOKEN" in own
    )
    assert not [key for key in own if key.startswith("tap-zendesk-secrets/")]
    assert keys("zengrc-deletes") == keys("zengrc")
    assert "tap-zengrc-secrets/ZENGRC_PASSWORD" in keys("zengrc")
    assert "gitlab-ops-secrets/GITLAB_OPS_DB_PASS" in keys("postgres-ops-scd")
    assert "customers-secrets/CUSTOMERS_DB_PASS" not in keys("postgres-ops-scd")
    loaders = {key for key in keys("zuora-revenue") if "TARGET_SNOWFLAKE" in key}
    assert {key.partition("/")[0] for key in loaders} == {"target-snowflake-secrets"}


def test_what_annotations_ask_for_stands_in_the_pod(planned: dict[str, PlannedJob]) -> None:
    zuora = pod_spec(cronjob(planned["zuora-revenue"]))
    assert zuora["nodeSelector"] == {"tributary/fixed-ip": "true"}
    assert zuora["volumes"][0]["emptyDir"]["sizeLimit"] == "10Gi"
    assert zuora["containers"][0]["resources"]["limits"] == {
        "memory": "2Gi",
        "ephemeral-storage": "11Gi",
    }
    postgres = pod_spec(cronjob(planned["postgres-ops-scd"]))
    [proxy] = postgres["initContainers"]
    assert proxy["restartPolicy"] == "Always"
    assert "$(GITLAB_OPS_DB_INSTANCE)" in proxy["args"]
    assert "initContainers" not in zuora


def test_schedules_of_every_shape_are_read() -> None:
    job = {"name": "j", "tasks": ["tap-a target-b", ["tap-c target-b", "dbt:run"]]}
    listing = {
        "job": [{"name": "b", "cron_interval": None, "env": {"A": "1"}, "job": job}],
        "elt": [
            {"name": "a", "cron_interval": "0 0 * * *", "env": {}, "extractor": "x", "loader": "y"}
        ],
    }

    found = schedules.parse(json.dumps({"schedules": listing}))

    assert [schedule.tasks for schedule in found] == [
        ("x y",),
        ("tap-a target-b", "tap-c target-b dbt:run"),
    ]
    assert found[1].env == {"A": "1"}


# Overlays


@pytest.mark.usefixtures("kustomizer")
def test_overlays_are_in_order(planned: dict[str, PlannedJob]) -> None:
    for overlay in kustomize.overlays(ROOT):
        documents = kustomize.build(ROOT, overlay)
        maps = {d["metadata"]["name"] for d in documents if d["kind"] == "ConfigMap"}
        images = {
            container["image"]
            for document in documents
            if document["kind"] == "CronJob"
            for container in pod_spec(document)["containers"]
        }
        assert set(planned) <= {d["metadata"]["name"] for d in documents}
        assert {"meltano-settings", "target-snowflake-settings"} <= maps
        assert all(":" in image and not image.endswith(":latest") for image in images)


@pytest.mark.usefixtures("kustomizer")
def test_a_broken_overlay_hides_nothing_else(tmp_path: Path) -> None:
    """The base that was not rendered is what has to be put right first."""
    (tmp_path / "meltano.yml").write_text(
        SMALL_PROJECT + "- {name: a, interval: '@daily', job: one}"
    )
    overlays = tmp_path / manifests.FOLDER / "overlays"
    (overlays / "production").mkdir(parents=True)
    (overlays / "production/kustomization.yaml").write_text("resources: [../../base]")
    (overlays / "notes.txt").write_text("A file, and no overlay.")

    found = [str(problem) for problem in check.check(tmp_path)]

    assert [p for p in found if "base/cronjobs/a.yaml:1: This file is missing" in p], found
    assert [p for p in found if "overlays/production: Overlay production is not in order" in p]
    assert not [p for p in found if "notes" in p]


def test_a_project_without_overlays_has_none(tmp_path: Path) -> None:
    assert kustomize.overlays(tmp_path) == []

    (tmp_path / manifests.FOLDER / "overlays/production").mkdir(parents=True)

    assert kustomize.overlays(tmp_path) == []
    with pytest.raises(OrchestrateError, match="There is no overlay production"):
        kustomize.build(tmp_path, "production")


@pytest.mark.usefixtures("kustomizer")
def test_an_overlay_that_could_not_be_applied_is_found(tmp_path: Path) -> None:
    overlay = tmp_path / manifests.FOLDER / "overlays/production"
    overlay.mkdir(parents=True)
    settings = "configMapGenerator: [{name: meltano-setings, literals: [A=b]}]"
    (overlay / "kustomization.yaml").write_text(settings)

    found = [problem.text for problem in check.of_overlay(tmp_path, "production", Grants())]

    assert len(found) == 2
    assert found[0].startswith("No pod reads the ConfigMap meltano-setings")
    assert found[1].startswith("All objects must be in one namespace")


@pytest.mark.parametrize(
    ("api_version", "kind", "expected"),
    [
        ("monitoring.coreos.com/v1", "PodMonitor", 0),
        ("batch/v1", "CronJobb", len(check.versions())),
        ("v1", "Secrets", len(check.versions())),
    ],
)
def test_kinds_of_operators_have_no_schemas(api_version: str, kind: str, expected: int) -> None:
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}

    assert len(check.wrong(document, "overlay", Grants())) == expected


# Names and commands


def test_the_longest_name_leaves_room_for_that_of_the_job() -> None:
    assert LONGEST_NAME + len("-29401560") + 2 <= 63


def test_meltano_offers_every_command_but_the_pods_own() -> None:
    """`meltano invoke kubernetes:<command>` is `orchestrate <command>`, with the same words."""
    content = yaml.safe_load((ROOT / "plugins/kubernetes.meltano.yml").read_text())
    [utility] = content["plugins"]["utilities"]
    offered = {name: command["args"] for name, command in utility["commands"].items()}
    known = typer.main.get_command(cli).commands  # type: ignore[attr-defined]  # a group has them

    assert utility["name"] == "kubernetes"
    assert utility["executable"] == "orchestrate"
    assert offered == {name: name for name in known if name != "pod"}
    assert len(offered) == 9


def test_meltano_offers_the_commands(tmp_path: Path) -> None:
    """`meltano invoke kubernetes:check` is `orchestrate check`; here on a project without any."""
    plugin = yaml.safe_load((ROOT / "plugins/kubernetes.meltano.yml").read_text())
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump({"version": 1, **plugin}))

    done = subprocess.run(
        ["meltano", "invoke", "kubernetes:render"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "3 files are up to date." in done.stdout
