"""The `sandbox` command, run as its users run it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from sandbox import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sandbox:
    """The command with a folder and ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.settings = replace(
            settings.load(),
            folder=folder / "state",
            warehouse_port=settings.free_port(),
            postgres_port=settings.free_port(),
            vendors_port=settings.free_port(),
            rows=100,
        )

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sandbox.cli", *arguments],
            env=self.settings.environment() | {"COLUMNS": "200"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Everything that listens on one of our ports or works in our folder."""
        folder = str(self.settings.folder)
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            words = " ".join(process.info["cmdline"] or [])
            environment = process.info["environ"] or {}
            if folder in words or environment.get(settings.DIR_VARIABLE) == folder:
                found.append(process)
        return [p for p in found if p.pid != os.getpid() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Not under pytest's own folder, to which another run of pytest may close Postgres the way."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        command = Sandbox(Path(folder))
        yield command
        command.run("down")


def test_a_day_with_the_sandbox(sandbox: Sandbox) -> None:
    """Up twice, a change, a query, a restart: the processes and the rows stay what they are."""
    assert sandbox.run("status").returncode == 1
    first = sandbox.run("up")
    assert first.returncode == 0, first.stderr
    pids = {process.pid for process in sandbox.processes()}

    assert sandbox.run("up").returncode == 0
    assert sandbox.run("status").returncode == 0
    assert pids & {process.pid for process in sandbox.processes()}
    assert "license_seat_links" in sandbox.run("change").stdout

    assert sandbox.run("sql", "CREATE SCHEMA RAW.KEPT").returncode == 0
    assert sandbox.run("down").returncode == 0
    assert sandbox.processes() == []
    assert sandbox.run("up").returncode == 0
    assert "KEPT" in sandbox.run("sql", "SHOW SCHEMAS").stdout

    assert sandbox.run("reset").returncode == 0
    assert sandbox.processes() == []
    assert not sandbox.settings.folder.exists()


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("warehouse", settings.WAREHOUSE_PORT_VARIABLE),
        ("postgres", settings.POSTGRES_PORT_VARIABLE),
        ("vendors", settings.VENDORS_PORT_VARIABLE),
    ],
)
def test_a_taken_port_is_named_with_its_variable(
    sandbox: Sandbox, service: str, variable: str
) -> None:
    port = getattr(sandbox.settings, f"{service}_port")
    with socket.socket() as taken:
        taken.bind((settings.HOST, port))
        taken.listen()

        refused = sandbox.run("up", "--only", service)

    assert refused.returncode == 1
    assert str(port) in refused.stderr
    assert variable in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        (settings.WAREHOUSE_PORT_VARIABLE, "99999", "a port from 1 to 65535, but it is 99999"),
        (settings.POSTGRES_PORT_VARIABLE, "15432.5", "a port from 1 to 65535, but it is 15432.5"),
        (settings.VENDORS_PORT_VARIABLE, "http", "a number greater than zero, but it is 'http'"),
        (settings.ROWS_VARIABLE, "-5", "a number greater than zero, but it is '-5'"),
        (settings.ROWS_VARIABLE, "nan", "a number greater than zero, but it is 'nan'"),
        (settings.ROWS_VARIABLE, "inf", "a number greater than zero, but it is 'inf'"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, said: str
) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(settings.SandboxError, match=f"{variable} must be {said}"):
        settings.load()


def test_sql_prints_rows_prompts_and_explains(sandbox: Sandbox) -> None:
    sandbox.run("up", "--only", "warehouse")

    one = sandbox.run("sql", "SELECT 42 AS ANSWER, NULL AS NOTHING")
    prompt = sandbox.run("sql", stdin="SELECT 7 AS SEVEN;\nhistory\nexit\n")
    wrong = sandbox.run("sql", "SELECT * FROM RAW.S.MISSING")

    assert all(word in one.stdout for word in ("ANSWER", "42", "NULL", "1 row"))
    assert "SEVEN" in prompt.stdout
    assert "1  SELECT 7 AS SEVEN" in prompt.stdout
    assert wrong.returncode == 1
    assert "does not exist or not authorized" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_what_cannot_work_says_what_to_do(sandbox: Sandbox) -> None:
    for arguments in (["sql", "SELECT 1"], ["change"]):
        refused = sandbox.run(*arguments)
        assert refused.returncode == 1
        assert "sandbox up" in refused.stderr

    unknown = sandbox.run("up", "--only", "kafka")
    assert unknown.returncode == 1
    assert "warehouse, postgres" in unknown.stderr
