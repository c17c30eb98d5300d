"""In a Meltano project the command needs no settings of its own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from conftest import Pair

SOURCE = {
    "host": "host",
    "port": "port",
    "database": "database",
    "user": "user",
    "pass": "password",
}


def test_settings_come_from_meltano_and_its_env_file(pair: Pair) -> None:
    """The schema is the extractor's load_schema, and the source's log-in stands in .env alone."""
    pair.execute("CREATE TABLE boats (id bigint PRIMARY KEY)", "INSERT INTO boats VALUES (1), (2)")
    pair.manifest("boats", database_type="harbour")
    pair.load()
    pair.change("DELETE FROM {}.HARBOUR_BOATS WHERE ID = 2")
    make_project(pair)

    environment = {**os.environ, "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false"}
    done = subprocess.run(
        ["tributary", "reconcile", "tap-postgres"],
        cwd=pair.folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert "harbour_boats, missing: 2" in done.stdout
    assert "Could" not in done.stderr


def make_project(pair: Pair) -> None:
    """A project with tap and loader; the connections file names variables of `.env`."""
    names = {key: f"HARBOUR_{key.upper()}" for key in SOURCE}
    connections = {"connection_info": {"postgres_source_connection_harbour": names}}
    (pair.folder / "connections.yml").write_text(yaml.safe_dump(connections))
    login = [f"{names[key]}={getattr(pair.source, field)}" for key, field in SOURCE.items()]
    (pair.folder / ".env").write_text("\n".join(login))
    warehouse = {**pair.warehouse.config, "schema": "$MELTANO_EXTRACT__LOAD_SCHEMA"}
    tap = {**pair.tap, "connections": str(pair.folder / "connections.yml"), "load_type": "deletes"}
    project = {
        "version": 1,
        "project_id": "reconcile",
        "plugins": {
            "extractors": [
                plugin("tap-postgres", "tap-postgres", tap) | {"load_schema": pair.warehouse.schema}
            ],
            "loaders": [plugin("target-snowflake", "tributary-target-snowflake", warehouse)],
        },
    }
    (pair.folder / "meltano.yml").write_text(yaml.safe_dump(project))


def plugin(name: str, executable: str, config: dict[str, object]) -> dict[str, object]:
    settings = [
        {"name": key, "kind": "integer"} if isinstance(value, int) else {"name": key}
        for key, value in config.items()
    ]
    namespace = name.replace("-", "_")
    return {
        "name": name, "namespace": namespace, "executable": executable, "settings": settings,
        "config": config,
    }  # fmt: skip
