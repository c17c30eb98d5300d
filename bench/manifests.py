"""The steps of the bench that go through manifests: full sync, increment, many tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import yaml
from measure import measure

from sandbox.many_tables import generate

if TYPE_CHECKING:
    from pathlib import Path

    from run import Bench

FULL_SYNC = "end to end, full sync of a manifest's table"
INCREMENT = "end to end, increment of 1 % of the rows"
DLT_INCREMENT = "dlt, incremental merge of 1 % of the rows"
PLANNED_TABLES, LOADED_TABLES, ROWS_PER_TABLE = 150, 143, 1000
QUERY = (
    "SELECT * FROM bench"
    " WHERE updated_at >= '{BEGIN_TIMESTAMP}' AND updated_at <= '{END_TIMESTAMP}'"
)
CHANGE = (
    "UPDATE bench SET updated_at = clock_timestamp(), status = 'changed' WHERE id % 100 = {round}"
)
ROUNDS = 3  # of increments, by each in turn; the median counts, as one of them varies


def increments(bench: Bench, dlt: list[str], rows: int) -> None:
    """A first load by manifest and by dlt, then what changed since by both in turn.

    Args:
        bench: Where to measure.
        dlt: The peer's command, without its write disposition.
        rows: Rows of the table.
    """
    tap = [*manifest_tap(bench), "--state"]
    states = bench.folder / "states.jsonl"
    loader = {"loader": ["tributary-target-snowflake", "--config", target(bench, "increments")]}
    state = bench.config("state", {})
    bench.run(FULL_SYNC, {"tap": [*tap, state], **loader}, rows, write=states)
    measure("dlt's first load", rows, {"dlt": [*dlt, "merge"]}, folder=bench.folder)
    for number in range(ROUNDS):
        bench.config("state", json.loads(states.read_text().splitlines()[-1]))
        with psycopg.connect(bench.conninfo, autocommit=True) as connection:
            connection.execute(CHANGE.format(round=number).encode())
            connection.execute("VACUUM ANALYZE bench")
        bench.run(INCREMENT, {"tap": [*tap, state], **loader}, rows // 100, write=states)
        bench.run(DLT_INCREMENT, {"dlt": [*dlt, "merge"]}, rows // 100)
    bench.keep_medians(INCREMENT, DLT_INCREMENT)
    (row,) = bench.warehouse.query(
        "SELECT COUNT(*) AS N, COUNT(CASE WHEN STATUS = 'changed' THEN 1 END) AS CHANGED"
        " FROM INCREMENTS.SHOP_BENCH"
    )
    if (row["N"], row["CHANGED"]) != (rows, ROUNDS * rows // 100):
        raise RuntimeError(f"Of {rows} rows and {ROUNDS * rows // 100} changed ones came {row}.")


def many_tables(bench: Bench) -> None:
    """What a table costs: a manifest of many, checked, discovered and loaded."""
    planned = generate(bench.folder, PLANNED_TABLES, ROWS_PER_TABLE)
    with psycopg.connect(bench.conninfo, autocommit=True) as connection:
        for statement in planned.statements:
            connection.execute(statement.encode())
        connection.execute("ANALYZE")
    tap = _tap(bench, planned.path)
    check = [*tap, "--check-manifest", str(planned.path)]
    bench.run(f"check of {PLANNED_TABLES} tables", {"tap": check}, PLANNED_TABLES)
    discover = [*tap, "--discover"]
    bench.run(f"discovery of {PLANNED_TABLES} tables", {"tap": discover}, PLANNED_TABLES)
    loaded = generate(bench.folder, LOADED_TABLES)
    bench.run(
        f"end to end, {LOADED_TABLES} tables of {ROWS_PER_TABLE:,} rows",
        {
            "tap": _tap(bench, loaded.path),
            "loader": ["tributary-target-snowflake", "--config", target(bench, "many")],
        },
        LOADED_TABLES * ROWS_PER_TABLE,
    )


def _manifest(folder: Path) -> Path:
    entry = {
        "import_db": "SHOP",
        "import_query": QUERY,
        "export_schema": "shop",
        "export_table": "bench",
        "export_table_primary_key": "id",
    }
    path = folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": {"bench": entry}}))
    return path


def manifest_tap(bench: Bench) -> list[str]:
    """The tap's command for a manifest with the bench's table."""
    return _tap(bench, _manifest(bench.folder))


def _tap(bench: Bench, manifest: Path) -> list[str]:
    values = {
        **bench.postgres,
        "manifests": [str(manifest)],
        "batch_config": bench.batch_config,
    }
    return ["tap-postgres", "--config", bench.config(f"tap-{manifest.stem}", values)]


def target(bench: Bench, schema: str) -> str:
    """The path of the loader's settings for a schema."""
    values = {**bench.warehouse.config, "schema": schema.upper()}
    return bench.config(f"target-{schema}", values)
