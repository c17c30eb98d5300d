"""Rows that would stand twice if they came twice are committed only as far as a state covers."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.errors import LoadError
from snowflake_loader.testing import (
    Load,
    Messages,
    Run,
    lines,
    record,
    schema,
    snapshot,
    start_command,
    state,
    with_hints,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.testing import Warehouse

APPEND = {"load_method": "append-only"}


def ids(warehouse: Warehouse, table: str = "ITEMS") -> list[int]:
    rows = warehouse.query(f'SELECT ID FROM "{warehouse.schema}".{table} ORDER BY ID')
    return [int(row["ID"]) for row in rows]


def records(*numbers: int, stream: str = "items", version: int | None = None) -> Messages:
    return [record(stream, version, id=number, name="a") for number in numbers]


def test_what_no_state_covers_is_left_to_the_next_run(
    warehouse: Warehouse, run_command: Run
) -> None:
    begun = [schema(), *records(1, 2), state(items=2), *records(3, 4)]

    done = run_command(begun, **APPEND)

    assert done.code == 1
    assert "rows of items that no STATE covers" in done.log
    assert "publish_on" in done.log
    assert done.states == [{"bookmarks": {"items": 2}}]
    assert ids(warehouse) == [1, 2]


def test_the_end_of_input_counts_where_it_is_asked_for(warehouse: Warehouse, load: Load) -> None:
    begun = [schema(), *records(1), state(items=1), *records(2)]

    load(begun, publish_on="end_of_input", **APPEND)

    assert ids(warehouse) == [1, 2]


def test_a_tap_without_states_is_committed_at_its_end(warehouse: Warehouse, load: Load) -> None:
    load([schema(), *records(1, 2)], commit_seconds=0, **APPEND)

    assert ids(warehouse) == [1, 2]
    assert loads(warehouse) == [2]


def test_commits_stand_only_where_a_bookmark_has_moved(warehouse: Warehouse, load: Load) -> None:
    """A state that says nothing new would have the rows read again."""
    still: Messages = [state(items=1), *records(2), state(items=1), *records(3), state(items=3)]

    load([schema(), *records(1), *still], commit_seconds=0, **APPEND)

    assert loads(warehouse) == [1, 2]


def test_progress_markers_cover_nothing(warehouse: Warehouse, run_command: Run) -> None:
    marker = {"progress_markers": {"replication_key_value": 2}}

    done = run_command([schema(), *records(1, 2), state(items=marker)], commit_seconds=0, **APPEND)

    assert done.code == 1
    assert ids_or_none(warehouse) == []


def test_all_streams_and_the_state_commit_together(warehouse: Warehouse, load: Load) -> None:
    messages = [
        schema("parents"),
        schema("children"),
        *records(1, stream="parents"),
        *records(10, 11, stream="children"),
        state(parents=1),
        *records(2, stream="parents"),
        state(parents=2),
    ]

    load(messages, commit_seconds=0, state_id="x", state_schema=warehouse.schema, **APPEND)

    transactions = committed(warehouse)
    with_rows = [t for t in transactions if any("COPY INTO" in sql for sql in t)]
    assert all(any("_STATES" in sql for sql in t) for t in with_rows)
    assert any(
        {"PARENTS", "CHILDREN"} <= {name for name in ("PARENTS", "CHILDREN") if name in " ".join(t)}
        for t in with_rows
    )


def test_other_streams_rows_are_there_before_a_state_is(warehouse: Warehouse, load: Load) -> None:
    messages = [
        schema("keyed"),
        schema("plain", keys=[]),
        *records(1, stream="keyed"),
        *records(1, stream="plain"),
        state(keyed=1, plain=1),
        *records(2, stream="plain"),
        state(keyed=1, plain=2),
    ]

    load(messages, commit_seconds=0, state_id="x", state_schema=warehouse.schema)

    stored = warehouse.query(f'SELECT STATE FROM "{warehouse.schema}"._STATES ORDER BY SEQUENCE')
    assert [json.loads(row["STATE"])["bookmarks"]["plain"] for row in stored][-1] == 2
    merged = position(warehouse, "MERGE INTO")
    assert merged < position(warehouse, '"_STATES" ("STATE_ID", ')


def test_a_snapshot_without_a_key_resumes_exactly(warehouse: Warehouse, load: Load) -> None:
    first = [*snapshot(1, whole=False), *records(1, 2, version=1), state(items={"version": 1})]
    with pytest.raises(LoadError, match=r"that items was whole|no STATE covers"):
        load([*unkeyed(first), *records(3, version=1)], commit_seconds=0, load_method="overwrite")

    second = [*snapshot(1, whole=False), *records(3, version=1), snapshot(1)[-1]]
    load(unkeyed(second), load_method="overwrite")

    assert ids(warehouse) == [1, 2, 3]


def test_a_column_that_comes_in_mid_stream_commits_nothing_early(
    warehouse: Warehouse, load: Load
) -> None:
    wider = schema(id="integer", name="string", more="string")

    load([schema(), *records(1), wider, *records(2), state(items=2)], commit_seconds=0, **APPEND)

    assert ids(warehouse) == [1, 2]
    assert loads(warehouse) == [2]


def test_sigterm_commits_up_to_the_last_state(warehouse: Warehouse, tmp_path: Path) -> None:
    config = {**warehouse.config, **APPEND, "commit_seconds": 0}
    process = start_command(config, tmp_path)
    assert process.stdin
    assert process.stdout
    process.stdin.write(lines([schema(), *records(1), state(items=1)]))
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"bookmarks": {"items": 1}}

    process.stdin.write(lines(records(2)))
    process.stdin.flush()
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM, log
    assert ids(warehouse) == [1]


KEPT = {**APPEND, "state_id": "dev:a-to-b"}


def test_a_tap_that_dies_before_its_first_state_is_not_committed(
    warehouse: Warehouse, run_command: Run
) -> None:
    """In a run that goes on with a state, what comes without one will come again."""
    done = run_command([schema(), *records(1, 2)], **KEPT)

    assert done.code == 1
    assert "rows of items that no STATE covers" in done.log
    assert ids_or_none(warehouse) == []


def test_a_state_that_was_there_before_the_row_does_not_cover_it(
    warehouse: Warehouse, load: Load
) -> None:
    with pytest.raises(LoadError, match="no STATE covers"):
        load(
            [schema(), state(items=5), *records(6), state(items=5), *records(7)],
            commit_seconds=0,
            **APPEND,
        )

    assert ids_or_none(warehouse) == []


def test_a_bookmark_of_one_stream_covers_no_other(warehouse: Warehouse, load: Load) -> None:
    messages = [schema(), schema("b"), *records(1), *records(1, stream="b")]
    more = [state(items=1, b=0), *records(2), state(items=2, b=0)]

    with pytest.raises(LoadError, match="rows of items, b that no STATE covers"):
        load([state(items=0, b=0), *messages, *more, *records(3)], commit_seconds=0, **APPEND)

    assert ids_or_none(warehouse) == []


def test_a_bookmark_that_moved_before_the_last_row_covers_it_not(
    warehouse: Warehouse, load: Load
) -> None:
    messages = [schema(), schema("b"), *records(1), *records(1, stream="b"), state(items=1, b=0)]

    with pytest.raises(LoadError, match="no STATE covers"):
        load(
            [state(items=0, b=0), *messages, *records(2), state(items=1, b=1), *records(3)],
            commit_seconds=0,
            **APPEND,
        )

    assert ids_or_none(warehouse) == []


def test_the_mark_survives_many_states(warehouse: Warehouse, run_command: Run) -> None:
    """What is committed when a tap dies, and the state that goes out, belong together."""
    steps = [step for n in range(1, 700) for step in (*records(n), state(items=n))]

    done = run_command([schema(), *steps, *records(700)], **KEPT)

    assert done.code == 1
    committed_ids = ids(warehouse)
    assert committed_ids == list(range(1, len(committed_ids) + 1))
    assert done.states[-1] == {"bookmarks": {"items": committed_ids[-1]}}


def test_dropped_columns_of_a_stream_without_rows_hold_no_state_back(
    warehouse: Warehouse, load: Load
) -> None:
    dropping = with_hints(schema("p"), **{"x-dropped-columns": ["old"]})

    states = load([dropping, schema(), *records(1, 2), state(items=2)], **APPEND)

    assert states == [{"bookmarks": {"items": 2}}]
    assert ids(warehouse) == [1, 2]


def test_a_column_lost_in_mid_stream_commits_nothing_early(
    warehouse: Warehouse, load: Load
) -> None:
    wide = schema(id="integer", name="string", more="string")

    with pytest.raises(LoadError, match="lost the column MORE in mid-stream"):
        load([wide, *records(1), schema(), *records(2), state(items=2)], **APPEND)

    assert ids_or_none(warehouse) == []
    load([wide, *records(1), state(items=1), schema(), *records(2), state(items=2)], **APPEND)
    assert ids(warehouse) == [1, 2]


def test_an_empty_state_is_none(warehouse: Warehouse, load: Load) -> None:
    empty: Messages = [{"type": "STATE", "value": {}}, {"type": "STATE", "value": None}]

    states = load(
        [schema(), *records(1), state(items=1), *empty], state_schema=warehouse.schema, **KEPT
    )

    assert [value["bookmarks"]["items"] for value in states] == [1]
    stored = warehouse.query(f'SELECT STATE FROM "{warehouse.schema}"._STATES')
    assert [json.loads(row["STATE"]) for row in stored] == [{"bookmarks": {"items": 1}}]


def test_a_stream_that_cannot_be_committed_holds_up_nothing_for_ever(run_command: Run) -> None:
    """A snapshot without a version waits for its end, and so does the state that needs it."""
    streams = {"s": {"load_method": "overwrite"}, "items": APPEND}
    begun = [schema("s"), schema(keys=[]), *records(1, stream="s"), *records(1), state(items=1)]

    done = run_command([*begun, *records(2)], streams=streams, commit_seconds=0)

    assert done.code == 1
    assert "items" in done.log


def test_a_schema_change_of_such_a_stream_hangs_no_commit(run_command: Run) -> None:
    streams = {
        "s": {"load_method": "overwrite", "publish_on": "end_of_input"},
        "items": APPEND,
    }
    wider = schema("s", id="integer", name="string", more="string")
    steps = [step for n in range(1, 9) for step in (*records(n), state(items=n))]

    done = run_command(
        [schema("s"), schema(keys=[]), *records(1, stream="s"), wider, *steps],
        streams=streams,
        commit_seconds=0,
    )

    assert done.code == 0, done.log
    assert done.states[-1] == {"bookmarks": {"items": 8}}


def test_dropped_columns_of_a_keyed_stream_hang_no_commit(
    warehouse: Warehouse, run_command: Run
) -> None:
    dropping = with_hints(schema("p"), **{"x-dropped-columns": ["old"]})
    steps = [step for n in range(1, 4) for step in (*records(n), state(items=n))]

    done = run_command(
        [dropping, schema(keys=[]), *steps, *records(1, stream="p"), state(items=4)],
        commit_seconds=0,
        max_connections=1,
    )

    assert done.code == 0, done.log
    assert ids(warehouse) == [1, 2, 3]


# Parts


def unkeyed(messages: Messages) -> Messages:
    return [
        message | {"key_properties": []} if message["type"] == "SCHEMA" else message
        for message in messages
    ]


def ids_or_none(warehouse: Warehouse) -> list[int]:
    tables = warehouse.query(
        "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES "
        f"WHERE TABLE_SCHEMA = '{warehouse.schema}'"
    )
    return ids(warehouse) if "ITEMS" in {row["TABLE_NAME"] for row in tables} else []


def loads(warehouse: Warehouse) -> list[int]:
    """Rows of each commit."""
    rows = warehouse.query(
        f'SELECT ROWS_READ FROM "{warehouse.schema}"._LOADS ORDER BY COMMITTED_AT'
    )
    return [int(row["ROWS_READ"]) for row in rows]


def committed(warehouse: Warehouse) -> list[list[str]]:
    """The statements of each transaction, in their order."""
    found: list[list[str]] = []
    for statement in warehouse.statements():
        sql = str(statement["sql"])
        if sql.startswith("BEGIN"):
            found.append([])
        elif found:
            found[-1].append(sql)
    return found


def position(warehouse: Warehouse, text: str) -> int:
    """Where a text stands first among the statements."""
    statements: list[dict[str, Any]] = warehouse.statements()
    return next(place for place, entry in enumerate(statements) if text in entry["sql"])
