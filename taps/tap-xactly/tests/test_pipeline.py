"""tap-xactly as a process, and into target-snowflake: the warehouse ends equal to the vendor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Source
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
TABLES = ("xc_credit_adjustment", "xc_credit", "xc_quota_hist", "xc_quota_summary")


def write(source: Source, name: str, content: dict[str, Any]) -> str:
    path = source.folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)


def command(
    source: Source, *tables: str, state: dict[str, Any] | None = None, **settings: Any
) -> list[str]:
    files = {
        "config": source.config("arrow", **settings),
        "catalog": source.catalog(*tables),
        "state": state or {},
    }
    options = [[f"--{name}", write(source, name, content)] for name, content in files.items()]
    return [str(BIN / "tap-xactly"), *(word for option in options for word in option)]


def load(source: Source, warehouse: Warehouse, state: dict[str, Any]) -> dict[str, Any]:
    """Run tap into loader; the state that the loader printed last."""
    tap = subprocess.Popen(command(source, *TABLES, state=state), stdout=subprocess.PIPE)
    config = write(source, "target", {**warehouse.config, "max_connections": 2})
    target = subprocess.run(
        [str(BIN / "tributary-target-snowflake"), "--config", config],
        stdin=tap.stdout, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert tap.wait(60) == 0
    found: dict[str, Any] = json.loads(target.stdout.splitlines()[-1])
    return found


def compare(source: Source, warehouse: Warehouse, table: str) -> None:
    rows = source.vendor.data.rows(table)
    names = list(rows[0])
    loaded = warehouse.query(f"SELECT {', '.join(names)} FROM {warehouse.schema}.{table}")
    found = [
        [v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in row.values()]
        for row in loaded
    ]
    stored = [list(row.values()) for row in rows]
    assert sorted(found, key=lambda r: repr(r[:2])) == sorted(stored, key=lambda r: repr(r[:2]))


def test_the_warehouse_equals_the_vendor(source: Source, warehouse: Warehouse) -> None:
    """After a first run, and after one that met a recalculation, a change and a deleted row."""
    state = load(source, warehouse, {})
    for table in TABLES:
        compare(source, warehouse, table)

    source.vendor.data.run("DELETE FROM xc_credit WHERE CREDIT_ID % 3 = 0")
    source.vendor.data.run("UPDATE xc_quota_summary SET TOTAL_AMOUNT = 12.34")
    source.vendor.data.run(
        "UPDATE xc_credit_adjustment SET AMOUNT = 0.01, MODIFIED_DATE = '2026-03-01 00:00:00'"
        " WHERE CREDIT_ADJUSTMENT_ID = 1"
    )
    load(source, warehouse, state)

    for table in TABLES:
        compare(source, warehouse, table)


def test_sigterm_ends_the_session_in_the_middle_of_a_request(source: Source) -> None:
    """Though the server does not answer; the exit code says that the run was stopped."""
    source.vendor.faults.add(path="/results/", skip=2, delay_seconds=60)
    process = subprocess.Popen(
        command(source, "xc_quota", statement_rows=20, batch_file_rows=20),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    for line in process.stdout:
        if b'"type":"STATE"' in line and b"cursor" in line:
            break

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(20) == 128 + signal.SIGTERM
    assert source.vendor.sessions == {}
