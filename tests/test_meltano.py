"""The commands of the README, run for real on a sandbox of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.run import jobs
from sandbox.settings import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
Command = "Callable[..., subprocess.CompletedProcess[str]]"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not under pytest's own folder, to which another run of pytest may close Postgres the way."""
    with tempfile.TemporaryDirectory(prefix="meltano-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def command(folder: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run a command of the project with its own sandbox, state and ports."""
    ports = {name: str(free_port()) for name in ("warehouse", "postgres", "vendors")}
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "TRIBUTARY_SANDBOX_DIR": str(folder / "sandbox"),
        "TRIBUTARY_SANDBOX_ROWS": "400",
        "TRIBUTARY_WAREHOUSE_PORT": ports["warehouse"],
        "TRIBUTARY_POSTGRES_PORT": ports["postgres"],
        "TRIBUTARY_VENDORS_PORT": ports["vendors"],
        "VENDORS_URL": f"http://{HOST}:{ports['vendors']}",
        "SANDBOX_DIR": str(folder / "sandbox"),
        "WAREHOUSE_PORT": ports["warehouse"],
        "PG_PORT": ports["postgres"],
        "MELTANO_SYS_DIR_ROOT": str(folder / "meltano"),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "COLUMNS": "160",
    }

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    try:
        yield run
    finally:
        run("sandbox", "down")


def test_a_newcomer_sees_rows_arrive_and_then_only_what_changed(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    first = command("sandbox", "run", "postgres-ops-incremental").stdout
    command("sandbox", "change")
    second = command("sandbox", "run", "postgres-ops-incremental").stdout

    assert "TAP_POSTGRES.GITLAB_OPS_CI_BUILDS" in first
    assert rows_of(first, "gitlab_ops_ci_builds") == 400
    assert 0 < rows_of(second, "gitlab_ops_ci_builds") < 20
    counted = command(
        "sandbox", "sql", "select count(*) as n from tap_postgres.gitlab_ops_ci_builds"
    ).stdout
    assert "40" in counted
    states = command("meltano", "state", "list").stdout
    assert "tap-postgres--ops-incremental-to-target-snowflake" in states


@pytest.mark.slow
def test_every_source_arrives(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    shown = command("sandbox", "run").stdout

    assert {job.source for job in jobs(None)} <= {
        line.split()[0] for line in shown.splitlines() if line.split()
    }
    assert "TAP_POSTGRES.CUSTOMERS_LICENSE_SEAT_LINKS" in shown
    assert "TAP_POSTGRES_TEST.GITLAB_OPS_LABELS" in shown


@pytest.mark.slow
def test_a_vendor_arrives_too(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """With the settings that reach its stand-in; each tap's own tests compare its values."""
    assert "TAP_ZENGRC.REQUESTS" in command("sandbox", "run", "zengrc").stdout


def test_a_backfill_is_one_command(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Of an interval or of the whole table; the regular state is not touched."""
    command("sandbox", "up")
    command("meltano", "run", "postgres-ops-incremental")
    state = ("meltano", "state", "get", "local:tap-postgres--ops-incremental-to-target-snowflake")
    before = command(*state).stdout

    table = ("make", "backfill", "SOURCE=postgres", "TABLE=ci_stages")
    command(*table, "FROM=2024-01-01", "TO=2024-01-03")
    command(*table)

    assert command(*state).stdout == before
    methods = command(
        "sandbox",
        "sql",
        "select method, sum(rows_read) as n from tap_postgres._loads"
        " where stream = 'gitlab_ops_ci_stages' group by 1 order by 1",
    ).stdout
    assert "overwrite" in methods
    assert "upsert" in methods


def test_meltanos_own_commands_work(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    command("sandbox", "up")

    found = command("meltano", "invoke", "tap-postgres", "--discover").stdout
    assert "gitlab_ops_ci_builds" in found
    selected = command("meltano", "select", "--list", "--all", "tap-postgres").stdout
    assert "gitlab_ops_users" in selected
    assert "0 1 * * *" in command("meltano", "schedule", "list").stdout
    command("meltano", "run", "tap-postgres", "target-snowflake")


def test_an_unknown_source_is_a_sentence(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = command("sandbox", "run", "nowhere", code=1)

    assert "There is no source or job called nowhere" in done.stderr


def rows_of(table: str, stream: str) -> int:
    """The number of rows that the printed table has for a stream, in its own schema."""
    line = next(line for line in table.splitlines() if stream in line and "TAP_POSTGRES." in line)
    return int(line.split()[2].replace(",", ""))
