"""`sandbox run`, which is `make run`, told to stop in the middle of a job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import settings, sql
from sandbox.process import wait_until
from sandbox.services import all_services
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterator

MAKES_THE_LAST_TABLE = r"CREATE TABLE IF NOT EXISTS \"RAW\".\"TAP_ZENGRC\".\"VENDORS\""  # in JSON


@pytest.fixture(scope="module")
def config() -> Iterator[settings.Settings]:
    """A running sandbox, whose vendor ZenGRC is slow with the last stream of its first job."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        config = replace(
            settings.load(),
            folder=Path(folder) / "state",
            warehouse_port=settings.free_port(),
            postgres_port=settings.free_port(),
            vendors_port=settings.free_port(),
            rows=100,
        )
        services = all_services(config)
        for service in services:
            service.up()
        yield config
        for service in reversed(services):
            service.server.stop()


def start(config: settings.Settings, meltano_folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.cli", "run", "zengrc"],
        env=config.environment()
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MELTANO_SYS_DIR_ROOT": str(meltano_folder),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def forget_what_was_loaded(config: settings.Settings) -> None:
    with sql.connect(WarehouseService(config).config) as connection:
        connection.cursor().execute("DROP SCHEMA IF EXISTS RAW.TAP_ZENGRC")
    (config.warehouse_folder / "queries.jsonl").write_text("")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_run_that_is_stopped_commits_begins_no_more_and_says_what_it_did(
    config: settings.Settings, tmp_path: Path, number: signal.Signals
) -> None:
    """SIGINT goes to the whole group, as Ctrl-C in a terminal sends it."""
    forget_what_was_loaded(config)
    address = f"http://{settings.HOST}:{config.vendors_port}/zengrc/sandbox/faults"
    slow = json.dumps({"path": "/vendors", "delay_seconds": 10}).encode()
    urllib.request.urlopen(urllib.request.Request(address, slow, method="POST")).close()
    process = start(config, tmp_path)

    # By then the loader has received all that came before that stream.
    queries = config.warehouse_folder / "queries.jsonl"
    seen = wait_until(
        lambda: MAKES_THE_LAST_TABLE in queries.read_text(), lambda: process.poll() is None, 120
    )
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    log, _ = process.communicate(timeout=120)

    assert seen, log
    assert process.returncode == 128 + number, log
    assert "zengrc: stopped in" in log
    assert "TAP_ZENGRC.REQUESTS" in log  # committed, and in the table of what arrived
    assert "zengrc-deletes:" not in log
    assert "1 of 2 jobs were not begun" in log
    assert "Traceback" not in log
