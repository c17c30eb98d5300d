"""Every statement that reaches the warehouse is one that real Snowflake documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlglot
from sqlglot import exp

from snowflake_loader.errors import WarehouseError
from snowflake_loader.testing import (
    Load,
    Messages,
    activate,
    record,
    schema,
    snapshot,
    state,
    with_hints,
)
from snowflake_loader.warehouse import Session

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
    load_with_an_order(load, {"state_id": "dev:a-to-b", "state_schema": warehouse.schema})
    return [entry["sql"] for entry in warehouse.statements()]


def load_with_an_order(load: Load, kept: dict[str, str]) -> None:
    """What an order column, hints of the tap, marks of deletion and stored states lead to."""
    columns = {"id": "integer", "day": "integer", "gone": "string"}
    two_of_a_key = [record("f", id=1, day=1), record("f", id=1, day=2)]
    load([schema("f", **columns), *two_of_a_key, state(f=1)], order_column="day", **kept)

    def snapshot_of_f(version: int, *rows: dict[str, int], **hints: object) -> Messages:
        names = {"id": "integer", "day": "integer"} if "day" in rows[0] else {"id": "integer"}
        sent = [record("f", version=version, **row) for row in rows]
        marked = with_hints(schema("f", **names), **hints)
        return [marked, activate(version, "f"), *sent, activate(version, "f")]

    newer = {"x-keeps-newer": True, "x-dropped-columns": ["gone"]}
    load(
        snapshot_of_f(4, {"id": 3, "day": 1}, **newer), load_method="overwrite", order_column="day"
    )
    emptied = {"x-slices": [7, 8]}
    load(
        snapshot_of_f(5, {"id": 4, "day": 1}, **emptied),
        load_method="replace-slice",
        slice_column="day",
    )
    load(snapshot_of_f(6, {"id": 4}), load_method="mark-deleted", max_deleted_share=1)


def test_what_is_looked_at_is_all_that_is_sent(statements: list[str]) -> None:
    sent = "; ".join(statements)
    for word in (
        "_LOADER_OLD_SEQUENCE", "NOT EXISTS", "DROP COLUMN", "IN (7, 8)", "PGP_IS_DELETED",
        "_STATES", "_LEASES", "_REJECTED", "SET DATA TYPE", "PARSE_JSON", "PUT '", "PURGE",
    ):  # fmt: skip
        assert word in sent, word


def test_every_statement_parses_as_snowflake_sql(statements: list[str]) -> None:
    assert len(statements) > 50
    for text in statements:
        parsed = sqlglot.parse_one(text, dialect="snowflake")
        assert not isinstance(parsed, exp.Command), text


def test_no_statement_uses_what_is_unavailable(statements: list[str]) -> None:
    for text in statements:
        assert not [word for word in UNAVAILABLE if word in text.upper()], text


def test_each_file_has_a_folder_of_its_own(warehouse: Warehouse, load: Load) -> None:
    """A PURGE that fails says nothing; what it left must never be copied once more."""
    more = schema(id="integer", name="string", more="string")

    load([schema(), record(id=1), more, record(id=2)])

    statements = [entry["sql"] for entry in warehouse.statements()]
    folders = [text.split(" FROM ")[1].split()[0] for text in statements if "COPY INTO" in text]
    assert len(set(folders)) == len(folders) == 2


def test_a_copy_that_finds_no_file_is_an_error(
    warehouse: Warehouse, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snowflake calls it a success, in a result of one column."""
    upload = Session.upload
    monkeypatch.setattr(
        Session, "upload", lambda self, path, folder: upload(self, path, f"not_{folder}")
    )

    with pytest.raises(WarehouseError, match="brought 0 of its 1 rows"):
        load([schema(), record(id=1)])

    assert warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS') == []


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
