"""Runs the project's Meltano jobs on the sandbox and shows what each stream brought."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snowflake.connector
import yaml
from rich.box import SIMPLE_HEAD
from rich.live import Live
from rich.table import Table
from snowflake.connector.cursor import DictCursor
from snowflake.connector.errors import Error

from sandbox.settings import (
    HOST,
    PASSWORD,
    WAREHOUSE_ACCOUNT,
    WAREHOUSE_DATABASE,
    WAREHOUSE_USER,
    SandboxError,
    Settings,
    project_root,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, JustifyMethod

REFRESH_SECONDS = 0.5
LOG_LINES_SHOWN = 15
LOADS = """
SELECT STREAM, MIN(TABLE_NAME) AS TABLE_NAME,
  SUM(INSERTED + UPDATED + CASE WHEN METHOD = 'mark-deleted' THEN DELETED ELSE 0 END) AS LOADED,
  MIN(STARTED_AT) AS STARTED_AT, MAX(COMMITTED_AT) AS COMMITTED_AT
FROM RAW.{schema}._LOADS WHERE RUN_ID = '{run_id}' GROUP BY STREAM ORDER BY STREAM
"""


@dataclass(frozen=True)
class Job:
    """One Meltano job; its source is the plugin file it stands in."""

    source: str
    name: str
    schema: str

    @property
    def run_id(self) -> str:
        return f"{self.name}-{os.getpid()}"


def jobs(source: str | None) -> list[Job]:
    """Return the jobs of one source, or of all, in the order of the plugin files.

    Raises:
        SandboxError: there is no such source.
    """
    found = [job for path in _plugin_files() for job in _jobs_of(path)]
    chosen = [job for job in found if source in (None, job.source)]
    if not chosen:
        known = ", ".join(sorted({job.source for job in found}))
        raise SandboxError(f"There is no source called {source}; there are: {known}.")
    return chosen


def run(settings: Settings, source: str | None, console: Console) -> bool:
    """Run every job and print the table; say whether all succeeded."""
    chosen = jobs(source)
    failed = []
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        for number, job in enumerate(chosen):
            if log := _run_job(chosen[: number + 1], settings, live):
                failed.append((job, log))
    console.print(_table(chosen, settings))
    for job, log in failed:
        console.print(f"Job {job.name} failed; the end of its log:", style="bold red")
        console.print(log, markup=False, highlight=False)
    return not failed


def _run_job(started: list[Job], settings: Settings, live: Live) -> str | None:
    """Run the last of the jobs while a table shows what has arrived; its log if it failed."""
    job = started[-1]
    with tempfile.NamedTemporaryFile(prefix=f"{job.name}-", suffix=".log") as log:
        process = subprocess.Popen(
            ["meltano", "run", job.name],
            cwd=project_root(),
            env=_environment(job, settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        begun = time.monotonic()
        while process.poll() is None:
            table = _table(started, settings)
            table.caption = f"running {job.name}, {time.monotonic() - begun:.0f} s ..."
            live.update(table)
            time.sleep(REFRESH_SECONDS)
        if process.returncode == 0:
            return None
        return "\n".join(Path(log.name).read_text().splitlines()[-LOG_LINES_SHOWN:])


def _environment(job: Job, settings: Settings) -> dict[str, str]:
    """Point the plugins to this sandbox's ports and give the run a name for the ledger."""
    return os.environ | {
        "WAREHOUSE_PORT": str(settings.warehouse_port),
        "PG_PORT": str(settings.postgres_port),
        "VENDORS_URL": f"http://{HOST}:{settings.vendors_port}",
        "SANDBOX_DIR": str(settings.folder),
        "TARGET_SNOWFLAKE_RUN_ID": job.run_id,
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _plugin_files() -> list[Path]:
    return sorted(project_root().glob("plugins/*.meltano.yml"))


def _jobs_of(path: Path) -> Iterator[Job]:
    content = yaml.safe_load(path.read_text())
    extractors = {e["name"]: e for e in content.get("plugins", {}).get("extractors", [])}
    for job in content.get("jobs", []):
        tap = str(job["tasks"][0]).split()[0]
        yield Job(path.name.partition(".")[0], job["name"], _load_schema(extractors, tap))


def _load_schema(extractors: dict[str, Any], tap: str) -> str:
    extractor = extractors[tap]
    parent = extractor.get("inherit_from")
    return str(extractor.get("load_schema") or _load_schema(extractors, parent))


def _table(started: list[Job], settings: Settings) -> Table:
    table = Table(title="What arrived in the local warehouse", box=SIMPLE_HEAD)
    for heading in ("source", "stream", "rows", "seconds", "rows/s", "table"):
        justify: JustifyMethod = "right" if heading[:3] in ("row", "sec") else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for job in started:
        _add_rows(table, job, settings)
    return table


def _add_rows(table: Table, job: Job, settings: Settings) -> None:
    loads = _loads(job, settings)
    for row in loads:
        loaded = int(row["LOADED"])
        if not loaded:
            continue
        seconds = max((row["COMMITTED_AT"] - row["STARTED_AT"]).total_seconds(), 0.001)
        table.add_row(
            job.source,
            row["STREAM"],
            f"{loaded:,}",
            f"{seconds:.1f}",
            f"{loaded / seconds:,.0f}",
            f"{WAREHOUSE_DATABASE}.{job.schema}.{row['TABLE_NAME']}",
        )
    if unchanged := sum(not row["LOADED"] for row in loads):
        table.add_row(job.source, f"{unchanged} streams", "0", "", "", "nothing new")


def _loads(job: Job, settings: Settings) -> list[dict[str, Any]]:
    """What the ledger says of this run so far; nothing before its first commit."""
    with closing(connect(settings)) as connection, connection.cursor(DictCursor) as cursor:
        try:
            cursor.execute(LOADS.format(schema=job.schema, run_id=job.run_id))
        except Error:
            return []
        return list(cursor.fetchall())


def connect(settings: Settings) -> snowflake.connector.SnowflakeConnection:
    """Log in to the local warehouse."""
    return snowflake.connector.connect(
        account=WAREHOUSE_ACCOUNT,
        user=WAREHOUSE_USER,
        password=PASSWORD,
        host=HOST,
        port=settings.warehouse_port,
        protocol="http",
        database=WAREHOUSE_DATABASE,
        login_timeout=10,
        network_timeout=30,
    )
