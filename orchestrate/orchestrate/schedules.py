"""The schedules of the project, as Meltano lists them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrate.errors import OrchestrateError

ARGUMENTS = ("--log-level=warning", "schedule", "list", "--format=json")
LOG_LINES_SHOWN = 5


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Attributes:
        cron: Five fields, or None for one that only people start (`@manual`, `@once`).
        env: Its own environment variables; YAML lets them be more than texts.
        job: The Meltano job; for a schedule of a pair of plugins, its own name.
        tasks: What runs, one after the other: `tap-x target-y`, or `utility:command`.
        is_pair: Whether it is of a pair of plugins; then the id of its state is its own name.
    """

    name: str
    cron: str | None
    env: dict[str, Any]
    job: str
    tasks: tuple[str, ...]
    is_pair: bool = False


def of_project(project: Path) -> list[Schedule]:
    """Ask Meltano, which needs a database for it: one that is thrown away.

    Raises:
        OrchestrateError: Meltano refuses, as it does when one schedule names an unknown job
            ("kubernetes.md", section 1).
    """
    with tempfile.TemporaryDirectory(prefix="schedules-") as folder:
        environment = os.environ | {
            "MELTANO_DATABASE_URI": f"sqlite:///{folder}/meltano.db",
            "MELTANO_SYS_DIR_ROOT": folder,
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        done = subprocess.run(
            [meltano_command(), *ARGUMENTS],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        words = "\n".join((done.stderr or done.stdout).splitlines()[-LOG_LINES_SHOWN:])
        raise OrchestrateError(f"Meltano cannot list the schedules of {project}:\n{words}")
    return parse(done.stdout)


def meltano_command() -> str:
    """The Meltano that is installed with this package, else the one on PATH.

    Raises:
        OrchestrateError: There is neither.
    """
    beside = Path(sys.executable).with_name("meltano")
    if found := str(beside) if beside.exists() else shutil.which("meltano"):
        return found
    raise OrchestrateError(
        f"Meltano is neither beside {sys.executable} nor on PATH. Install it in this environment."
    )


def parse(listing: str) -> list[Schedule]:
    """Read the JSON document of `meltano schedule list`; sorted by name."""
    schedules = json.loads(listing)["schedules"]
    found = [_of_job(entry) for entry in schedules["job"]]
    found += [_of_pair(entry) for entry in schedules["elt"]]
    return sorted(found, key=lambda schedule: schedule.name)


def _of_job(entry: dict[str, Any]) -> Schedule:
    tasks = (" ".join(task) if isinstance(task, list) else task for task in entry["job"]["tasks"])
    return Schedule(
        name=str(entry["name"]),
        cron=entry["cron_interval"],
        env=entry["env"] or {},
        job=str(entry["job"]["name"]),
        tasks=tuple(tasks),
    )


def _of_pair(entry: dict[str, Any]) -> Schedule:
    name = str(entry["name"])
    return Schedule(
        name=name,
        cron=entry["cron_interval"],
        env=entry["env"] or {},
        job=name,
        tasks=(f"{entry['extractor']} {entry['loader']}",),
        is_pair=True,
    )
