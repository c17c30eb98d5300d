"""The command: its report, its exit code, its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Pair

COMMAND = Path(sys.executable).with_name("tributary")


def both(pair: Pair, name: str, columns: str, *rows: str) -> None:
    """Make the same table on both sides, without a load."""
    statements = [f"CREATE TABLE {name} ({columns})"]
    statements += [f"INSERT INTO {name} VALUES {', '.join(rows)}"] if rows else []
    pair.execute(*statements)
    pair.change("CREATE SCHEMA IF NOT EXISTS {}")
    for statement in statements:
        stored = statement.replace(f" {name} ", f" {{}}.{name.upper()} ")
        pair.change(stored.replace(" bigint", " NUMBER(38,0)").replace(" text", " VARCHAR"))


def test_the_process_shows_a_table_and_ends_with_1_when_rows_differ(pair: Pair) -> None:
    both(pair, "t", "id bigint PRIMARY KEY, name text", "(1, 'a')", "(2, 'b')")
    pair.change("UPDATE {}.T SET NAME = 'c' WHERE ID = 2")

    command = [str(COMMAND), *pair.arguments()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1, done.stderr
    assert "public-t" in done.stdout
    assert "changed: 2" in done.stdout


def test_empty_tables_are_equal_and_an_empty_copy_lacks_every_row(pair: Pair) -> None:
    both(pair, "empty", "id bigint PRIMARY KEY, name text")
    both(pair, "lost", "id bigint PRIMARY KEY, name text", "(1, 'a')", "(2, NULL)")
    both(pair, "kept", "id bigint PRIMARY KEY, name text", "(1, 'a')")
    pair.change("DELETE FROM {}.LOST")
    pair.execute("DELETE FROM kept")

    found, _ = pair.reconcile(code=1)

    counts = {row["table"]: (row["missing"], row["extra"], row["changed"]) for row in found}
    assert counts == {"public-empty": (0, 0, 0), "public-lost": (2, 0, 0), "public-kept": (0, 1, 0)}


def test_a_table_that_one_side_lacks_is_said_and_the_others_are_compared(pair: Pair) -> None:
    both(pair, "here", "id bigint PRIMARY KEY", "(1)")
    pair.execute("CREATE TABLE unloaded (id bigint PRIMARY KEY)")

    found, said = pair.reconcile(code=2)

    assert f"Snowflake has no table RAW.{pair.warehouse.schema}.UNLOADED" in said
    assert [row["table"] for row in found if "missing" in row] == ["public-here"]


def test_a_table_that_the_source_lacks_is_said(pair: Pair) -> None:
    pair.manifest("vanished")

    (found,), said = pair.reconcile(code=2)

    assert "vanished" in said
    assert found["error"] in said


def test_a_key_that_the_copy_has_twice_is_a_difference(pair: Pair) -> None:
    both(pair, "twice", "id bigint PRIMARY KEY, name text", "(1, 'a')", "(2, 'b')")
    pair.change("INSERT INTO {}.TWICE VALUES (2, 'b')")

    (found,), _ = pair.reconcile(code=1)

    assert found["keys"] == {"missing": [], "extra": [], "changed": [["2"]]}


def test_a_number_is_compared_with_all_digits_of_either_side(pair: Pair) -> None:
    """The copy's column may have a scale that the source's has not, a key's too."""
    both(pair, "t", "id bigint PRIMARY KEY, price numeric(9,2)", "(10, 1.25)", "(20, 2.50)")
    pair.change("CREATE OR REPLACE TABLE {}.T (ID NUMBER(38,2), PRICE NUMBER(38,9))")
    pair.change("INSERT INTO {}.T VALUES (10, 1.25), (20, 2.500000001)")

    (found,), _ = pair.reconcile(code=1)

    assert found["keys"] == {"missing": [], "extra": [], "changed": [["20.00"]]}


def test_a_table_that_nobody_has_is_said_with_those_there_are(pair: Pair) -> None:
    both(pair, "here", "id bigint PRIMARY KEY", "(1)")

    _, said = pair.reconcile("--table", "elsewhere", code=2)

    assert "The source has no table elsewhere; there are: public-here." in said
    (found,), _ = pair.reconcile("--table", "PUBLIC.here", code=0)
    assert found["source_rows"] == 1


def test_what_cannot_be_compared_is_said(pair: Pair) -> None:
    both(pair, "keyless", "id bigint", "(1)")
    both(pair, "halves", "id double precision PRIMARY KEY", "(0.5)")
    both(pair, "renamed", "id bigint PRIMARY KEY, name text", "(1, 'a')")
    both(pair, "retyped", "id bigint PRIMARY KEY, name text", "(1, 'a')")
    pair.execute("ALTER TABLE renamed RENAME name TO title")
    pair.execute("ALTER TABLE retyped ALTER name TYPE bytea USING name::bytea")

    _, said = pair.reconcile(code=2)

    assert "keyless has no key" in said
    assert "halves has the key column id of type FLOAT" in said
    assert "RENAMED has no column for title" in said
    assert "column name is loaded as BINARY, but Snowflake has it as VARCHAR" in said
    pair.reconcile("--table", "public.retyped", "--ignore", "NAME", code=0)


def test_no_secret_is_printed(pair: Pair) -> None:
    both(pair, "t", "id bigint PRIMARY KEY", "(1)")
    pair.loader["password"] = "secret-of-the-warehouse"
    found, said = pair.reconcile(code=2)
    pair.loader.clear()
    pair.tap["password"] = "secret-of-the-source"
    more, also_said = pair.reconcile(code=2)

    assert "Snowflake refused logging in" in said
    assert "Could not connect" in also_said
    assert "secret-of" not in json.dumps([found, more]) + said + also_said
