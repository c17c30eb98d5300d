"""A cluster's node on this machine: manifests' pods run here, against a sandbox of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dotenv
import pytest
import snowflake.connector
import yaml
from orchestrate.annotations import KubernetesAnnotations
from orchestrate.cronjob import PROJECT, cronjob
from orchestrate.kustomize import pod_spec
from snowflake.connector import DictCursor
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from orchestrate import check, kustomize, plugin_files
from sandbox import settings
from sandbox.postgres import Postgres
from sandbox.services import all_services
from sandbox.settings import HOST, Settings, free_port
from sandbox.vendors.server import serve
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrate.grants import Grants
    from orchestrate.plan import PlannedJob
    from starlette.requests import Request

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
IN_THE_IMAGE = ("meltano.yml", "plugins", "manifests", "sandbox/sandbox/seed/internal")
Values = dict[str, dict[str, str]]


@dataclass
class Webhook:
    """What was posted to a webhook; `status` is what it answers."""

    url: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A webhook that listens."""
    hook = Webhook()

    async def receive(request: Request) -> Response:
        hook.posted.append(await request.json())
        return Response(status_code=hook.status)

    app = Starlette(routes=[Route("/services/T0/B0/very-secret-path", receive, methods=["POST"])])
    with serve(app) as url:
        hook.url = f"{url}/services/T0/B0/very-secret-path"
        yield hook


@pytest.fixture(scope="session")
def planned() -> dict[str, PlannedJob]:
    """The CronJobs of this project, by name."""
    return {job.name: job for job in check.planned(ROOT)}


@pytest.fixture(scope="session")
def given(planned: dict[str, PlannedJob]) -> Grants:
    """What is secret in this project, and which pods see it."""
    return check.granted(ROOT, [cronjob(job) for job in planned.values()])


@pytest.fixture(scope="session")
def kustomizer() -> None:
    """What builds overlays; no package brings it, so that tests are skipped where it is missing."""
    if kustomize.command() is None:
        pytest.skip("neither kubectl nor kustomize is installed")


@pytest.fixture(scope="session")
def built(kustomizer: None) -> list[dict[str, Any]]:  # noqa: ARG001 - which skips
    """The overlay for production; not to be changed."""
    return kustomize.build(ROOT, "production")


@dataclass
class Node:
    """Runs pods as the image would: the project in its folder, read-only, as the pod's user.

    It departs from a cluster in these: the project's folder stands elsewhere, so values that begin
    with `/project` are changed; the user may read every file, since Python may be installed where
    others may not look; limits, sidecars and the network policy are not enforced.

    Attributes:
        project: What stands at /project in the image.
        secrets, settings: Secrets and ConfigMaps, by name.
    """

    config: Settings
    project: Path
    secrets: Values
    settings: Values

    def start(self, pod: dict[str, Any], job: str) -> subprocess.Popen[str]:
        """Start a pod's container with exactly its environment, in a process group of its own."""
        container = pod["containers"][0]
        user = pod["securityContext"]["runAsUser"]
        shutil.chown(self.project / "output", user, user)
        return subprocess.Popen(
            [*_as_user(user), *container["args"]],
            cwd=self._moved(container["workingDir"]),
            env=self.environment(container, job),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, pod: dict[str, Any], job: str) -> tuple[int, str]:
        """Run a pod's container to its end; return exit code and log."""
        process = self.start(pod, job)
        log, _ = process.communicate(timeout=600)
        return process.returncode, log

    def load(self, job: PlannedJob) -> tuple[int, str]:
        """Run a CronJob's pod to its end; return how many rows it loaded, and its log."""
        run = f"{job.name}-29401560"
        code, log = self.run(pod_spec(cronjob(job)), run)
        assert code == 0, log
        return sum(row["ROWS_READ"] for row in self.ledger(run, job.schemas)), log

    def secrets_in(self, text: str) -> set[str]:
        """Values of Secrets that stand in a text; some passwords of the sandbox are its name."""
        values = {value for keys in self.secrets.values() for value in keys.values()}
        lines = {line for value in values - {"sandbox"} for line in value.splitlines()}
        return {line for line in lines if line in text}

    def environment(self, container: dict[str, Any], job: str) -> dict[str, str]:
        """The image's PATH and what the manifest says, and nothing else."""
        found = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
        for source in container["envFrom"]:
            found |= self.settings.get(source["configMapRef"]["name"], {})
        for entry in container["env"]:
            value = self._value(entry, job)
            if value is not None:
                found[entry["name"]] = value
        return {name: self._moved(value) for name, value in found.items()}

    def _value(self, entry: dict[str, Any], job: str) -> str | None:
        if "value" in entry:
            return str(entry["value"])
        source = entry["valueFrom"]
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"].endswith("['batch.kubernetes.io/job-name']")
            return job
        reference = source["secretKeyRef"]
        value = self.secrets.get(reference["name"], {}).get(reference["key"])
        assert value is not None or reference["optional"], f"{reference} does not exist"
        return value

    def _moved(self, value: str) -> str:
        return (
            f"{self.project}{value.removeprefix(PROJECT)}" if value.startswith(PROJECT) else value
        )

    def ledger(self, job: str, schemas: tuple[str, ...]) -> list[dict[str, Any]]:
        """The ledger's rows of a run."""
        rows: list[dict[str, Any]] = []
        config = WarehouseService(self.config).config
        with snowflake.connector.connect(**settings.QUICK_FAILURE, **config) as connection:
            for schema in schemas:
                query = f"SELECT * FROM RAW.{schema}._LOADS WHERE RUN_ID = '{job}'"
                rows += connection.cursor(DictCursor).execute(query).fetchall()
        return rows


def _as_user(user: int) -> list[str]:
    capabilities = "-all,+dac_read_search"
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={user}",
        "--clear-groups",
        f"--inh-caps={capabilities}",
        f"--ambient-caps={capabilities}",
        f"--bounding-set={capabilities}",
    ]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node, and a sandbox for its pods; not under pytest's folder, which others may not enter."""
    if os.getuid() != 0:
        pytest.skip("only root may run a pod as the pod's user")
    with tempfile.TemporaryDirectory(prefix="node-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        config = Settings(folder / "sandbox", free_port(), free_port(), free_port(), rows=200)
        services = all_services(config)
        try:
            for service in services:
                service.up()
            yield _node(folder / "project", config)
        finally:
            for service in reversed(services):
                service.server.stop()


def _node(project: Path, config: Settings) -> Node:
    for name in IN_THE_IMAGE:
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target)
    (project / "output").mkdir()
    database = Postgres(config.postgres_folder, config.postgres_port).create_database("meltano")
    secrets, plain = _values(config)
    secrets["meltano-secrets"] = {
        "MELTANO_DATABASE_URI": database.uri.replace("postgresql://", "postgresql+psycopg://")
    }
    return Node(config, project, secrets, plain)


def _values(config: Settings) -> tuple[Values, Values]:
    """The sandbox's values, each in the Secret or ConfigMap that it belongs to."""
    values = _sandbox_values(config)
    secrets: Values = {}
    plain: Values = {}
    for plugin in plugin_files.read(ROOT).plugins.values():
        for variable, secret in plugin.variables().items():
            kind, ending = (secrets, "secrets") if secret else (plain, "settings")
            if variable in values:
                kind.setdefault(f"{plugin.owner.name}-{ending}", {})[variable] = values[variable]
        said = plugin.definition.get("annotations", {}).get("kubernetes")
        database = KubernetesAnnotations.model_validate(said).database if said else None
        if database:
            prefix = database.name.replace("-", "_").upper()
            own = {k: v for k, v in values.items() if k.startswith(prefix)}
            hidden = {k: own.pop(k) for k in database.secret_variables}
            secrets[f"{database.name}-secrets"] = hidden
            plain[f"{database.name}-settings"] = {**own, "PG_PORT": values["PG_PORT"]}
    return secrets, plain


def _sandbox_values(config: Settings) -> dict[str, str]:
    """What `local.env` and the environment `local` say, as the environment variables of `prod`."""
    places = {
        "VENDORS_URL": f"http://{HOST}:{config.vendors_port}",
        "SANDBOX_DIR": str(config.folder),
        "WAREHOUSE_PORT": str(config.warehouse_port),
    }
    values = {k: str(v) for k, v in dotenv.dotenv_values(ROOT / "sandbox/local.env").items()}
    values |= {"PG_PORT": str(config.postgres_port)}
    plugins = plugin_files.read(ROOT).plugins
    environments = yaml.safe_load((ROOT / "meltano.yml").read_text())["environments"]
    local = next(found for found in environments if found["name"] == "local")
    for definitions in local["config"]["plugins"].values():
        for definition in definitions:
            variables = {name: names for name, names, _ in plugins[definition["name"]].settings()}
            for setting, value in definition["config"].items():
                values[variables[setting][0]] = _expanded(str(value), places)
    return values


def _expanded(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"${name}", value)
    return text
