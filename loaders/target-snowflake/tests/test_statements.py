"""Every statement that reaches the warehouse is one that real Snowflake documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlglot
from sqlglot import exp

from snowflake_loader.testing import Load, record, schema, snapshot

if TYPE_CHECKING:
    from sandbox.testing import Warehouse

# What the stand-in lacks or answers wrongly, or what commits an open transaction.
UNAVAILABLE = (
    "@~",
    "SWAP WITH",
    "REMOVE ",
    "DROP STAGE",
    "PATTERN",
    "INSERT OVERWRITE",
    "TRUNCATE",
)
DDL = (exp.Create, exp.Alter, exp.Drop)


@pytest.fixture
def statements(warehouse: Warehouse, load: Load) -> list[str]:
    """All that the loader sends for every method, column kind and schema change."""
    typed = {"id": "integer", "name": "string", "doc": "object"}
    number = {"type": "number", "x-sql-datatype": "number(5,2)"}
    wider = {"type": "number", "x-sql-datatype": "number(9,2)"}
    load([schema("a"), record("a", id=1)], load_method="append-only")
    load([schema("b", **typed), record("b", id=1, doc={})], load_method="append-only")
    load([schema("c", **typed), record("c", id=1, doc={})], uploaded_at=True)
    load([schema("d", id="integer", n=number), record("d", id=1, n=1.5)])
    load([schema("d", id="integer", n=wider, m="string"), record("d", id=1, n=1.5)])
    load(snapshot(1, {"id": 1}), load_method="overwrite")
    load(snapshot(2, {"id": 1}, **typed), load_method="overwrite")
    load(snapshot(3, {"id": 1, "name": "x"}), load_method="replace-slice", slice_column="name")
    load([schema("e"), record("e", id="it's \\ bad")], on_bad_record="quarantine")
    return [entry["sql"] for entry in warehouse.statements()]


def test_every_statement_parses_as_snowflake_sql(statements: list[str]) -> None:
    assert len(statements) > 50
    for text in statements:
        parsed = sqlglot.parse_one(text, dialect="snowflake")
        assert not isinstance(parsed, exp.Command), text


def test_no_statement_uses_what_is_unavailable(statements: list[str]) -> None:
    for text in statements:
        assert not [word for word in UNAVAILABLE if word in text.upper()], text


def test_no_ddl_runs_inside_a_transaction(warehouse: Warehouse, statements: list[str]) -> None:
    """Snowflake would commit the rows so far without a word."""
    assert statements
    sessions: dict[str, list[str]] = {}
    for entry in warehouse.statements():
        sessions.setdefault(entry["session"], []).append(entry["sql"])
    for session in sessions.values():
        inside = False
        for text in session:
            parsed = sqlglot.parse_one(text, dialect="snowflake")
            assert not (inside and isinstance(parsed, DDL)), text
            if isinstance(parsed, exp.Transaction):
                inside = True
            elif isinstance(parsed, (exp.Commit, exp.Rollback)):
                inside = False
