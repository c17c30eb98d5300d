"""What is killed: the project's jobs, tables of the catalog, and a small tap for every method."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from dotenv import dotenv_values

from reliability import counting_tap

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
# Less of a source, where all of it takes long: the boundaries are the same.
LESS: dict[str, dict[str, Any]] = {
    "tap-thought-industries": {"end_date": "2026-01-04"},
    "tap-zendesk": {"export_requests_per_minute": 600},
    "tap-oci": {"start_date": "2026-11-24"},
}
REPEATS = ("-scd",)  # jobs of which every run adds one whole copy
LANES = ("records", "batches")
PRIORS = {"postgres-ops-deletes": "postgres-ops-incremental", "zengrc-deletes": "zengrc"}
# Tables that tap-postgres reads by the catalog, and their replication keys when it reads
# increments: one without an index is read by the table's own key at first.
CATALOG_TABLES = {"ci_builds": "updated_at", "ci_stages": "created_at", "label_links": "updated_at"}
PARQUET = {"batch_config": {"encoding": {"format": "parquet"}}}
CATALOG_RANGE_ROWS = 50  # so that a table has several ranges, and a run that died is gone on with


@dataclass(frozen=True)
class Target:
    """A tap with its settings, and the loader's settings for it.

    Attributes:
        name: Of the job, or of the small tap's method.
        lane: `records` or `batches`.
        tap: The tap's command.
        tap_config: Its settings.
        loader_config: The loader's, without the warehouse's.
        catalog: What the tap is given as its catalog, if not its own.
        prior: What is loaded before, undisturbed.
        goes_on: Whether it goes on with the state that `prior` left, and so brings the rest of one
            undisturbed run.
        may_repeat: Whether each run adds one whole copy.
        is_one_snapshot: Whether its tables are replaced as a whole: at any moment they hold what
            was loaded before, or all that is loaded now.
        job: The Meltano job, if it is one.
    """

    name: str
    lane: str
    tap: tuple[str, ...]
    tap_config: Mapping[str, Any]
    loader_config: Mapping[str, Any] = field(default_factory=dict)
    catalog: Mapping[str, Any] | None = None
    prior: Target | None = None
    goes_on: bool = False
    may_repeat: bool = False
    is_one_snapshot: bool = False
    job: str | None = None

    @property
    def label(self) -> str:
        return f"{self.name} ({self.lane})"

    @property
    def is_small(self) -> bool:
        """Whether it is the small tap's."""
        return self.job is None and self.catalog is None


def small_targets() -> list[Target]:
    """The small tap: every method, with a key and without where both are possible."""
    plans = [
        ("append-only", False),
        ("upsert", True),
        ("overwrite", True),
        ("overwrite", False),
        ("replace-slice", True),
        ("replace-slice", False),
        ("mark-deleted", True),
    ]
    own = [_small(method, lane, has_key=has_key) for method, has_key in plans for lane in LANES]
    twins = [_with_twin(_small("append-only", lane, has_key=False)) for lane in LANES]
    versions = [
        _with_version(target)
        for target in own
        if not counting_tap.Plan(**target.tap_config).is_snapshot
    ]
    return [*own, *twins, *versions, *(_resumed(target) for target in versions)]


def _with_twin(target: Target) -> Target:
    config = {**target.tap_config, "has_twin": True}
    return replace(target, name=f"{target.name}, two streams", tap_config=config)


def _with_version(target: Target) -> Target:
    config = {**target.tap_config, "has_version": True}
    return replace(target, name=f"{target.name}, with a version", tap_config=config)


def _resumed(target: Target) -> Target:
    """The target, after a run that left its version unfinished."""
    begun = replace(target, tap_config={**target.tap_config, "until": counting_tap.ROWS_A_STATE})
    return replace(target, name=f"{target.name} that goes on", prior=begun, goes_on=True)


def _small(method: str, lane: str, *, has_key: bool) -> Target:
    config = {"method": method, "has_key": has_key}
    target = Target(
        name=f"counting: {method}{'' if has_key else ', no key'}",
        lane=lane,
        tap=(sys.executable, str(counting_tap.__file__)),
        tap_config=config | ({"batches": None} if lane == "batches" else {}),
        prior=_small("upsert", "records", has_key=True) if method == "mark-deleted" else None,
    )
    if method in {"overwrite", "replace-slice"}:
        older = replace(target, tap_config={**target.tap_config, "text": "older row"})
        return replace(target, prior=older, is_one_snapshot=True)
    return target


def job_targets(variables: Mapping[str, str]) -> list[Target]:
    """Every job of the project, in the lanes that its tap has.

    Args:
        variables: say where the sandbox is; see `sandbox_variables`.
    """
    found: dict[str, list[Target]] = {}
    for path in sorted(ROOT.glob("plugins/*.meltano.yml")):
        for job in yaml.safe_load(path.read_text()).get("jobs", []):
            found[job["name"]] = _lanes(job["name"], str(job["tasks"][0]), variables)
    for name, prior in PRIORS.items():
        found[name] = [replace(target, prior=found[prior][-1]) for target in found[name]]
    return [target for targets in found.values() for target in targets]


def _lanes(job: str, task: str, variables: Mapping[str, str]) -> list[Target]:
    tap, loader = task.split()
    config = _dumped(tap, tuple(sorted(variables.items())))
    config |= next((less for name, less in LESS.items() if tap.startswith(name)), {})
    lanes = LANES if "batch_config" in config else LANES[:1]
    return [
        Target(
            name=job,
            lane=lane,
            tap=(str(BIN / tap.split("--")[0]),),
            tap_config=config if lane == "batches" else _without_batches(config),
            loader_config=_loader_settings(loader),
            may_repeat=job.endswith(REPEATS),
            job=job,
        )
        for lane in lanes
    ]


def catalog_targets(variables: Mapping[str, str]) -> list[Target]:
    """tap-postgres with tables of the catalog, both ways to read them, merged by key.

    Args:
        variables: say where the sandbox is; see `sandbox_variables`.
    """
    config = {
        "host": variables["GITLAB_OPS_DB_HOST"],
        "port": int(variables["PG_PORT"]),
        "user": variables["GITLAB_OPS_DB_USER"],
        "password": variables["GITLAB_OPS_DB_PASS"],
        "database": variables["GITLAB_OPS_DB_NAME"],
        "tables": [f"public.{table}" for table in CATALOG_TABLES],
        "range_rows": CATALOG_RANGE_ROWS,
    }
    catalog = _discovered(config)
    return [
        Target(
            name=f"tap-postgres: {method}",
            lane=lane,
            tap=(str(BIN / "tap-postgres"),),
            tap_config=config if lane == "records" else config | PARQUET,
            catalog=_by_method(catalog, method),
        )
        for method in ("FULL_TABLE", "INCREMENTAL")
        for lane in LANES
    ]


def _discovered(config: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        done = subprocess.run(
            [str(BIN / "tap-postgres"), "--config", file.name, "--discover"],
            capture_output=True,
            check=True,
        )
    catalog: dict[str, Any] = json.loads(done.stdout)
    return catalog


def _by_method(catalog: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The catalog with every stream selected, to be read by this replication method."""
    chosen = copy.deepcopy(dict(catalog))
    for stream in chosen["streams"]:
        column = CATALOG_TABLES[stream["tap_stream_id"].removeprefix("public-")]
        key = {"replication-key": column} if method == "INCREMENTAL" else {}
        (root,) = (entry for entry in stream["metadata"] if not entry["breadcrumb"])
        root["metadata"] |= {"selected": True, "replication-method": method, **key}
        stream |= {name.replace("-", "_"): value for name, value in key.items()}
        stream["replication_method"] = method
    return chosen


def _without_batches(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "batch_config"}


def _loader_settings(loader: str) -> dict[str, Any]:
    """What the project sets for this loader, but the warehouse."""
    for path in ROOT.glob("plugins/*.meltano.yml"):
        loaders = yaml.safe_load(path.read_text()).get("plugins", {}).get("loaders", [])
        for plugin in loaders:
            if plugin["name"] == loader:
                config = {**plugin.get("config", {})}
                config.pop("schema", None)
                return config
    raise LookupError(f"No plugin file has a loader {loader}.")


@cache
def _dumped(tap: str, variables: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The tap's settings as Meltano hands them to it."""
    done = subprocess.run(
        [str(BIN / "meltano"), "invoke", "--dump=config", tap],
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=True,
    )
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def sandbox_variables(ports: Mapping[str, int], folder: Path) -> dict[str, str]:
    """The environment in which Meltano and taps find a sandbox of the matrix's own."""
    given = {name: value or "" for name, value in dotenv_values(ROOT / "sandbox/local.env").items()}
    return given | {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(folder),
        "WAREHOUSE_PORT": str(ports["warehouse"]),
        "PG_PORT": str(ports["postgres"]),
        "VENDORS_URL": f"http://127.0.0.1:{ports['vendors']}",
        "SANDBOX_DIR": str(folder / "sandbox"),
        "TRIBUTARY_SANDBOX_DIR": str(folder / "sandbox"),
        "TRIBUTARY_SANDBOX_ROWS": "400",
        "TRIBUTARY_WAREHOUSE_PORT": str(ports["warehouse"]),
        "TRIBUTARY_POSTGRES_PORT": str(ports["postgres"]),
        "TRIBUTARY_VENDORS_PORT": str(ports["vendors"]),
        "TRIBUTARY_WAREHOUSE_IDLE_TRANSACTION_SECONDS": "2",
        "MELTANO_SYS_DIR_ROOT": str(folder / "meltano"),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONPATH": str(ROOT),
    }
