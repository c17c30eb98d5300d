"""The image, and the pipeline that builds it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from orchestrate.cronjob import PROJECT, USER

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(path: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / path).read_text()))


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_the_image_has_the_versions_that_are_tested(name: str) -> None:
    """Its lock files are parts of the project's."""
    tested, built = pins("requirements.lock"), pins(f"orchestrate/image/{name}")

    assert {n: v for n, v in built.items() if tested.get(n) != v} == {}


def test_the_image_has_no_test_tools_and_no_sandbox() -> None:
    assert not {"pytest", "mypy", "ruff", "fakesnow", "duckdb"} & set(
        pins("orchestrate/image/requirements.lock")
    )


def test_dockerfile_and_manifests_agree() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()

    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert f"USER {USER}:{USER}" in last_stage
    assert f"WORKDIR {PROJECT}" in last_stage
    assert 'ENTRYPOINT ["tini", "--"]' in last_stage
    assert not re.search(r"\bgcc\b|build-essential|-dev\b", last_stage)


def test_everything_that_the_image_copies_passes_dockerignore() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in patterns if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert copied
    for path in copied:
        assert (ROOT / path).exists()
        assert any(path == name or path.startswith(f"{name}/") for name in kept), path


@pytest.mark.skipif(shutil.which("check-jsonschema") is None, reason="check-jsonschema is missing")
def test_the_pipeline_is_what_gitlab_takes() -> None:
    """By GitLab's own schema, as check-jsonschema ships it."""
    done = subprocess.run(
        [
            "check-jsonschema",
            "--builtin-schema=vendor.gitlab-ci",
            "--data-transform=gitlab-ci",
            ".gitlab-ci.yml",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
