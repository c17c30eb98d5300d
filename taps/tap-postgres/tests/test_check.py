"""`tap-postgres --check-manifest`: as a command, without and with a database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.many_tables import generate

if TYPE_CHECKING:
    from conftest import Source

TAP = Path(sys.executable).parent / "tap-postgres"

ENTRY = {
    "import_db": "SHOP_DB",
    "export_schema": "shop",
    "export_table_primary_key": "id",
}
SECRET = "pa55word-of-nobody"


def check(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines printed; nothing of it is a traceback or a secret."""
    done = subprocess.run(
        [TAP, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, done.stdout.splitlines()


def manifest(folder: Path, **queries: str) -> str:
    path = folder / "manifest.yml"
    tables = {n: {**ENTRY, "export_table": n, "import_query": q} for n, q in queries.items()}
    path.write_text(yaml.safe_dump({"tables": tables}))
    return str(path)


def config(source: Source, **settings: Any) -> str:
    path = source.folder / "check.json"
    path.write_text(json.dumps(source.config("records", **settings)))
    return str(path)


def test_without_a_database(tmp_path: Path) -> None:
    """Every mistake in the text, at once."""
    good = manifest(tmp_path, boats="SELECT id FROM boats")
    assert check("--check-manifest", good) == (
        0, ["1 tables in 1 manifests: their text was read; 0 problems."],
    )  # fmt: skip

    bad = manifest(tmp_path, boats="SELECT name FROM boats", crews="SELECT (", ports="SELECT {X}")

    code, (line,) = check("--check-manifest", bad)
    assert code == 1
    for table, reason in {"boats": "names id", "crews": "does not parse", "ports": "{X}"}.items():
        assert f"table {table}, key" in line
        assert reason in line


def test_with_a_database(source: Source) -> None:
    """What the server refuses, of all tables, in the form for increments and in the other one."""
    source.execute("CREATE TABLE boats (id int PRIMARY KEY, at timestamptz)")
    path = manifest(
        source.folder,
        boats="SELECT id FROM boats WHERE at > '{BEGIN_TIMESTAMP}'",
        crews="SELECT id FROM crews",
        ports="SELECT id FROM boats WHERE port = 1 AND at > '{BEGIN_TIMESTAMP}'",
    )

    code, lines = check("--check-manifest", path, "--config", config(source))

    assert code == 1
    assert len(lines) == 4
    assert 'relation "crews" does not exist' in lines[0]
    assert "Table ports: planning its query as it is" in lines[1]
    assert "Table ports: planning its query without its interval" in lines[2]
    assert lines[3] == (
        "3 tables in 1 manifests: their queries were planned by the server; 3 problems."
    )


def test_many_tables(source: Source) -> None:
    """Hostile queries included, each one is right; and the tap discovers them all."""
    generated = generate(source.folder, 50)
    source.execute(*generated.statements)

    code, lines = check("--check-manifest", str(generated.path), "--config", config(source))

    assert (code, len(lines)) == (0, 1), lines
    catalog = source.catalog(manifests=[str(generated.path)])
    assert len(catalog["streams"]) == 50


def test_a_server_that_cannot_be_reached(source: Source) -> None:
    settings = config(source, password=SECRET)

    code, lines = check(
        "--check-manifest", manifest(source.folder, boats="SELECT 1 AS id"), "--config", settings
    )

    assert code == 1
    assert "Could not connect" in lines[0]
