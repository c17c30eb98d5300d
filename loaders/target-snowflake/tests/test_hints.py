"""What a tap may ask of the loader in its SCHEMA, and what that does to the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.errors import LoadError
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

if TYPE_CHECKING:
    from sandbox.testing import Warehouse

STAMPED = {"id": "integer", "name": "string", "_uploaded_at": "number"}


def table(warehouse: Warehouse, columns: str = "*") -> list[tuple[Any, ...]]:
    rows = warehouse.query(f'SELECT {columns} FROM "{warehouse.schema}".ITEMS ORDER BY 1')
    return [tuple(row.values()) for row in rows]


def ledger(warehouse: Warehouse) -> list[dict[str, Any]]:
    """What each snapshot did."""
    return warehouse.query(
        f'SELECT METHOD, UPDATED, DELETED FROM "{warehouse.schema}"._LOADS'
        " WHERE VERSION IS NOT NULL ORDER BY VERSION"
    )


def hinted(messages: Messages, **hints: Any) -> Messages:
    """The messages, their SCHEMA with hints, whose names are written with _ for -."""
    words = {f"x-{name.replace('_', '-')}": value for name, value in hints.items()}
    return [with_hints(messages[0], **words), *messages[1:]]


def stamped(*rows: tuple[int, str, float], **hints: Any) -> Messages:
    """An upsert of rows with the moment they were read."""
    records = [record(id=i, name=name, _uploaded_at=at) for i, name, at in rows]
    order = {"load_method": "upsert", "order_column": "_uploaded_at"}
    return hinted([schema(**STAMPED), *records], **order | hints)


def keys(version: int, *ids: int, **hints: Any) -> Messages:
    """All keys of a source, for mark-deleted."""
    sent = snapshot(version, *({"id": i} for i in ids), id="integer")
    order = {"load_method": "mark-deleted", "order_column": "_uploaded_at"}
    return hinted(sent, **order | hints)


def test_the_tap_chooses_the_method_and_settings_for_the_stream_win(
    warehouse: Warehouse, load: Load
) -> None:
    rows = hinted([schema(), record(id=1), record(id=1)], load_method="append-only")

    load(rows, load_method="upsert")
    assert len(table(warehouse)) == 2
    load(rows, load_method="append-only", streams={"it*": {"load_method": "upsert"}})
    assert len(table(warehouse)) == 2


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ({"load_method": "replace"}, "load_method replace, but that must be one of"),
        ({"dropped_columns": "name"}, "x-dropped-columns 'name'; it must be a list"),
        ({"max_deleted_share": 3}, "max_deleted_share 3, but that must be a number from 0 to 1"),
        ({"max_deleted_share": "x"}, "max_deleted_share x, but that must be a number from 0 to 1"),
        ({"load_method": "replace-slice"}, "replace-slice but no slice_column"),
        ({"load_method": "upsert", "order_column": "at"}, "has no column AT, which `order_column`"),
        ({"load_method": "mark-deleted"}, "Load the table first"),
        ({"deleted_at_column": 7}, "x-deleted-at-column 7; it must be the name of a column"),
        ({"deleted_at_column": ""}, "x-deleted-at-column ''; it must be the name of a column"),
    ],
)
def test_hints_that_make_no_sense(load: Load, hints: dict[str, Any], said: str) -> None:
    with pytest.raises(LoadError, match=said):
        load(hinted([schema(), activate(1), record(id=1), activate(1)], **hints))


def test_an_older_version_of_a_row_never_replaces_a_newer_one(
    warehouse: Warehouse, load: Load
) -> None:
    """However late it comes: the order is that of reading, not of loading."""
    load(stamped((1, "read at 20", 20), (2, "read at 20", 20), (3, "read at 10", 10)))

    load(stamped((1, "read at 10", 10), (2, "read at 20, again", 20), (3, "read at 11", 11)))

    assert [row[1] for row in table(warehouse)] == ["read at 20", "read at 20, again", "read at 11"]
    load(stamped((4, "newer", 9), (4, "older", 8)))
    assert table(warehouse)[3][1] == "newer"


def test_dropped_columns_go_with_the_first_commit(warehouse: Warehouse, load: Load) -> None:
    """And no state goes out before, even when there is no row."""
    load([schema(id="integer", a="string", b="string"), record(id=1, a="x", b="y")])

    states = load(
        [*hinted([schema(id="integer")], dropped_columns=["a", "never", "id"]), state(n=1)]
    )

    assert states == [{"bookmarks": {"n": 1}}]
    rows = warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')
    assert rows == [{"ID": 1, "B": "y"}]


def test_a_snapshot_drops_columns_when_it_is_published(warehouse: Warehouse, load: Load) -> None:
    """Until then the old table stays as it is, the column included."""
    load([schema(id="integer", a="string"), record(id=1, a="x")])
    begun = hinted(
        snapshot(2, {"id": 2}, whole=False, id="integer"),
        load_method="overwrite",
        dropped_columns=["a"],
    )

    with pytest.raises(LoadError, match="items was whole"):
        load(begun)
    assert table(warehouse) == [(1, "x")]
    load([*begun, activate(2)])

    assert table(warehouse) == [(2,)]


def test_vanished_rows_are_marked_and_those_that_come_back_unmarked(
    warehouse: Warehouse, load: Load
) -> None:
    load(stamped(*((i, f"row {i}", 100.0) for i in range(1, 11))))

    load(keys(200_000, 1, 2, 3, 4, 5, 6, 7, 8, 10))
    marked = "ID, PGP_IS_DELETED, PGP_IS_DELETED_UPDATED_AT IS NOT NULL AS STAMPED"
    after = table(warehouse, marked)
    load(keys(201_000, 1, 2, 3, 4, 5, 6, 7, 8, 9))

    assert [row for row in after if row[1]] == [(9, True, True)]
    assert [row[0] for row in after if not row[2]] == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert [row for row in table(warehouse, marked) if row[2]] == [
        (9, False, True),
        (10, True, True),
    ]
    assert [tuple(row.values()) for row in ledger(warehouse)] == [
        ("mark-deleted", 0, 1),
        ("mark-deleted", 1, 1),
    ]


def test_the_mark_may_be_one_column_of_the_taps_own(warehouse: Warehouse, load: Load) -> None:
    """The moment of the deletion, NULL for rows that are there and for those that come back."""
    load(stamped(*((i, f"row {i}", 100.0) for i in range(1, 11))))
    hint = {"deleted_at_column": "_sdc_deleted_at"}

    load(keys(200_000, *range(1, 9), **hint))
    first = dict(table(warehouse, "ID, _SDC_DELETED_AT"))
    load(keys(201_000, *range(1, 8), 10, **hint))
    second = dict(table(warehouse, "ID, _SDC_DELETED_AT"))

    assert [number for number, at in first.items() if at is not None] == [9, 10]
    assert [number for number, at in second.items() if at is not None] == [8, 9]
    assert second[9] == first[9] < second[8]  # a mark is kept as it is
    assert first[9].tzinfo is not None
    assert "PGP_IS_DELETED" not in warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')[0]
    assert [u["UPDATED"] for u in ledger(warehouse)] == [0, 1]
    assert [u["DELETED"] for u in ledger(warehouse)] == [2, 1]


def test_the_fuse_counts_one_column_as_well(warehouse: Warehouse, load: Load) -> None:
    """Of the rows that are there: of eight, two are more than a fifth."""
    load(stamped(*((i, "row", 100.0) for i in range(1, 11))))
    hint = {"deleted_at_column": "_sdc_deleted_at"}
    load(keys(200_000, *range(1, 9), **hint))

    with pytest.raises(LoadError, match="2 of 8 rows of ITEMS"):
        load(keys(201_000, *range(1, 7), **hint))

    assert len([at for _, at in table(warehouse, "ID, _SDC_DELETED_AT") if at]) == 2


def test_rows_read_after_the_keys_are_left_alone(warehouse: Warehouse, load: Load) -> None:
    """An increment beside it has brought them; they are not in the list of keys yet."""
    load(stamped(*((i, "old", 100.0) for i in range(1, 11)), (11, "new", 300.0)))

    load(keys(200_000, *range(1, 11)))

    assert [row[0] for row in table(warehouse, "ID, PGP_IS_DELETED") if row[1]] == []


@pytest.mark.parametrize("share", [None, 0.3])
def test_the_fuse(warehouse: Warehouse, load: Load, share: float | None) -> None:
    """More than a share of the rows gone is a broken source; nothing is marked."""
    load(stamped(*((i, "row", 100.0) for i in range(1, 11))))
    hints = {} if share is None else {"max_deleted_share": share}

    if share is None:
        with pytest.raises(LoadError, match=r"3 of 10 rows of ITEMS .* max_deleted_share \(0.2\)"):
            load(keys(200_000, *range(1, 8), **hints))
    else:
        load(keys(200_000, *range(1, 8), **hints))

    assert len([row for row in table(warehouse, "ID, PGP_IS_DELETED") if row[1]]) == (
        0 if share is None else 3
    )


def test_marking_needs_a_table(warehouse: Warehouse, load: Load) -> None:
    """It makes none: a table of keys alone would look like one that was loaded."""
    with pytest.raises(LoadError, match="there is no such table"):
        load(keys(200_000, 1))

    assert (
        warehouse.query(
            "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES"
            f" WHERE TABLE_SCHEMA = '{warehouse.schema}' AND TABLE_NAME = 'ITEMS'"
        )
        == []
    )


def test_a_run_that_marks_and_is_killed_is_done_again(warehouse: Warehouse, load: Load) -> None:
    load(stamped(*((i, "row", 100.0) for i in range(1, 11))))
    whole = keys(200_000, *range(1, 10))

    with pytest.raises(LoadError, match="items was whole"):
        load(whole[:-1])
    resumed = with_hints(whole[0], **{"x-resumes": True})
    load([resumed, activate(200_000), activate(200_000)])

    assert [row[0] for row in table(warehouse, "ID, PGP_IS_DELETED") if row[1]] == [10]
