"""`_LOADS` tells what each commit did; `_REJECTED` holds what was set aside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snowflake_loader.testing import Load, Messages, Run, record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("method", ["upsert", "append-only"])
def test_a_commit_on_size_is_as_large_as_was_asked(
    warehouse: Warehouse, run_command: Run, tmp_path: Path, method: str
) -> None:
    """What is uploaded while one is under way counts towards the next."""
    messages: Messages = [schema(id="integer", data="string"), state(items=0)]
    for number in range(40):
        path = tmp_path / f"{number}.parquet"
        texts = [os.urandom(1000).hex() for _ in range(100)]
        ids = [number * 100 + place for place in range(100)]
        pq.write_table(pa.table({"id": ids, "data": texts}), path)
        messages += [
            {
                "type": "BATCH",
                "stream": "items",
                "encoding": {"format": "parquet"},
                "manifest": [path.as_uri()],
            },
            state(items=number + 1),
        ]

    done = run_command(messages, commit_mebibytes=1, load_method=method)

    assert done.code == 0
    *commits, _ = ledger(warehouse)
    assert commits
    assert all(entry["BYTES"] >= 1024 * 1024 for entry in commits)
    assert done.states[-1] == {"bookmarks": {"items": 40}}
