"""The four load methods against a real warehouse stand-in, and when they publish."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.errors import LoadError
from snowflake_loader.testing import (
    Load,
    activate,
    record,
    schema,
    snapshot,
    state,
    with_hints,
)

if TYPE_CHECKING:
    from sandbox.testing import Warehouse


def table(warehouse: Warehouse, name: str = "ITEMS") -> list[tuple[Any, ...]]:
    """Every row of a table as a tuple, sorted."""
    rows = warehouse.query(f'SELECT * FROM "{warehouse.schema}"."{name}"')
    return sorted((tuple(row.values()) for row in rows), key=repr)


def tables(warehouse: Warehouse) -> set[str]:
    rows = warehouse.query(
        "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES "
        f"WHERE TABLE_SCHEMA = '{warehouse.schema}'"
    )
    return {row["TABLE_NAME"] for row in rows}


def test_append_only_adds_every_row_of_every_run(warehouse: Warehouse, load: Load) -> None:
    messages = [schema(), record(id=1, name="a"), record(id=1, name="b")]

    load(messages, load_method="append-only")
    load(messages, load_method="append-only")

    assert table(warehouse) == [(1, "a"), (1, "a"), (1, "b"), (1, "b")]


def test_upsert_keeps_the_last_record_of_a_key(warehouse: Warehouse, load: Load) -> None:
    load([schema(), record(id=1, name="a"), record(id=2, name="b"), record(id=1, name="c")])
    load([schema(), record(id=2, name=None), record(id=3, name="d")])

    assert table(warehouse) == [(1, "c"), (2, None), (3, "d")]


def test_upsert_of_a_key_alone_and_of_several_keys(warehouse: Warehouse, load: Load) -> None:
    pair = {"a": "integer", "b": "string"}
    messages = [schema(keys=["a", "b"], **pair), record(a=1, b="x"), record(a=1, b="x")]

    load([*messages, record(a=1, b="y")])
    load(messages)

    assert table(warehouse) == [(1, "x"), (1, "y")]


def test_without_a_key_an_upsert_appends_and_says_so(
    warehouse: Warehouse, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    load([schema(keys=[]), record(id=1, name="a")])

    assert table(warehouse) == [(1, "a")]
    assert "has no key" in caplog.text


def test_overwrite_replaces_the_table_when_the_tap_has_finished(
    warehouse: Warehouse, load: Load
) -> None:
    load(snapshot(1, {"id": 1, "name": "old"}), load_method="overwrite")
    load(snapshot(2, {"id": 2, "name": "new"}), load_method="overwrite")

    assert table(warehouse) == [(2, "new")]
    assert tables(warehouse) == {"ITEMS", "_LOADS", "_REJECTED"}


def test_an_empty_snapshot_empties_the_table(warehouse: Warehouse, load: Load) -> None:
    load(snapshot(1, {"id": 1, "name": "old"}), load_method="overwrite")
    load(snapshot(2), load_method="overwrite")

    assert table(warehouse) == []


@pytest.mark.parametrize("columns", [{}, {"id": "integer", "name": "string", "doc": "object"}])
def test_a_tap_that_dies_half_way_leaves_the_old_rows(
    warehouse: Warehouse, load: Load, columns: dict[str, Any]
) -> None:
    """Also with a JSON column, whose rows take the way through a helper table."""
    load(snapshot(1, {"id": 1, "name": "old"}, **columns), load_method="overwrite")
    before = table(warehouse)

    with pytest.raises(LoadError, match="items was whole"):
        load(snapshot(2, {"id": 2}, whole=False, **columns), load_method="overwrite")

    assert table(warehouse) == before


def test_a_snapshot_continued_by_a_second_run_is_published_whole(
    warehouse: Warehouse, load: Load
) -> None:
    """The first run's rows wait in the warehouse, so its state may already have gone out."""
    load(snapshot(1, {"id": 0, "name": "old"}), load_method="overwrite")
    first = [*snapshot(2, {"id": 1}, whole=False), state(items={"at": 1})]
    with pytest.raises(LoadError):
        load(first, load_method="overwrite")
    assert table(warehouse) == [(0, "old")]

    load(snapshot(2, {"id": 1, "name": "again"}, {"id": 2}), load_method="overwrite")

    assert [row[0] for row in table(warehouse)] == [1, 2]
    assert tables(warehouse) == {"ITEMS", "_LOADS", "_REJECTED"}


def test_a_snapshot_of_a_new_version_forgets_the_unfinished_one(
    warehouse: Warehouse, load: Load
) -> None:
    with pytest.raises(LoadError):
        load(snapshot(2, {"id": 1}, whole=False), load_method="overwrite")

    load(snapshot(3, {"id": 2}), load_method="overwrite")

    assert [row[0] for row in table(warehouse)] == [2]
    assert tables(warehouse) == {"ITEMS", "_LOADS", "_REJECTED"}


def test_the_marker_before_the_first_record_publishes_nothing(
    warehouse: Warehouse, load: Load
) -> None:
    """The SDK's own taps send only that one, and may die after it."""
    load(snapshot(1, {"id": 1}), load_method="overwrite")

    with pytest.raises(LoadError, match="publish_on"):
        load([schema(), activate(2)], load_method="overwrite")

    assert len(table(warehouse)) == 1


def test_end_of_input_publishes_for_taps_without_markers(warehouse: Warehouse, load: Load) -> None:
    for number in (1, 2):
        load(
            [schema(), record(id=number)],
            load_method="overwrite",
            publish_on="end_of_input",
        )

    assert [row[0] for row in table(warehouse)] == [2]


def test_replace_slice_replaces_only_the_slices_that_came(warehouse: Warehouse, load: Load) -> None:
    columns = {"id": "integer", "day": {"type": "string", "format": "date"}}
    settings = {"load_method": "replace-slice", "slice_column": "day"}
    first = [{"id": 1, "day": "2024-01-01"}, {"id": 2, "day": "2024-01-02"}]

    load(snapshot(1, *first, **columns), **settings)
    load(snapshot(2, {"id": 3, "day": "2024-01-02"}, **columns), **settings)

    assert [(row[0], str(row[1])) for row in table(warehouse)] == [
        (1, "2024-01-01"),
        (3, "2024-01-02"),
    ]
    ledger = warehouse.query(f'SELECT SLICES FROM "{warehouse.schema}"._LOADS ORDER BY VERSION')
    assert [row["SLICES"] for row in ledger] == ['["2024-01-01","2024-01-02"]', '["2024-01-02"]']


def test_several_slices_in_one_run_are_published_one_by_one(
    warehouse: Warehouse, load: Load
) -> None:
    columns = {"id": "integer", "day": "string"}
    settings = {"load_method": "replace-slice", "slice_column": "day"}
    whole = snapshot(1, {"id": 1, "day": "a"}, **columns)[1:]
    cut = snapshot(2, {"id": 2, "day": "b"}, whole=False, **columns)[1:]

    with pytest.raises(LoadError):
        load([schema(**columns), *whole, *cut], **settings)

    assert table(warehouse) == [(1, "a")]


def test_a_slice_without_rows_is_emptied_when_the_tap_names_it(
    warehouse: Warehouse, load: Load
) -> None:
    columns = {"id": "integer", "day": {"type": "string", "format": "date"}}
    settings = {"load_method": "replace-slice", "slice_column": "day"}
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    load(snapshot(1, *({"id": n, "day": day} for n, day in enumerate(days)), **columns), **settings)
    first = [with_hints(schema(**columns), **{"x-slices": days[:1]}), activate(2), activate(2)]
    second = [
        with_hints(schema(**columns), **{"x-slices": days[1:2]}),
        *snapshot(3, {"id": 9, "day": days[1]}, **columns)[1:],
    ]

    load([*first, *second], **settings)

    assert [(row[0], str(row[1])) for row in table(warehouse)] == [(2, days[2]), (9, days[1])]
    ledger = warehouse.query(f'SELECT SLICES FROM "{warehouse.schema}"._LOADS ORDER BY VERSION')
    assert [row["SLICES"] for row in ledger][1:] == ['["2024-01-01"]', '["2024-01-02"]']


def test_a_row_without_a_slice_is_bad(load: Load) -> None:
    columns = {"id": "integer", "day": "string"}

    with pytest.raises(LoadError, match="slice column DAY is missing"):
        load(snapshot(1, {"id": 1}, **columns), load_method="replace-slice", slice_column="day")


def test_a_slice_or_an_order_of_variants_is_refused(load: Load) -> None:
    """A VARIANT is unequal to the text that waits to replace it, so both rows would stay."""
    columns = {"id": "integer", "day": "object"}

    for method, setting in (("replace-slice", "slice_column"), ("upsert", "order_column")):
        with pytest.raises(LoadError, match=f"DAY, which `{setting}` names, as a VARIANT"):
            load(
                snapshot(1, {"id": 1, "day": {}}, **columns), load_method=method, **{setting: "day"}
            )


@pytest.mark.parametrize("method", ["upsert", "append-only"])
def test_a_run_that_resumes_a_version_adds_the_rest_of_it(
    warehouse: Warehouse, load: Load, method: str
) -> None:
    """A tap that resumes a whole table goes on with the version that it began."""
    first = [record(id=i, version=7) for i in range(10)]
    rest = [record(id=i, version=7) for i in range(10, 30)]

    load([schema(id="integer"), activate(7), *first, state(items=9)], load_method=method)
    load([schema(id="integer"), *rest, activate(7), state(items=29)], load_method=method)

    rows = warehouse.query(f'SELECT ID FROM "{warehouse.schema}".ITEMS ORDER BY ID')
    assert [row["ID"] for row in rows] == list(range(30))


def test_each_stream_can_have_settings_of_its_own(warehouse: Warehouse, load: Load) -> None:
    streams = {"a*": {"load_method": "append-only"}, "ab": {"table": "elsewhere"}}

    load([schema("ab"), record("ab", id=1), schema("b"), record("b", id=1)], streams=streams)
    load([schema("ab"), record("ab", id=1), schema("b"), record("b", id=1)], streams=streams)

    assert len(table(warehouse, "ELSEWHERE")) == 2
    assert len(table(warehouse, "B")) == 1


@pytest.mark.parametrize("limit", [1, 2])
def test_streams_are_loaded_at_once_in_as_many_sessions_as_are_allowed(
    warehouse: Warehouse, load: Load, limit: int
) -> None:
    streams = ["a", "b", "c"]

    load(
        [message for name in streams for message in (schema(name), record(name, id=1))],
        max_connections=limit,
    )

    copies = [entry for entry in warehouse.statements() if "COPY INTO" in entry["sql"]]
    assert len(copies) == len(streams)
    assert len({entry["session"] for entry in copies}) == limit


def test_a_file_is_closed_at_the_size_that_is_asked_for(warehouse: Warehouse, load: Load) -> None:
    megabyte = 1_000_000
    rows = [record(id=i, name=os.urandom(megabyte // 2).hex()) for i in range(80)]

    load([schema(), *rows], file_mebibytes=8)

    (entry,) = warehouse.query(f'SELECT FILES, BYTES FROM "{warehouse.schema}"._LOADS')
    assert entry["FILES"] > 1
    assert entry["BYTES"] / entry["FILES"] < 32 * megabyte  # what a batch adds, and one more


def test_two_streams_never_share_a_table(load: Load) -> None:
    with pytest.raises(LoadError, match="would both load table USERS"):
        load([schema("a-users"), schema("b-users")])


def test_commits_in_between_do_not_publish_a_snapshot(warehouse: Warehouse, load: Load) -> None:
    load(snapshot(1, {"id": 0, "name": "old"}), load_method="overwrite")
    rows = [{"id": number, "name": "x" * 50} for number in range(3000)]

    states = load(
        [
            *snapshot(2, *rows[:2000], whole=False),
            state(items={"at": 1}),
            *snapshot(2, *rows[2000:])[2:],
        ],
        load_method="overwrite",
        commit_seconds=0,
    )

    assert len(table(warehouse)) == 3000
    assert states == [{"bookmarks": {"items": {"at": 1}}}]
    ledger = warehouse.query(f'SELECT PUBLISHED FROM "{warehouse.schema}"._LOADS WHERE VERSION = 2')
    assert {row["PUBLISHED"] for row in ledger} == {True, False}


def test_rows_without_a_version_are_kept_back_until_their_snapshot_is_whole(
    warehouse: Warehouse, load: Load
) -> None:
    """A later run could not find them again, so neither they nor their state go out early."""
    begun = [schema(), record(id=1), state(items=1)]

    with pytest.raises(LoadError, match="items was whole"):
        load(begun, load_method="overwrite", commit_seconds=0)

    assert tables(warehouse) == {"ITEMS", "_LOADS", "_REJECTED"}
    assert table(warehouse) == []
    published = load(begun, load_method="overwrite", publish_on="end_of_input", commit_seconds=0)
    assert published == [{"bookmarks": {"items": 1}}]
    assert len(table(warehouse)) == 1
