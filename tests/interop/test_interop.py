"""Our tap into somebody else's target, somebody else's tap into our loader: real processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sandbox.postgres import Connection
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
INTEROP_BIN = BIN.parent.with_name(".venv-interop") / "bin"
ROWS = [{"id": n, "name": f"näme\n{n}", "score": n / 4, "tags": ["a", {"b": n}]} for n in range(50)]


def write(path: Path, config: dict[str, Any]) -> str:
    path.write_text(json.dumps(config))
    return str(path)


def pipe(tap: list[str], target: list[str], folder: Path) -> str:
    """Run tap into target; both must succeed. Returns what the target printed."""
    with (folder / "tap.log").open("wb") as log:
        source = subprocess.Popen(tap, stdout=subprocess.PIPE, stderr=log)
        done = subprocess.run(
            target, stdin=source.stdout, capture_output=True, text=True, check=False, cwd=folder
        )
        assert source.wait() == 0, (folder / "tap.log").read_text()
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_our_tap_feeds_a_third_party_target(postgres_database: Connection, tmp_path: Path) -> None:
    with postgres_database.connect() as connection:
        connection.execute("CREATE TABLE ships (id int PRIMARY KEY, name text, at timestamptz)")
        connection.execute(
            "INSERT INTO ships SELECT n, 'ship, \"' || n, now() FROM generate_series(1, 30) n"
        )
    source = {
        key: getattr(postgres_database, key)
        for key in ("host", "port", "user", "password", "database")
    }
    tap = [str(BIN / "tap-postgres"), "--config", write(tmp_path / "tap.json", source)]
    csv_config = {"output_path": str(tmp_path), "file_naming_scheme": "{stream_name}.csv"}
    target = [str(BIN / "target-csv"), "--config", write(tmp_path / "target.json", csv_config)]

    pipe(tap, target, tmp_path)

    with (tmp_path / "public-ships.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((int(row["id"]), row["name"]) for row in rows) == [
        (n, f'ship, "{n}') for n in range(1, 31)
    ]


@pytest.mark.parametrize("compression", [None, "none", "gzip"])
def test_a_third_party_tap_feeds_our_loader(
    warehouse: Warehouse, tmp_path: Path, compression: str | None
) -> None:
    """With RECORD messages, and with BATCH messages of JSONL files, plain and packed."""
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    config: dict[str, Any] = {
        "path": str(source),
        "stream_name": "rows",
        "primary_keys": ["id"],
    }
    if compression:
        files = tmp_path / "files"
        files.mkdir()
        config["batch_config"] = {
            "encoding": {"format": "jsonl", "compression": compression},
            "storage": {"root": files.as_uri()},
            "batch_size": 20,
        }
    tap = [str(INTEROP_BIN / "tap-jsonl"), "--config", write(tmp_path / "tap.json", config)]
    target_config = {**warehouse.config, "work_directory": str(tmp_path)}
    target = [
        str(BIN / "tributary-target-snowflake"),
        "--config",
        write(tmp_path / "target.json", target_config),
    ]

    pipe(tap, target, tmp_path)

    found = warehouse.query(
        f'SELECT ID, NAME, SCORE, TAGS FROM "{warehouse.schema}".ROWS ORDER BY ID'
    )
    assert [
        {
            "id": row["ID"],
            "name": row["NAME"],
            "score": row["SCORE"],
            "tags": json.loads(row["TAGS"]),
        }
        for row in found
    ] == ROWS
