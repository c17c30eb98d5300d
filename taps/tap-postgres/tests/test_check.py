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

    boats = "SELECT name FROM boats WHERE at > '{BEGIN_TIMESTAMP}'"
    bad = manifest(tmp_path, boats=boats, crews="SELECT (", ports="SELECT {X}")

    code, lines = check("--check-manifest", bad)
    assert code == 1
    expected = {"boats": "names id", "crews": "does not parse", "ports": "{X}"}
    for line, (table, reason) in zip(lines, expected.items(), strict=False):
        assert f"table {table}, key" in line
        assert reason in line
    assert lines[3:] == ["3 tables in 1 manifests: their text was read; 3 problems."]


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


def test_what_the_results_columns_and_the_data_show(source: Source) -> None:
    """All that the text and a plan cannot tell, and in one go with what the text tells."""
    source.execute(
        "CREATE TABLE boats (id int PRIMARY KEY, name text)",
        "CREATE TABLE crews (id int, _uploaded_at int, _task_instance text)",
        "CREATE TABLE ports (id int)",
        "INSERT INTO ports VALUES (1), (2), (2)",
        "CREATE VIEW notes AS SELECT id FROM ports",
        "CREATE VIEW locking AS SELECT id FROM boats FOR UPDATE",
    )
    new = "WHERE now() > '{BEGIN_TIMESTAMP}'"
    path = manifest(
        source.folder,
        broken="SELECT (",
        twice="SELECT *, id FROM boats",
        keyless=f"SELECT * FROM (SELECT name FROM boats) AS b {new}",
        stamped="SELECT * FROM crews",
        repeated=f"SELECT * FROM ports {new}",
        viewed=f"SELECT * FROM notes {new}",
        locks="SELECT id FROM boats FOR UPDATE",
        locks_below="SELECT id FROM locking",
        good="SELECT * FROM boats",
        also_good=f"SELECT DISTINCT id FROM ports {new}",
    )

    code, lines = check("--check-manifest", path, "--config", config(source))

    assert code == 1
    said = "\n".join(lines)
    for part in (
        "table broken, key import_query: does not parse",
        "table twice: its import_query selects the column id more than once",
        "table keyless: export_table_primary_key names id, which its import_query does not select",
        "table stamped: its import_query selects _uploaded_at, a name that the tap gives",
        "table repeated: export_table_primary_key is id, but 2 rows have the key (2)",
        "table viewed: export_table_primary_key is id, but 2 rows have the key (2)",
        "table locks, key import_query: locks rows (FOR UPDATE",
        "table locks_below failed: cannot execute SELECT FOR UPDATE in a read-only transaction",
    ):
        assert part in said
    assert "good" not in said
    assert lines[-1].startswith("10 tables in 1 manifests")
    assert lines[-1].endswith("; 8 problems.")


def test_notes_on_copies_without_a_key_are_no_problems(source: Source) -> None:
    """They are loaded all the same."""
    source.execute("CREATE TABLE ports (id int)", "INSERT INTO ports VALUES (1), (1)")
    path = manifest(source.folder, named="SELECT 1 AS x", starred="SELECT * FROM ports")

    text = check("--check-manifest", path)
    database = check("--check-manifest", path, "--config", config(source))

    named = "Table named: export_table_primary_key names id, which import_query does not select."
    assert text[0] == database[0] == 0
    assert text[1][0].startswith(named)
    assert len(text[1]) == 2
    assert database[1][0].startswith(named)
    assert database[1][1].startswith("Table starred: export_table_primary_key is id, which no")
    assert database[1][2].endswith("; 0 problems.")


def test_a_large_table_is_not_read_for_its_key(source: Source) -> None:
    """By the planner's estimate; the check says so."""
    source.execute(
        "CREATE TABLE ports (id int)",
        "INSERT INTO ports SELECT generate_series(1, 1000000)",
        "INSERT INTO ports VALUES (1)",
        "ANALYZE ports",
    )
    query = "SELECT id FROM ports WHERE now() > '{BEGIN_TIMESTAMP}'"
    path = manifest(source.folder, ports=query)

    code, lines = check("--check-manifest", path, "--config", config(source))

    assert code == 0
    assert "Table ports: no unique index proves its key id, and the table is too large" in lines[0]
    assert len(lines) == 2


def test_one_connection_that_is_wrong_is_named_once(source: Source) -> None:
    """And the tables of the other one are looked at."""
    path = source.folder / "manifest.yml"
    tables = {
        name: {
            **ENTRY,
            "export_table": name,
            "import_query": "SELECT 1 AS id",
            "database_type": kind,
        }
        for name, kind in {"a": "main", "b": "main", "c": "ops", "d": None}.items()
    }
    tables["d"]["import_query"] = "SELECT id FROM nowhere"
    path.write_text(yaml.safe_dump({"tables": tables}))
    (source.folder / "connections.yml").write_text("connection_info: {}\n")
    settings = config(source, connections=str(source.folder / "connections.yml"))

    code, lines = check("--check-manifest", str(path), "--config", settings)

    assert code == 1
    assert [line.partition("connection_info ")[2] for line in lines[:2]] == [
        "has no postgres_source_connection_main. Add it.",
        "has no postgres_source_connection_ops. Add it.",
    ]
    assert 'relation "nowhere" does not exist' in lines[2]
    assert len(lines) == 4


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
