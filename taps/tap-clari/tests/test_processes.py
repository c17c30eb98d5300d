"""Tap and loader as processes, one of them killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.testing import Warehouse
    from sandbox.vendors.clari import Clari

JOB = b'"started_at"'  # of a job, in a state
BIN = Path(sys.executable).parent


def written(folder: Path, name: str, content: Any) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)


def start_tap(source: Any, folder: Path, state: Any = None) -> subprocess.Popen[bytes]:
    config = written(folder, "tap", source.config(poll_seconds=0.2))
    command = [str(BIN / "tap-clari"), "--config", config]
    if state:
        command += ["--state", written(folder, "state", state)]
    with (folder / "tap.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)


def start_loader(
    tap: subprocess.Popen[bytes], warehouse: Warehouse, folder: Path
) -> subprocess.Popen[bytes]:
    command = [str(BIN / "tributary-target-snowflake"), "--config"]
    command.append(written(folder, "target", dict(warehouse.config)))
    with (folder / "target.log").open("ab") as log:
        return subprocess.Popen(command, stdin=tap.stdout, stdout=subprocess.PIPE, stderr=log)


def test_both_killed_while_the_job_runs(
    source: Any, clari: Clari, warehouse: Warehouse, tmp_path: Path
) -> None:
    """The loader gave the state on before a row was there; with it the next run polls that job."""
    clari.looks_until_done = 10**6
    tap = start_tap(source, tmp_path)
    loader = start_loader(tap, warehouse, tmp_path)
    assert loader.stdout
    state = json.loads(next(line for line in loader.stdout if JOB in line))
    for process in (tap, loader):
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    clari.looks_until_done = 3

    tap = start_tap(source, tmp_path, state)
    loader = start_loader(tap, warehouse, tmp_path)
    output, _ = loader.communicate(timeout=60)

    assert (tap.wait(30), loader.returncode) == (0, 0), (tmp_path / "target.log").read_text()
    assert source.posts == 1
    final = json.loads(output.splitlines()[-1])
    assert final["bookmarks"]["forecast_exports"] == {"jobs": []}
    counted = f"SELECT COUNT(*) AS N FROM {warehouse.schema}.FORECAST_ENTRIES"
    assert warehouse.query(counted) == [{"N": 27}]
    log = (tmp_path / "tap.log").read_text()
    assert clari.token not in log
    assert "person1@example.com" not in log


def test_sigterm_while_waiting(source: Any, clari: Clari, tmp_path: Path) -> None:
    """It ends at once, with the id in the last state, though the pauses are long by now."""
    clari.looks_until_done = 10**6
    tap = start_tap(source, tmp_path)
    assert tap.stdout
    state = next(line for line in tap.stdout if JOB in line)

    tap.terminate()
    rest, _ = tap.communicate(timeout=30)

    assert tap.returncode == 128 + signal.SIGTERM
    assert json.loads(state)["value"]["bookmarks"]["forecast_exports"]["jobs"]
    assert b"RECORD" not in rest
