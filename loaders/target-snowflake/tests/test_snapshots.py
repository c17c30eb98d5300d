"""Snapshots over two runs, keys sent twice, and states that wait for the publication."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sandbox.process import wait_until
from snowflake_loader.errors import LoadError
from snowflake_loader.testing import (
    Load,
    Messages,
    activate,
    lines,
    record,
    schema,
    snapshot,
    state,
    with_hints,
)

if TYPE_CHECKING:
    from sandbox.testing import Warehouse

COMMAND = Path(sys.executable).with_name("tributary-target-snowflake")
VARIANT = {"type": ["object", "null"]}


def table(warehouse: Warehouse, columns: str = "ID, NAME") -> list[tuple[Any, ...]]:
    rows = warehouse.query(f'SELECT {columns} FROM "{warehouse.schema}".ITEMS ORDER BY 1, 2')
    return [tuple(row.values()) for row in rows]


def batch(folder: Path, version: int | None, **columns: list[Any] | pa.Array) -> dict[str, Any]:
    """A BATCH message with one Parquet file."""
    path = folder / f"{len(list(folder.glob('*.parquet')))}.parquet"
    pq.write_table(pa.table(columns), path)
    return {
        "type": "BATCH",
        "stream": "items",
        "encoding": {"format": "parquet"},
        "manifest": [path.as_uri()],
        "version": version,
    }


@pytest.mark.parametrize("method", ["overwrite", "replace-slice"])
def test_a_snapshot_is_published_once(warehouse: Warehouse, load: Load, method: str) -> None:
    """The state that said so was lost; what the next run sends of it changes nothing."""
    settings = {"load_method": method, "slice_column": "name"}
    whole = snapshot(5, *({"id": i, "name": "a"} for i in range(10)))
    load(whole, **settings)

    states = load(
        [schema(), activate(5), record(version=5, id=9, name="a"), activate(5), state(n=1)],
        **settings,
    )
    nothing_left = load([schema(), activate(5), activate(5), state(n=2)], **settings)

    assert len(table(warehouse)) == 10
    assert (states, nothing_left) == ([{"bookmarks": {"n": 1}}], [{"bookmarks": {"n": 2}}])


def test_rows_of_a_snapshot_that_are_gone(warehouse: Warehouse, load: Load) -> None:
    """The tap goes on after them: publishing the rest alone would lose them."""
    load(snapshot(1, {"id": 1, "name": "old"}), load_method="overwrite")
    rest = snapshot(2, {"id": 3, "name": "new"})

    with pytest.raises(LoadError, match="Remove the stream's bookmark"):
        load([with_hints(rest[0], **{"x-resumes": True}), *rest[1:]], load_method="overwrite")

    assert table(warehouse) == [(1, "old")]


def test_no_state_goes_out_before_the_publication(warehouse: Warehouse, load: Load) -> None:
    """Every row was in the warehouse, waiting; but the table did not have them yet."""
    rows = [{"id": i, "name": "x" * 40} for i in range(3000)]
    begun = [*snapshot(1, *rows, whole=False), state(progress=1)]
    warehouse.fault(fail="DELETE FROM", errno=90073)
    seen: list[Any] = []

    with pytest.raises(LoadError):
        seen = load([*begun, activate(1), state(done=1)], load_method="overwrite", commit_seconds=0)

    assert seen == []
    assert table(warehouse) == []
    warehouse.clear_faults()
    assert load([*begun, activate(1), state(done=1)], load_method="overwrite")[-1] == {
        "bookmarks": {"done": 1}
    }


def test_a_state_waits_for_the_row_that_changed_the_version(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """The row that brings a new version commits those before it, not itself."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**warehouse.config, "work_directory": str(tmp_path)}))
    process = subprocess.Popen(
        [str(COMMAND), "--config", str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin
    messages = [schema(), record(version=1, id=1), record(version=2, id=2), state(last=2)]
    process.stdin.write(lines(messages))
    process.stdin.flush()

    def first_row_is_there() -> bool:
        found = "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{}'"
        names = [r["TABLE_NAME"] for r in warehouse.query(found.format(warehouse.schema))]
        return "ITEMS" in names and bool(table(warehouse))

    wait_until(first_row_is_there, lambda: process.poll() is None)
    process.kill()
    output, _ = process.communicate()

    assert output == ""
    assert [row[0] for row in table(warehouse)] == [1]


@pytest.mark.parametrize("method", ["overwrite", "replace-slice", "upsert"])
@pytest.mark.parametrize("extra", [{}, {"data": VARIANT}], ids=["plain", "variant"])
def test_the_last_row_of_a_key_wins(
    warehouse: Warehouse, load: Load, tmp_path: Path, method: str, extra: dict[str, Any]
) -> None:
    """Whether it came as a record or in a file, and whatever commits lay between."""
    version = None if method == "upsert" else 7
    no_data = {name: pa.nulls(4, pa.string()) for name in extra}
    columns = {"id": "integer", "name": "string", "day": "integer", **extra}
    opened: Messages = [schema(**columns), *([activate(7)] if version else [])]
    closed: Messages = [activate(7)] if version else []
    messages = [
        *opened,
        record(version=version, id=1, name="record 1", day=1),
        record(version=version, id=1, name="record 2", day=1),
        record(version=version, id=2, name="record", day=1),
        batch(
            tmp_path,
            version,
            id=[1, 2, 3, 3],
            name=["file 1"] * 3 + ["twice"],
            day=[1] * 4,
            **no_data,
        ),
        batch(
            tmp_path,
            version,
            id=[2],
            name=["file 2"],
            day=[1],
            **{name: column[:1] for name, column in no_data.items()},
        ),
        record(version=version, id=4, name="record", day=1),
        *closed,
    ]

    load(messages, load_method=method, slice_column="day", commit_seconds=0)

    assert table(warehouse) == [(1, "file 1"), (2, "file 2"), (3, "twice"), (4, "record")]


def test_rows_read_again_replace_those_of_the_run_before(warehouse: Warehouse, load: Load) -> None:
    """A resumed run counts its rows from the beginning; they are the later ones all the same."""
    first = snapshot(3, {"id": 1, "name": "x"}, {"id": 2, "name": "old"}, whole=False)
    with pytest.raises(LoadError, match="items was whole"):
        load(first, load_method="overwrite")

    load(snapshot(3, {"id": 2, "name": "new"}, {"id": 3, "name": "y"}), load_method="overwrite")

    assert table(warehouse) == [(1, "x"), (2, "new"), (3, "y")]


def test_a_key_in_two_files_of_a_big_snapshot(
    warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    """Copied straight into the table nothing tells their order: it is done again, in order."""
    load(snapshot(1, {"id": 1, "name": "old"}), load_method="overwrite")
    files = [
        batch(tmp_path, 2, id=[1, 2], name=["a", "x"]),
        batch(tmp_path, 2, id=[1], name=["b"]),
    ]

    load([schema(), activate(2), *files, activate(2)], load_method="overwrite")

    assert table(warehouse) == [(1, "b"), (2, "x")]
    assert warehouse.query(
        f'SELECT ROWS_READ, INSERTED, DELETED FROM "{warehouse.schema}"._LOADS WHERE VERSION = 2'
    ) == [{"ROWS_READ": 3, "INSERTED": 2, "DELETED": 1}]


def test_within_a_file_the_order_column_counts_too(
    warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    """The newest row of a key wins wherever it stands; no value is older than any."""
    file = batch(
        tmp_path,
        None,
        id=[1, 1, 1, 2, 2, 3],
        name=["newest", "old", "null", "null", "some", "only"],
        day=pa.array([3, 2, None, None, 1, None]),
    )
    columns = {"id": "integer", "name": "string", "day": "integer"}

    load([schema(**columns), file], order_column="day")

    assert table(warehouse) == [(1, "newest"), (2, "some"), (3, "only")]


@pytest.mark.parametrize("extra", [{}, {"data": VARIANT}], ids=["direct", "by a helper"])
@pytest.mark.parametrize("parts", [1, 2], ids=["at once", "in two commits"])
def test_an_overwrite_leaves_what_came_after_it_was_read(
    warehouse: Warehouse, load: Load, extra: dict[str, Any], parts: int
) -> None:
    """A full sync beside the schedule: newer rows stay, older and vanished ones are replaced."""
    columns = {"id": "integer", "name": "string", "day": "integer", **extra}

    def rows(day: int, name: str, *ids: int, version: int | None = None) -> Messages:
        return [record(version=version, id=i, name=name, day=day) for i in ids]

    ordered = {"order_column": "day", "commit_seconds": 300 if parts == 1 else 0}
    load([schema(**columns), *rows(1, "old", 1, 2, 3)], order_column="day")
    load([schema(**columns), *rows(9, "newer", 2, 5)], order_column="day")
    taken = rows(5, "snapshot", 1, 2, 4, version=2)
    marked = with_hints(schema(**columns), **{"x-keeps-newer": True})
    messages = [marked, activate(2), *taken, activate(2)]

    load(messages, load_method="overwrite", **ordered)

    newer = [(2, "newer"), (5, "newer")]
    assert table(warehouse) == sorted([(1, "snapshot"), *newer, (4, "snapshot")])
    last = [activate(3), *rows(3, "last", 7, version=3), activate(3)]
    load([schema(**columns), *last], load_method="overwrite", **ordered)
    assert table(warehouse) == [(7, "last")]


def test_a_key_that_left_its_slice_within_a_snapshot(warehouse: Warehouse, load: Load) -> None:
    """Both slices were sent, so both are replaced, though no row of the first one is left."""
    columns = {"id": "integer", "name": "string", "day": "integer"}
    old = [record(version=1, id=n, name="old", day=n) for n in (1, 2, 3)]
    new = [record(version=2, id=1, name=f"day {n}", day=n) for n in (1, 2)]
    settings = {"load_method": "replace-slice", "slice_column": "day"}
    load([schema(**columns), activate(1), *old, activate(1)], **settings)

    load([schema(**columns), activate(2), *new, activate(2)], **settings)

    assert table(warehouse) == [(1, "day 2"), (3, "old")]


@pytest.mark.parametrize("name", ["_loads", "_rejected", "_staging_items", "_pending_1_items"])
def test_names_the_loader_keeps_for_itself(load: Load, name: str) -> None:
    with pytest.raises(LoadError, match="a name that the loader keeps"):
        load([schema(stream=name), record(stream=name, id=1)])


def test_two_loaders_at_once(warehouse: Warehouse, load: Load, tmp_path: Path) -> None:
    """The schedule and a backfill upsert one table: neither takes the other's rows."""
    load([schema(), record(id=0, name="before")])
    running = []
    for number in range(2):
        path = tmp_path / f"config_{number}.json"
        folder = tmp_path / str(number)
        path.write_text(
            json.dumps({**warehouse.config, "work_directory": str(folder), "commit_seconds": 0})
        )
        rows = [
            record(id=i, name=f"loader {number}")
            for i in range(number * 2000, 2000 + number * 2000)
        ]
        text = tmp_path / f"input_{number}"
        text.write_text(lines([schema(), *rows]))
        with text.open() as given:
            running.append(subprocess.Popen([str(COMMAND), "--config", str(path)], stdin=given))

    assert [process.wait(60) for process in running] == [0, 0]

    found = table(warehouse)
    assert [row[0] for row in found] == list(range(4000))
    assert {row[1] for row in found[:2000]} == {"loader 0"}
    assert {row[1] for row in found[2000:]} == {"loader 1"}
    left = warehouse.query(
        "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES"
        f" WHERE TABLE_SCHEMA = '{warehouse.schema}' ORDER BY 1"
    )
    assert [row["TABLE_NAME"] for row in left] == ["ITEMS", "_LOADS", "_REJECTED"]
