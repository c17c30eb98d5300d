"""What make does with `.env`, by which Meltano reaches the sandbox; in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that was installed a while ago."""
    for folder in (".venv", "sandbox", "reconcile", "orchestrate"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pyproject.toml").touch()
    for name in ("requirements.lock", "pyproject.toml", ".venv/.installed"):
        (tmp_path / name).touch()
    (tmp_path / "sandbox" / "local.env").write_text("PORT=1\n")
    (tmp_path / ".env").write_text("PORT=1\n")
    return tmp_path


def make(project: Path, target: str) -> str:
    command = ["make", "--file", str(MAKEFILE), target]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    return done.stdout


def change_template(project: Path) -> None:
    template = project / "sandbox" / "local.env"
    template.write_text("PORT=2\n")
    later = (project / ".env").stat().st_mtime + 10
    os.utime(template, (later, later))


def test_a_new_template_replaces_what_came_from_the_old_one(project: Path) -> None:
    """What somebody wrote into it is kept beside it."""
    (project / ".env").write_text("PORT=99\n")
    make(project, "install")
    assert (project / ".env").read_text() == "PORT=99\n"

    change_template(project)
    said = make(project, "install")

    assert (project / ".env").read_text() == "PORT=2\n"
    assert (project / ".sandbox" / "old.env").read_text() == "PORT=99\n"
    assert ".sandbox/old.env" in said


def test_a_deleted_one_does_not_come_back(project: Path) -> None:
    """Who works with a real account deletes it."""
    change_template(project)
    (project / ".env").unlink()

    make(project, "install")

    assert not (project / ".env").exists()


def test_clean_removes_it(project: Path) -> None:
    make(project, "clean")

    assert not (project / ".env").exists()
