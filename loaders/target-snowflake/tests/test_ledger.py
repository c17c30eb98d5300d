"""`_LOADS` tells what each commit did; `_REJECTED` holds what was set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snowflake_loader.testing import Load, record, schema, state

if TYPE_CHECKING:
    from sandbox.testing import Warehouse


def ledger(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.query(f'SELECT * FROM "{warehouse.schema}"._LOADS ORDER BY COMMITTED_AT')


def test_a_commit_is_one_row_with_its_counts(warehouse: Warehouse, load: Load) -> None:
    load([schema(), record(id=1), record(id=2), state(items={"to": 2})])
    load([schema(), record(id=2), record(id=3), record(id=3), state(items={"to": 3})])

    first, second = ledger(warehouse)
    assert (first["ROWS_READ"], first["INSERTED"], first["UPDATED"]) == (2, 2, 0)
    assert (second["ROWS_READ"], second["INSERTED"], second["UPDATED"]) == (3, 1, 1)
    assert (second["STREAM"], second["TABLE_NAME"], second["METHOD"]) == (
        "items",
        "ITEMS",
        "upsert",
    )
    assert second["BOOKMARK"] == '{"to": 3}'
    assert second["FILES"] == 1
    assert second["BYTES"] > 0
    assert first["LOAD_ID"] != second["LOAD_ID"]
    assert second["STARTED_AT"] <= second["COMMITTED_AT"]


def test_bad_records_are_set_aside_with_reason_and_payload(
    warehouse: Warehouse, load: Load
) -> None:
    load(
        [schema(), record(id=1), record(id="it's"), record(id=2, other=1), record(name="no key")],
        on_bad_record="quarantine",
    )

    rejected = warehouse.query(f'SELECT * FROM "{warehouse.schema}"._REJECTED ORDER BY REASON')
    assert [row["PAYLOAD"] for row in rejected] == [
        '{"id": "it\'s"}',
        '{"id": 2, "other": 1}',
        '{"name": "no key"}',
    ]
    assert "unknown field `other`" in rejected[1]["REASON"]
    (entry,) = ledger(warehouse)
    assert (entry["ROWS_READ"], entry["INSERTED"], entry["REJECTED"]) == (4, 1, 3)
    assert {row["LOAD_ID"] for row in rejected} == {entry["LOAD_ID"]}


def test_streams_that_bring_nothing_leave_no_entry_but_their_table(
    warehouse: Warehouse, load: Load
) -> None:
    load([schema()])

    assert ledger(warehouse) == []
    assert warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS') == []
