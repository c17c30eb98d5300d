"""tap-postgres into target-snowflake, as processes: the warehouse ends equal to the source."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.activity import Writer

if TYPE_CHECKING:
    from sandbox.postgres import Connection
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parent.parent
TABLE = "HARBOUR_BOATS"
CREATE = (
    "CREATE TABLE boats (id bigint PRIMARY KEY, name text, weight numeric(10,2), updated_at"
    " timestamptz NOT NULL DEFAULT clock_timestamp())"
)
FILL = (
    "INSERT INTO boats SELECT i, md5(i::text), i / 4.0, timestamptz '2024-01-01Z'"
    " FROM generate_series({}, {}) i"
)
INTERVAL = "WHERE updated_at BETWEEN '{BEGIN_TIMESTAMP}' AND '{END_TIMESTAMP}'"


@dataclass
class Pipeline:
    """A source, a warehouse, and what a scheduler keeps between runs: the last state."""

    source: Connection
    warehouse: Warehouse
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    def manifest(self, columns: str = "id, name, weight, updated_at", **keys: Any) -> None:
        entry = {
            "import_db": "HARBOUR",
            "export_schema": "TAP_POSTGRES",
            "export_table": "boats",
            "export_table_primary_key": "id",
            "import_query": f"SELECT {columns} FROM boats {INTERVAL}",
        }
        path = self.folder / "manifest.yml"
        path.write_text(yaml.safe_dump({"tables": {"boats": {**entry, **keys}}}))

    def run(self, kill_after: int | None = None, **settings: Any) -> tuple[int, int]:
        """Run tap into loader; kill -9 the tap after so many STATE messages if asked to.

        Takes up the state that the loader printed, and returns both exit codes.
        """
        tap = subprocess.Popen(
            self._tap_command(settings), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        target = subprocess.Popen(
            [
                str(BIN / "tributary-target-snowflake"),
                "--config",
                self._write("target", self._target),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "target.log").open("wb"),
        )
        assert tap.stdout
        assert target.stdin
        for line in tap.stdout:
            target.stdin.write(line)
            target.stdin.flush()
            if kill_after is not None and b'"type":"STATE"' in line:
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
        assert codes == (0, 0), (self.folder / "target.log").read_text()[-3000:]

    def loaded(self, columns: str = "ID, NAME, WEIGHT") -> list[tuple[Any, ...]]:
        rows = self.warehouse.query(
            f"SELECT {columns} FROM {self.warehouse.schema}.{TABLE} ORDER BY 1"
        )
        return [tuple(row.values()) for row in rows]

    def marked(self, tables: list[str]) -> dict[str, int]:
        """How many rows of each table are marked as deleted."""
        count = "SELECT COUNT(*) AS N FROM {}.HARBOUR_{} WHERE PGP_IS_DELETED"
        schema = self.warehouse.schema
        return {
            name: self.warehouse.query(count.format(schema, name.upper()))[0]["N"]
            for name in tables
        }

    def in_source(self, columns: str = "id, name, weight") -> list[tuple[Any, ...]]:
        with self.source.connect() as connection:
            query = f"SELECT {columns} FROM boats ORDER BY 1"
            return [tuple(row) for row in connection.execute(query.encode()).fetchall()]

    def execute(self, *statements: str) -> None:
        with self.source.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @property
    def _target(self) -> dict[str, Any]:
        return {**self.warehouse.config, "commit_seconds": 0.2}

    def _tap_command(self, settings: dict[str, Any]) -> list[str]:
        names = ("host", "port", "user", "password", "database")
        storage = {"root": str(self.folder / "batches")}
        config = {
            **{name: getattr(self.source, name) for name in names},
            "manifests": [str(self.folder / "manifest.yml")],
            "batch_config": {"encoding": {"format": "parquet"}, "storage": storage},
            **settings,
        }
        command = [str(BIN / "tap-postgres"), "--config", self._write("tap", config)]
        return [*command, "--state", self._write("state", self.state)] if self.state else command

    def _write(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


@pytest.fixture
def pipeline(postgres_database: Connection, warehouse: Warehouse, tmp_path: Path) -> Pipeline:
    found = Pipeline(postgres_database, warehouse, tmp_path)
    found.execute(CREATE, FILL.format(1, 2000))
    found.manifest()
    return found


def test_increments_and_deletes_under_a_writer(pipeline: Pipeline) -> None:
    """When the writer rests, one more run of each load makes the warehouse equal the source."""
    deletes = Pipeline(pipeline.source, pipeline.warehouse, pipeline.folder)
    with Writer(pipeline.source, "boats", seed=7) as writer:
        for transactions in (10, 40, 70):
            writer.wait(transactions)
            pipeline.succeed()
            deletes.succeed(load_type="deletes")
    pipeline.succeed()
    deletes.succeed(load_type="deletes")

    assert writer.done.inserted
    assert writer.done.updated
    assert writer.done.deleted
    living = pipeline.warehouse.query(
        f"SELECT ID, NAME, WEIGHT FROM {pipeline.warehouse.schema}.{TABLE}"
        " WHERE NOT COALESCE(PGP_IS_DELETED, FALSE) ORDER BY 1"
    )
    assert [tuple(row.values()) for row in living] == pipeline.in_source()
    dead = pipeline.warehouse.query(
        f"SELECT COUNT(*) AS N, COUNT(PGP_IS_DELETED_UPDATED_AT) AS STAMPED"
        f" FROM {pipeline.warehouse.schema}.{TABLE} WHERE PGP_IS_DELETED"
    )
    assert dead[0]["N"] == dead[0]["STAMPED"] > 0


def test_the_fuse_of_deletes(pipeline: Pipeline) -> None:
    """A source that lost a third of its rows overnight is more likely broken than cleaned up."""
    pipeline.succeed()
    pipeline.execute("DELETE FROM boats WHERE id % 3 = 0")
    deletes = Pipeline(pipeline.source, pipeline.warehouse, pipeline.folder)

    _, code = deletes.run(load_type="deletes")

    assert code == 1
    assert "max_deleted_share" in (pipeline.folder / "target.log").read_text()
    assert len(pipeline.loaded()) == 2000
    columns = pipeline.warehouse.query(f"SELECT * FROM {pipeline.warehouse.schema}.{TABLE} LIMIT 1")
    assert not columns[0].get("PGP_IS_DELETED")
    deletes.succeed(load_type="deletes", max_deleted_share=0.5)


def test_a_table_that_the_loader_refuses_stops_no_other(pipeline: Pipeline) -> None:
    """Ten tables, and the fuse holds one back; its bookmark waits for the run that may go on."""
    names = [f"boats{number}" for number in range(10)]
    for name in names:
        pipeline.execute(CREATE.replace("boats", name), FILL.replace("boats", name).format(1, 100))
    entries = {
        name: {
            "import_db": "HARBOUR",
            "export_schema": "TAP_POSTGRES",
            "export_table": name,
            "export_table_primary_key": "id",
            "import_query": f"SELECT id, name, updated_at FROM {name} {INTERVAL}",
        }
        for name in names
    }
    (pipeline.folder / "manifest.yml").write_text(yaml.safe_dump({"tables": entries}))
    deletes = Pipeline(pipeline.source, pipeline.warehouse, pipeline.folder)
    pipeline.succeed()
    deletes.succeed(load_type="deletes")
    for name in names:
        ids = "id > 50" if name == "boats3" else "id = 1"
        pipeline.execute(f"DELETE FROM {name} WHERE {ids}")

    codes = deletes.run(load_type="deletes")

    assert codes == (0, 1)
    log = (pipeline.folder / "target.log").read_text()
    assert "harbour_boats3: 50 of 100 rows" in log.splitlines()[-1]
    assert pipeline.marked(names) == {name: 0 if name == "boats3" else 1 for name in names}
    deletes.succeed(load_type="deletes", max_deleted_share=0.6)
    assert pipeline.marked(names)["boats3"] == 50


def test_a_full_sync_killed_at_random_moments(pipeline: Pipeline) -> None:
    """The old table stays readable; the new one is whole; no range is read again but the last."""
    pipeline.succeed()
    old = pipeline.loaded()
    pipeline.execute(
        "ALTER TABLE boats ADD flag int", "UPDATE boats SET flag = id % 7, name = 'new'",
        FILL.replace("boats ", "boats (id, name, weight, updated_at) ").format(2001, 5000),
    )  # fmt: skip
    pipeline.manifest("id, name, weight, flag, updated_at")
    moments = random.Random(11)  # noqa: S311 - nothing secret
    for _ in range(5):
        codes = pipeline.run(kill_after=moments.randint(2, 6), range_rows=100, max_parallel=2)
        assert codes[0] == -signal.SIGKILL
        assert pipeline.loaded() == old
    pipeline.succeed(range_rows=100)

    assert pipeline.loaded("ID, NAME, WEIGHT, FLAG") == pipeline.in_source("id, name, weight, flag")
    loads = pipeline.warehouse.query(
        f"SELECT SUM(ROWS_READ) AS N FROM {pipeline.warehouse.schema}._LOADS"
    )
    read = int(loads[0]["N"]) - len(old)
    assert read <= 5000 + 5 * 100


@pytest.mark.parametrize(
    ("change", "columns", "expected"),
    [
        (["ALTER TABLE boats ADD flag int DEFAULT 5"], "id, flag, updated_at", "ID, FLAG"),
        (["ALTER TABLE boats RENAME name TO title"], "id, title, weight, updated_at", "ID, TITLE"),
        ([], "id, weight, updated_at", "ID, WEIGHT"),
        (["ALTER TABLE boats ALTER weight TYPE numeric(14,2)",
          "UPDATE boats SET weight = weight + 1234567890, updated_at = clock_timestamp()"],
         "id, name, weight, updated_at", "ID, WEIGHT"),
    ],
    ids=["added", "renamed", "dropped", "widened"],
)  # fmt: skip
def test_the_warehouse_follows_a_changed_source(
    pipeline: Pipeline, change: list[str], columns: str, expected: str
) -> None:
    """Between two runs; what left the manifest leaves the warehouse."""
    pipeline.succeed()
    pipeline.execute(*change)
    pipeline.manifest(columns)

    pipeline.succeed()
    pipeline.succeed()

    (row, *_) = pipeline.warehouse.query(f"SELECT * FROM {pipeline.warehouse.schema}.{TABLE}")
    assert set(row) == {*columns.upper().split(", "), "_UPLOADED_AT"}
    assert pipeline.loaded(expected) == pipeline.in_source(expected.lower())


def test_a_restored_backup_brings_what_was_written_before_the_last_run(pipeline: Pipeline) -> None:
    """GitLab Ops: each run reads the backup of the night; here one night brought none."""
    plugins = yaml.safe_load((PROJECT / "plugins" / "postgres.meltano.yml").read_text())
    (ops,) = (
        plugin["config"]
        for plugin in plugins["plugins"]["extractors"]
        if plugin["name"] == "tap-postgres--ops-incremental"
    )
    last_but_one = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    pipeline.succeed(**ops)
    pipeline.state["bookmarks"]["harbour_boats"]["end"] = str(last_but_one + dt.timedelta(days=1))
    written = last_but_one - dt.timedelta(minutes=45)  # after the backup that both runs read
    pipeline.execute(f"UPDATE boats SET name = 'new', updated_at = '{written}' WHERE id <= 500")

    pipeline.succeed(**ops)

    assert pipeline.loaded() == pipeline.in_source()


def test_a_backfill_beside_the_schedule(pipeline: Pipeline) -> None:
    """An older version of a row, read again, never replaces a newer one; twice is as once."""
    pipeline.succeed()
    backfill = Pipeline(pipeline.source, pipeline.warehouse, pipeline.folder)
    interval = {"backfill_from": "2023-12-31", "backfill_to": "2024-01-02", "hours": 12}
    regular = pipeline.state

    backfill.succeed(**interval)
    backfill.succeed(**interval)

    assert pipeline.loaded() == pipeline.in_source()
    pipeline.execute("UPDATE boats SET name = 'new', updated_at = clock_timestamp() WHERE id = 7")
    pipeline.succeed()
    assert pipeline.state != regular
    assert pipeline.loaded() == pipeline.in_source()


def test_scd_keeps_every_copy_whole(pipeline: Pipeline) -> None:
    """A run that is killed adds nothing until another has finished what it began."""
    pipeline.manifest(import_query="SELECT id, name, weight, updated_at FROM boats")
    pipeline.succeed()
    pipeline.run(kill_after=3, range_rows=200)
    copies = "SELECT _UPLOADED_AT, COUNT(*) AS N FROM {}.{} GROUP BY 1 ORDER BY 1"
    query = copies.format(pipeline.warehouse.schema, TABLE)
    assert [row["N"] for row in pipeline.warehouse.query(query)] == [2000]

    pipeline.succeed(range_rows=200)
    pipeline.succeed()

    assert [row["N"] for row in pipeline.warehouse.query(query)] == [2000, 2000, 2000]
