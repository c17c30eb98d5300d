"""The settings of the tap and of the loader: as Meltano would give them, or from files."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import load_dotenv

from reconcile.errors import ReconcileError

# What says how a load is done, and has no meaning for what is there.
_OF_LOADS = ("load_type", "backfill_from", "backfill_to", "execution_date", "manifest_tables")


@dataclass(frozen=True)
class Settings:
    """What the plugins are configured with.

    Attributes:
        tap: Settings of tap-postgres, without those of a load.
        loader: Settings of target-snowflake, `schema` included.
    """

    tap: dict[str, Any]
    loader: dict[str, Any]


def from_files(tap: Path, loader: Path) -> Settings:
    """Read the settings from JSON files, as the plugins take them with --config.

    Raises:
        ReconcileError: a file cannot be read.
    """
    return _settings(_file(tap), _file(loader))


def from_meltano(extractor: str, loader: str) -> Settings:
    """Ask Meltano, in the project at hand, for what it would run the plugins with.

    The project's `.env` is read as Meltano reads it: the environment stands above it.

    Raises:
        ReconcileError: there is no project, no such plugin, or Meltano refuses.
    """
    load_dotenv(Path.cwd() / ".env")  # the connections file names variables that may be there
    # By itself: on a fresh system database, two that migrate it at once would fail.
    extras = _meltano("config", "print", "--extras", extractor)
    schema = {"MELTANO_EXTRACT__LOAD_SCHEMA": extras.get("_load_schema") or ""}
    with ThreadPoolExecutor() as threads:
        tap = threads.submit(_meltano, "invoke", "--dump=config", extractor)
        target = threads.submit(_meltano, "invoke", "--dump=config", loader, **schema)
    return _settings(tap.result(), target.result())


def _settings(tap: dict[str, Any], loader: dict[str, Any]) -> Settings:
    kept = {name: value for name, value in tap.items() if name not in _OF_LOADS}
    return Settings(kept, loader)


def _file(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise ReconcileError(
            f"The settings in {path} cannot be read: {reason}. Correct the option that names it."
        ) from None
    return found


def _meltano(*arguments: str, **variables: str) -> dict[str, Any]:
    command = ["meltano", "--log-level=error", *arguments]
    try:
        done = subprocess.run(
            command, env=os.environ | variables, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise ReconcileError(
            "The settings come from Meltano, but there is no command meltano. Install it, or name "
            "files with --tap-config and --loader-config."
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        raise ReconcileError(
            f"`{' '.join(command)}` ended with {done.returncode} and said: {said[-1].strip()} "
            "Correct the plugin's name or its settings."
        )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:  # not shown: it may hold a secret
        raise ReconcileError(
            f"`{' '.join(command)}` printed something that is not JSON. Run it to see why."
        ) from None
    return found
