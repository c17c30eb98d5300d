"""Runs the project's Meltano jobs on the sandbox, several sources at once."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sandbox import loads
from sandbox.settings import HOST, SandboxError, Settings, project_root
from sandbox.stopping import StopSignals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from sandbox.loads import Load

SOURCES_AT_ONCE = 2
WIDTH_WITHOUT_TERMINAL = 150
LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Job:
    """One Meltano job; its source is the plugin file it stands in."""

    source: str
    name: str
    schema: str

    @property
    def run_id(self) -> str:
        return f"{self.name}-{os.getpid()}"


@dataclass(frozen=True)
class Result:
    """How one job ended: what it loaded, and the end of a failed job's log."""

    job: Job
    loads: list[Load]
    failure: str | None


def jobs(name: str | None) -> list[Job]:
    """Return the jobs of one source, the one job of that name, or all, in the plugin files' order.

    Raises:
        SandboxError: there is no such source or job.
    """
    found = [job for path in _plugin_files() for job in _jobs_of(path)]
    chosen = [job for job in found if name in (None, job.source)]
    chosen = chosen or [job for job in found if name == job.name]
    if not chosen:
        sources = ", ".join(sorted({job.source for job in found}))
        raise SandboxError(
            f"There is no source or job called {name}; the sources are {sources}, and"
            " `meltano job list` shows the jobs."
        )
    return chosen


def run(settings: Settings, name: str | None, console: Console) -> int:
    """Run every job, the jobs of one source in their order; return the exit code.

    After SIGINT or SIGTERM no more are begun; those that run commit what they have received.
    """
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    chosen = jobs(name)
    sources = [list(group) for _, group in groupby(chosen, attrgetter("source"))]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        StopSignals() as stop,
        Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress,
        ThreadPoolExecutor(SOURCES_AT_ONCE) as executor,
    ):
        if len(sources) > 1:
            _prepare_database(progress)
        total = progress.add_task("jobs", total=len(chosen))

        def run_source(group: list[Job]) -> list[Result]:
            results = []
            for job in group:
                if stop.exit_code is not None:
                    break
                results.append(_run_job(job, settings, progress, stop))
                progress.advance(total)
            return results

        results = [result for group in executor.map(run_source, sources) for result in group]
    console.print(loads.table((result.job.source, result.loads) for result in results))
    failed = [result for result in results if result.failure is not None]
    for result in failed:
        console.print(f"Job {result.job.name} failed; the end of its log:", style="bold red")
        console.print(result.failure, markup=False, highlight=False)
    if stop.exit_code is not None:
        left = len(chosen) - len(results)
        console.print(f"Stopped; {left} of {len(chosen)} jobs were not begun. Run again to go on.")
        return stop.exit_code
    return 1 if failed else 0


def _prepare_database(progress: Progress) -> None:
    """Migrate Meltano's system database first: two runs at once would both try, and one fail."""
    task = progress.add_task("preparing Meltano's database", total=None)
    command = ["meltano", "upgrade", "database"]
    done = subprocess.run(
        command,
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # it takes a second, and Ctrl-C must not leave half of it
    )
    if done.returncode:
        raise SandboxError(
            f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}"
        )
    progress.remove_task(task)


def _run_job(job: Job, settings: Settings, progress: Progress, stop: StopSignals) -> Result:
    """Run one job; a line says how it ended."""
    task = progress.add_task(job.name, total=None)
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+", prefix=f"{job.name}-") as log:
        code = stop.run(
            ["meltano", "run", job.name],
            cwd=project_root(),
            env=_environment(job, settings),
            output=log,
            on_stop=lambda: progress.console.print(
                f"{job.name}: stopping once it has committed what it received; "
                "another Ctrl-C kills it"
            ),
        )
        log.seek(0)
        end_of_log = "\n".join(log.read().splitlines()[-LOG_LINES_SHOWN:])
    seconds = time.monotonic() - begun
    outcome = "done" if not code else "failed" if stop.exit_code is None else "stopped"
    failure = end_of_log if outcome == "failed" else None
    result = Result(job, loads.of_run(job.schema, job.run_id, settings), failure)
    rows = sum(load.rows for load in result.loads)
    progress.remove_task(task)
    progress.console.print(
        f"{job.name}: {outcome} in {seconds:.0f} s, {rows:,} rows of {len(result.loads)} streams"
    )
    return result


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
