"""tap-oci into target-snowflake, as processes: the warehouse ends equal to the bucket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.oci_reports import COST, FIRST_NUMBER, FOCUS
from sandbox.vendors.oci_rows import FIRST_DAY, compressed

if TYPE_CHECKING:
    from conftest import Oracle
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
COST_TABLE, FOCUS_TABLE = "OCI_COST_REPORT", "FOCUS_REPORT"


@dataclass
class Pipeline:
    """A bucket, a warehouse, and what a scheduler keeps between runs: the last state."""

    oracle: Oracle
    warehouse: Warehouse
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    def run(self, kill_after: int | None = None, **settings: Any) -> tuple[int, int]:
        """Run tap into loader; kill -9 the tap after so many BATCH messages if asked to."""
        storage = {"root": str(self.folder / "batches")}
        batch_config = {"encoding": {"format": "parquet"}, "storage": storage}
        config = {**self.oracle.config, "batch_config": batch_config, **settings}
        command = [str(BIN / "tap-oci"), "--config", self._write("tap", config)]
        command += ["--state", self._write("state", self.state)] if self.state else []
        log = (self.folder / "log").open("wb")
        tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        config = {**self.warehouse.config, "commit_seconds": 0.2}
        target = subprocess.Popen(
            [str(BIN / "tributary-target-snowflake"), "--config", self._write("target", config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert tap.stdout
        assert target.stdin
        for line in tap.stdout:
            target.stdin.write(line)
            target.stdin.flush()
            if kill_after is not None and b'"type":"BATCH"' in line:
                kill_after -= 1
                if kill_after == 0:
                    os.kill(tap.pid, signal.SIGKILL)
        target.stdin.close()
        target.stdin = None
        printed, _ = target.communicate(timeout=120)
        states = [json.loads(line) for line in printed.splitlines()]
        self.state = states[-1] if states else self.state
        return tap.wait(60), target.returncode

    def succeed(self, **settings: Any) -> None:
        codes = self.run(**settings)
        assert codes == (0, 0), (self.folder / "log").read_text()[-3000:]

    def loaded(self, table: str) -> list[dict[str, Any]]:
        rows = self.warehouse.query(
            f"SELECT * FROM {self.warehouse.schema}.{table} ORDER BY FILE_NAME, LINE_NUMBER"
        )
        lower = [{name.lower(): value for name, value in row.items()} for row in rows]
        return self.oracle.compared(table.lower(), lower)

    def in_bucket(self, table: str, prefix: str) -> list[dict[str, Any]]:
        return self.oracle.expected(table.lower(), prefix)

    def _write(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


@pytest.fixture
def pipeline(oracle: Oracle, warehouse: Warehouse, tmp_path: Path) -> Pipeline:
    """With the last four days of reports alone, since each file costs the warehouse some time."""
    for name, stored in list(oracle.vendor.objects.items()):
        if stored.created < FIRST_DAY + timedelta(days=4):
            del oracle.vendor.objects[name]
    return Pipeline(oracle, warehouse, tmp_path)


def test_every_value_arrives_and_changes_replace_themselves(pipeline: Pipeline) -> None:
    """New columns in mid-run and later; files that were written anew, with other or no rows."""
    pipeline.succeed(max_pending_files=3)
    assert pipeline.loaded(COST_TABLE) == pipeline.in_bucket(COST_TABLE, COST)
    assert pipeline.loaded(FOCUS_TABLE) == pipeline.in_bucket(FOCUS_TABLE, FOCUS)

    objects = pipeline.oracle.vendor.objects
    first, second, *_, last = sorted(name for name in objects if name.startswith(COST))
    pipeline.oracle.vendor.put(last, objects[first].body, FIRST_DAY)
    pipeline.oracle.vendor.put(second, compressed(["cost/myCost"], []), FIRST_DAY)
    pipeline.oracle.vendor.add_day(8)
    pipeline.succeed()
    pipeline.state = {}
    pipeline.succeed()

    assert pipeline.loaded(COST_TABLE) == pipeline.in_bucket(COST_TABLE, COST)
    assert pipeline.loaded(FOCUS_TABLE) == pipeline.in_bucket(FOCUS_TABLE, FOCUS)


def test_a_run_that_is_killed_publishes_no_half_report_and_goes_on(pipeline: Pipeline) -> None:
    """What was published is kept and not read again; the rest comes with the next run."""
    settings = {"files_per_publication": 3, "max_pending_files": 2, "usage_prefix": "none/"}
    pipeline.run(kill_after=4 + 4, **settings)

    published = {row["file_name"] for row in pipeline.loaded(COST_TABLE)}
    assert len(published) == 3
    pipeline.oracle.vendor.requests.clear()
    pipeline.succeed(**settings)

    assert not {name.rpartition("/")[2] for name in published} & {
        s.path.rpartition("/")[2] for s in pipeline.oracle.vendor.seen(COST)
    }
    assert pipeline.loaded(COST_TABLE) == pipeline.in_bucket(COST_TABLE, COST)
    assert pipeline.loaded(FOCUS_TABLE) == pipeline.in_bucket(FOCUS_TABLE, FOCUS)


@pytest.mark.parametrize("path", ["/o?", f"{FIRST_NUMBER + 5:016}-00001.csv.gz"])
def test_sigterm_ends_a_wait(pipeline: Pipeline, path: str) -> None:
    """The server may ask for minutes, of which a scheduler would not wait for the end."""
    asked = {"status": 429, "headers": {"Retry-After": "300"}, "body": '{"code": "TooMany"}'}
    pipeline.oracle.vendor.faults.add(path=path, **asked)
    command = [str(BIN / "tap-oci"), "--config", pipeline._write("tap", pipeline.oracle.config)]
    tap = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert tap.stderr
    for line in tap.stderr:
        if b"Trying again in 300 s" in line:
            break

    tap.send_signal(signal.SIGTERM)

    _, log = tap.communicate(timeout=30)
    assert tap.returncode == 128 + signal.SIGTERM, log


def test_sigterm_ends_between_two_blocks(pipeline: Pipeline) -> None:
    """The scheduler sees by the code that the run was stopped; no batch file stays behind."""
    pipeline.oracle.vendor.faults.add(path=COST, skip=3, delay_seconds=1.0)
    config = {**pipeline.oracle.config, "max_parallel_files": 1}
    tap = subprocess.Popen(
        [str(BIN / "tap-oci"), "--config", pipeline._write("tap", config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tap.stdout
    for line in tap.stdout:
        if b'"type":"RECORD","stream":"oci_cost_report"' in line:
            tap.send_signal(signal.SIGTERM)
            break
    tap.stdout.read()
    assert tap.stderr
    log = tap.stderr.read()

    assert tap.wait(30) == 128 + signal.SIGTERM
    assert b"Stopped by SIGTERM" in log
