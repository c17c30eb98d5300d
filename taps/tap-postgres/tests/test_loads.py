"""The load types of a manifest's tables, in both lanes: what is sent, and what is remembered."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from singer_sdk.exceptions import ConfigValidationError

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source
    from tapsupport.testing import SyncResult

STREAM = "harbour_boats"
BOATS = (
    "CREATE TABLE boats"
    " (id bigint PRIMARY KEY, name text, weight numeric(6,2), updated_at timestamptz)"
)
ROWS = (
    "INSERT INTO boats SELECT i, 'boat ' || i, i / 4.0, {when}"
    " FROM generate_series({first}, {last}) i"
)
FULL = {"x-load-method": "overwrite", "x-order-column": "_uploaded_at", "x-keeps-newer": True}
LONG_AGO = "timestamptz '2020-01-01Z' + i * interval '1 day'"
QUERY = "SELECT id, name, weight, updated_at FROM boats"
INTERVAL = (
    " WHERE updated_at BETWEEN '{BEGIN_TIMESTAMP}'::timestamptz AND '{END_TIMESTAMP}'::timestamptz"
)


@dataclass(frozen=True)
class Manifest:
    """A source with one manifest, whose tables a test writes."""

    source: Source

    def write(self, **tables: dict[str, Any]) -> None:
        defaults = {
            "import_db": "HARBOUR",
            "export_schema": "TAP_POSTGRES",
            "export_table_primary_key": "id",
        }
        content = {
            name: {**defaults, "export_table": name, **table} for name, table in tables.items()
        }
        path = self.source.folder / "manifest.yml"
        path.write_text(yaml.safe_dump({"tables": content}))

    def boats(self, query: str = QUERY + INTERVAL, **keys: Any) -> None:
        """Write a manifest with the table boats alone."""
        self.write(boats={"import_query": query, **keys})

    def sync(self, lane: str, state: dict[str, Any] | None = None, **settings: Any) -> SyncResult:
        manifests = [str(self.source.folder / "manifest.yml")]
        return self.source.sync(lane, state=state, manifests=manifests, **settings)

    def ids(self, lane: str, result: SyncResult) -> list[int]:
        return sorted(row["id"] for row in self.source.rows(lane, result, STREAM))


@pytest.fixture
def manifest(source: Source) -> Manifest:
    source.execute(BOATS, ROWS.format(when=LONG_AGO, first=1, last=10))
    found = Manifest(source)
    found.boats()
    return found


def hints(result: SyncResult) -> dict[str, Any]:
    """What the SCHEMA message tells the loader beside the columns, of this load in particular."""
    (message,) = result.of_type("SCHEMA", STREAM)
    found = {name: value for name, value in message["schema"].items() if name.startswith("x-")}
    assert found.pop("x-independent")
    return found


def bookmark(result: SyncResult) -> dict[str, Any]:
    found: dict[str, Any] = result.state["bookmarks"][STREAM]
    return found


def test_scd_appends_a_full_copy(manifest: Manifest, lane: str) -> None:
    """Each run is a slice of its own, which a loader can tell by the moment it was taken."""
    manifest.boats(QUERY, advanced_metadata=True)

    first, second = (manifest.sync(lane, task_instance="nightly") for _ in range(2))

    moments = []
    for result in (first, second):
        assert hints(result) == {"x-load-method": "replace-slice", "x-slice-column": "_uploaded_at"}
        assert manifest.ids(lane, result) == list(range(1, 11))
        assert bookmark(result) == {}
        rows = manifest.source.rows(lane, result, STREAM)
        assert {row["_task_instance"] for row in rows} == {"nightly"}
        (moment,) = {row["_uploaded_at"] for row in rows}
        moments.append(float(moment))
        assert moments[-1] == result.of_type("ACTIVATE_VERSION")[0]["version"] / 1000
    assert time.time() - 60 < moments[0] < moments[1] <= time.time()


def test_a_new_table_is_read_whole_then_by_interval(manifest: Manifest, lane: str) -> None:
    """A full sync replaces the table; what it may have missed comes with the next interval."""
    first = manifest.sync(lane)
    assert hints(first) == FULL
    assert len(first.of_type("ACTIVATE_VERSION")) == 2
    assert manifest.ids(lane, first) == list(range(1, 11))

    manifest.source.execute(
        "UPDATE boats SET name = 'renamed', updated_at = now() WHERE id = 3",
        ROWS.format(when="now() - interval '20 minutes'", first=11, last=12),
        ROWS.format(when="now() - interval '40 minutes'", first=13, last=13),
    )
    second = manifest.sync(lane, state=first.state)

    assert hints(second) == {"x-load-method": "upsert", "x-order-column": "_uploaded_at"}
    assert second.of_type("ACTIVATE_VERSION") == []
    assert manifest.ids(lane, second) == [3, 11, 12]
    assert bookmark(second)["end"] > bookmark(first)["end"]
    assert bookmark(second)["columns"] == bookmark(first)["columns"]


def test_long_intervals_are_read_in_pieces(manifest: Manifest, lane: str) -> None:
    """After an outage one run catches up, with a state after each piece, and misses nothing."""
    state = manifest.sync(lane).state
    state["bookmarks"][STREAM]["end"] = "2020-01-01T00:30:00+00:00"
    manifest.source.execute("UPDATE boats SET updated_at = '2020-01-03Z' WHERE id > 8")

    result = manifest.sync(lane, state=state, hours=24, execution_date="2020-01-06T12:00:00+00:00")

    assert set(manifest.ids(lane, result)) == {1, 2, 3, 4, 5, 9, 10}
    ends = [m["value"]["bookmarks"][STREAM]["end"] for m in result.of_type("STATE")[1:]]
    assert list(dict.fromkeys(end[:10] for end in ends)) == [
        f"2020-01-0{day}" for day in range(2, 7)
    ]
    assert bookmark(result)["end"] == "2020-01-06T12:00:00+00:00"


def test_an_interval_of_the_schedule(manifest: Manifest, lane: str) -> None:
    """From so many hours before the execution date; the bookmark never moves back."""
    state = manifest.sync(lane).state

    result = manifest.sync(
        lane, state=state, hours=72, interval_from="schedule", execution_date="2020-01-06"
    )

    assert manifest.ids(lane, result) == [2, 3, 4, 5]
    assert bookmark(result) == state["bookmarks"][STREAM]


def test_an_interval_that_ends_before_it_begins(manifest: Manifest, lane: str) -> None:
    """The source is older than what was loaded before: better no load than a hole."""
    state = manifest.sync(lane).state

    with pytest.raises(TapError, match=r"the interval would begin at .* and end at 2020-01-06"):
        manifest.sync(lane, state=state, execution_date="2020-01-06")


def test_a_manifest_may_ask_to_append(manifest: Manifest, lane: str) -> None:
    """Then no row is merged, and no order is needed."""
    manifest.boats(load_method="append-only")
    state = manifest.sync(lane).state

    assert hints(manifest.sync(lane, state=state)) == {"x-load-method": "append-only"}


def test_what_is_appended_comes_once(manifest: Manifest, lane: str) -> None:
    """Runs and pieces follow each other without an overlap; an interval is not read again."""
    manifest.boats(load_method="append-only")
    state = manifest.sync(lane).state
    state["bookmarks"][STREAM]["end"] = "2020-01-05T00:00:00+00:00"
    new = "INSERT INTO boats (id, name, updated_at) VALUES ({}, 'new', '{}')"
    for number, when in enumerate(("2020-01-05T06:00Z", "2020-01-05T12:00Z", "2020-01-06T12:00Z")):
        manifest.source.execute(new.format(100 + number, when))

    second = manifest.sync(lane, state=state, execution_date="2020-01-06", hours=6)
    third = manifest.sync(lane, state=second.state, execution_date="2020-01-07", hours=6)

    found = manifest.ids(lane, second) + manifest.ids(lane, third)
    assert [number for number in found if number >= 100] == [100, 101, 102]
    with pytest.raises(TapError, match="would be there twice"):
        manifest.sync(lane, backfill_from="2020-01-01", backfill_to="2020-01-02")


def test_a_moment_in_the_rows_is_the_runs(manifest: Manifest, lane: str) -> None:
    """A time placeholder that is no condition is the run's own, in a full sync too."""
    manifest.boats(QUERY.replace("name", "'{EXECUTION_DATE}'::timestamptz AS name") + INTERVAL)

    result = manifest.sync(lane, execution_date="2020-01-05T03:00:00Z")

    assert {
        str(row["name"])[:13].replace("T", " ")
        for row in manifest.source.rows(lane, result, STREAM)
    } == {"2020-01-05 03"}


@pytest.mark.parametrize(
    "setting", [{"hours": 0}, {"max_parallel": 0}, {"max_deleted_share": 5}, {"range_rows": -1}]
)
def test_settings_out_of_their_range(manifest: Manifest, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigValidationError):
        manifest.sync("records", **setting)


@pytest.mark.parametrize(
    ("change", "query"),
    [
        ("ALTER TABLE boats ADD flag text", QUERY.replace("name", "name, flag") + INTERVAL),
        ("SELECT", QUERY.replace("name", "name AS title") + INTERVAL),
        ("ALTER TABLE boats ALTER weight TYPE float8", QUERY + INTERVAL),
    ],
    ids=["added", "renamed", "another type"],
)
def test_a_changed_table_is_read_whole(
    manifest: Manifest, lane: str, change: str, query: str
) -> None:
    """Its new values stand in rows that no interval brings."""
    state = manifest.sync(lane).state
    manifest.source.execute(change)
    manifest.boats(query)

    result = manifest.sync(lane, state=state)

    assert hints(result)["x-load-method"] == "overwrite"
    assert hints(result).get("x-dropped-columns") == (["name"] if "title" in query else None)
    assert manifest.ids(lane, result) == list(range(1, 11))
    again = manifest.sync(lane, state=result.state)
    assert hints(again) == {"x-load-method": "upsert", "x-order-column": "_uploaded_at"}


@pytest.mark.parametrize(
    ("change", "query", "dropped"),
    [
        ("SELECT", QUERY.replace("name, ", "") + INTERVAL, ["name"]),
        ("ALTER TABLE boats ALTER weight TYPE numeric(9,3)", QUERY + INTERVAL, None),
        ("ALTER TABLE boats ALTER id TYPE int", QUERY + INTERVAL, None),
    ],
    ids=["dropped", "widened", "the same downstream"],
)
def test_a_change_that_needs_no_full_sync(
    manifest: Manifest, lane: str, change: str, query: str, dropped: list[str] | None
) -> None:
    """The loader drops the column, or widens it."""
    state = manifest.sync(lane).state
    manifest.source.execute(change)
    manifest.boats(query)

    result = manifest.sync(lane, state=state)

    assert hints(result)["x-load-method"] == "upsert"
    assert hints(result).get("x-dropped-columns") == dropped
    assert "x-dropped-columns" not in hints(manifest.sync(lane, state=result.state))


def test_a_dropped_column_is_not_forgotten_by_a_full_sync_in_two_runs(
    manifest: Manifest, lane: str
) -> None:
    """The second run still knows what the first one found."""
    state = manifest.sync(lane).state
    manifest.boats(QUERY.replace("name", "name AS title") + INTERVAL)
    result = manifest.sync(lane, state=state, range_rows=4, max_parallel=1)
    half_way = next(m["value"] for m in result.of_type("STATE")[1:])
    assert half_way["bookmarks"][STREAM]["range"]["after"] == ["4"]

    resumed = manifest.sync(lane, state=half_way, range_rows=4)

    assert hints(resumed) == {**FULL, "x-dropped-columns": ["name"]}
    assert manifest.ids(lane, resumed) == list(range(5, 11))
    assert bookmark(resumed)["end"] == half_way["bookmarks"][STREAM]["end"]
    assert set(bookmark(resumed)) == {"columns", "end"}


def test_a_full_sync_is_not_resumed_after_a_day(manifest: Manifest, lane: str) -> None:
    """Or when the columns have changed since."""
    result = manifest.sync(lane, range_rows=4)
    half_way = result.of_type("STATE")[1]["value"]  # the first is what the run began with
    half_way["bookmarks"][STREAM]["version"] -= 25 * 3_600_000

    assert manifest.ids(lane, manifest.sync(lane, state=half_way)) == list(range(1, 11))


def test_load_by_id(manifest: Manifest, lane: str) -> None:
    """Rows above the largest key sent, and some below it: they may have been committed late."""
    manifest.boats(QUERY, is_incremental=True, incremental_type="load_by_id")
    first = manifest.sync(lane)
    assert hints(first) == FULL
    assert bookmark(first)["id"] == ["10"]
    manifest.source.execute(ROWS.format(when="now()", first=12, last=14))

    second = manifest.sync(lane, state=first.state, overlap_rows=2)

    assert hints(second) == {"x-load-method": "upsert", "x-order-column": "_uploaded_at"}
    assert manifest.ids(lane, second) == [9, 10, 12, 13, 14]
    assert bookmark(second)["id"] == ["14"]
    manifest.source.execute(ROWS.format(when="now()", first=11, last=11))  # committed late
    assert 11 in manifest.ids(lane, manifest.sync(lane, state=second.state, overlap_rows=4))


def test_load_by_id_that_appends_reads_nothing_twice(manifest: Manifest, lane: str) -> None:
    manifest.boats(QUERY, incremental_type="load_by_id", load_method="append-only")
    first = manifest.sync(lane)
    manifest.source.execute(ROWS.format(when="now()", first=11, last=12))

    second = manifest.sync(lane, state=first.state)
    third = manifest.sync(lane, state=second.state)

    assert manifest.ids(lane, second) == [11, 12]
    assert manifest.ids(lane, third) == []
    assert bookmark(third)["id"] == ["12"]


def test_deletes_sends_keys_only(manifest: Manifest, lane: str) -> None:
    """Of the tables that are loaded by interval or id and are not exempt."""
    manifest.write(
        boats={"import_query": QUERY + INTERVAL},
        kept={"import_query": QUERY + INTERVAL, "deletes_exempt": True},
        copied={"import_query": QUERY},
    )

    result = manifest.sync(lane, load_type="deletes", max_deleted_share=0.1)

    assert {message["stream"] for message in result.of_type("SCHEMA")} == {STREAM}
    assert hints(result) == {
        "x-load-method": "mark-deleted",
        "x-max-deleted-share": Decimal("0.1"),
        "x-order-column": "_uploaded_at",
    }
    rows = manifest.source.rows(lane, result, STREAM)
    assert rows == [{"id": number} for number in range(1, 11)]
    assert len(result.of_type("ACTIVATE_VERSION")) == 2


def test_deletes_reads_every_key_anew(manifest: Manifest, lane: str) -> None:
    """After a run that ended early or was refused: what was restored since must count."""
    manifest.boats(QUERY + INTERVAL)
    version = time.time_ns() // 1_000_000 - 1000
    unfinished = {"version": version, "range": {"key": ["id"], "after": ["6"]}}
    state = {"bookmarks": {STREAM: unfinished}}

    result = manifest.sync(lane, state=state, load_type="deletes")

    assert manifest.ids(lane, result) == list(range(1, 11))
    assert {message["version"] for message in result.of_type("ACTIVATE_VERSION")} != {version}


def test_a_sample_of_new_or_changed_tables(manifest: Manifest, lane: str) -> None:
    """A table that was tested and has not changed since is left alone."""
    first = manifest.sync(lane, load_type="test", test_rows=3)
    assert hints(first) == {"x-load-method": "overwrite"}
    assert len(manifest.ids(lane, first)) == 3

    second = manifest.sync(lane, state=first.state, load_type="test", test_rows=3)
    assert second.of_type("SCHEMA") == []
    manifest.boats(QUERY.replace("name", "name, name AS title") + INTERVAL)
    third = manifest.sync(lane, state=second.state, load_type="test", test_rows=3)

    assert len(manifest.ids(lane, third)) == 3


def test_a_backfill_reads_an_interval_beside_the_bookmark(manifest: Manifest, lane: str) -> None:
    """In pieces, each of which a run that dies need not read again."""
    settings: dict[str, Any] = {
        "backfill_from": "2020-01-03",
        "backfill_to": "2020-01-06T12:00:00Z",
        "hours": 24,
    }

    result = manifest.sync(lane, **settings)

    assert hints(result) == {"x-load-method": "upsert", "x-order-column": "_uploaded_at"}
    assert set(manifest.ids(lane, result)) == {2, 3, 4, 5}
    assert bookmark(result) == {}
    _, _, second_piece, *_ = (message["value"] for message in result.of_type("STATE"))
    assert second_piece["bookmarks"][STREAM]["end"] == "2020-01-04T23:59:59.999999+00:00"
    resumed = manifest.sync(lane, state=second_piece, **settings)
    assert set(manifest.ids(lane, resumed)) == {4, 5}
    other = manifest.sync(lane, state=second_piece, **settings | {"backfill_from": "2020-01-02"})
    assert set(manifest.ids(lane, other)) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backfill_from": "2020-01-03"}, "needs both backfill_from and backfill_to"),
        (
            {"backfill_from": "2020-01-03", "backfill_to": "2020-01-02"},
            "Set backfill_to to a later",
        ),
        ({"backfill_from": "soon", "backfill_to": "2020-01-02"}, "backfill_from is soon, not a"),
        ({"execution_date": "yesterday"}, "execution_date is yesterday, not a moment"),
    ],
)
def test_wrong_moments(manifest: Manifest, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TapError, match=said):
        manifest.sync("records", **settings)


def test_an_empty_table_is_announced_with_its_columns(manifest: Manifest, lane: str) -> None:
    """So that the loader makes it."""
    manifest.source.execute("DELETE FROM boats")

    result = manifest.sync(lane)

    (schema,) = result.of_type("SCHEMA")
    assert list(schema["schema"]["properties"]) == [
        "id", "name", "weight", "updated_at", "_uploaded_at",
    ]  # fmt: skip
    assert len(result.of_type("ACTIVATE_VERSION")) == 2
    assert manifest.ids(lane, result) == []


NEW = " WHERE now() > '{BEGIN_TIMESTAMP}'"


@pytest.mark.parametrize(
    ("change", "query", "said"),
    [
        ("INSERT INTO ids VALUES (1), (1)", f"SELECT id FROM ids{NEW}", "2 rows have the key"),
        ("INSERT INTO ids VALUES (1), (NULL)", f"SELECT id FROM ids{NEW}", "1 rows have the key"),
        (
            "SELECT",
            f"SELECT id FROM boats{NEW} UNION ALL SELECT id FROM boats{NEW}",
            "2 rows have the key",
        ),
        ("SELECT", f"SELECT id AS other FROM boats{NEW}", "names id, which import_query does not"),
        (
            "SELECT",
            f"SELECT * FROM (SELECT id AS other FROM boats) AS b{NEW}",
            "names id, which its import_query does not",
        ),
        ("SELECT", "SELECT *, id FROM boats", "the column id more than once"),
    ],
    ids=["twice", "null", "a union", "not in the text", "not in the result", "two of one name"],
)
def test_a_key_that_is_none(
    manifest: Manifest, lane: str, change: str, query: str, said: str
) -> None:
    """Merging by it, rows would be lost; so nothing is loaded."""
    manifest.source.execute("CREATE TABLE ids (id bigint)", change)
    manifest.boats(query)

    with pytest.raises(TapError, match=said):
        manifest.sync(lane)


@pytest.mark.parametrize(
    ("query", "key", "said"),
    [
        ("SELECT id FROM ids", "id", "is id, which no unique index proves to be one"),
        ("SELECT id AS other FROM ids", "id", "names id, which import_query does not select"),
        ("SELECT * FROM ids", "other", "names other, which import_query does not select"),
        ("SELECT * FROM ids", "concat(id, '-')", "is the expression CONCAT(id, '-'), which is no"),
        ("SELECT * FROM ids", "concat(id", "does not parse"),
    ],
    ids=["not unique", "not in the text", "not in the result", "an expression", "no SQL"],
)
def test_a_copy_needs_no_key(
    manifest: Manifest, caplog: pytest.LogCaptureFixture, query: str, key: str, said: str
) -> None:
    """It is added as it is, with each row; what is wrong with the key is said in the log."""
    manifest.source.execute(
        "CREATE TABLE ids (id bigint)", "INSERT INTO ids VALUES (1), (1), (NULL)"
    )
    manifest.boats(query, export_table_primary_key=key)

    result = manifest.sync("records")

    (schema,) = result.of_type("SCHEMA")
    assert schema["key_properties"] == []
    assert hints(result)["x-load-method"] == "replace-slice"
    assert len(result.records(STREAM)) == 3
    assert f"Table boats: export_table_primary_key {said}" in caplog.text
    assert "A full copy needs no key, so it is loaded without one" in caplog.text


def test_rows_without_a_key_are_appended_only_when_asked(manifest: Manifest, lane: str) -> None:
    """Merged by nothing, those of an overlap would be there twice."""
    manifest.boats(export_table_primary_key="")
    with pytest.raises(TapError, match="export_table_primary_key: is empty, but increments are"):
        manifest.sync(lane)

    manifest.boats(export_table_primary_key="", load_method="append-only")

    assert manifest.ids(lane, manifest.sync(lane)) == list(range(1, 11))


def test_deletes_of_a_table_without_a_key_fail_alone(manifest: Manifest, lane: str) -> None:
    """The keys of the others are sent."""
    keyless = {"export_table_primary_key": "", "load_method": "append-only"}
    manifest.write(
        boats={"import_query": QUERY + INTERVAL},
        keyless={"import_query": QUERY + INTERVAL, **keyless},
        kept={"import_query": QUERY + INTERVAL, "deletes_exempt": True, **keyless},
    )
    paths = [str(manifest.source.folder / "manifest.yml")]

    done, result = manifest.source.run(lane, manifests=paths, load_type="deletes")

    assert done.returncode == 1
    last = done.stderr.decode().strip().splitlines()[-1]
    assert "1 of 2 streams failed. The others were read to their end. harbour_keyless: " in last
    assert "export_table_primary_key is empty. Name one, or set deletes_exempt" in last
    assert manifest.ids(lane, result) == list(range(1, 11))


def test_one_table_that_fails_does_not_stop_the_others(manifest: Manifest, lane: str) -> None:
    """The run says at its end which ones failed and why; the others' state is kept."""
    manifest.source.execute("CREATE TABLE odd (id bigint PRIMARY KEY, x float8)")
    manifest.source.execute("INSERT INTO odd VALUES (1, 'NaN')")
    manifest.write(
        boats={"import_query": QUERY},
        odd={"import_query": "SELECT id, x FROM odd"},
        gone={"import_query": "SELECT id FROM vanished"},
    )
    paths = [str(manifest.source.folder / "manifest.yml")]

    done, result = manifest.source.run(lane, manifests=paths)

    assert done.returncode == 1
    last = done.stderr.decode().strip().splitlines()[-1]
    assert "2 of 3 streams failed" in last
    assert "harbour_odd" in last
    assert "harbour_gone" in last
    assert "harbour_boats" not in last
    assert manifest.ids(lane, result) == list(range(1, 11))
    assert result.state["bookmarks"][STREAM] == {}
    assert [m["stream"] for m in result.of_type("ACTIVATE_VERSION")].count("harbour_odd") == 1


def test_a_locked_table_fails_alone(manifest: Manifest, lane: str) -> None:
    """After lock_timeout_seconds, while the others are read."""
    manifest.source.execute("CREATE TABLE locked (id bigint PRIMARY KEY)")
    manifest.write(boats={"import_query": QUERY}, locked={"import_query": "SELECT id FROM locked"})
    path = str(manifest.source.folder / "manifest.yml")
    catalog = manifest.source.catalog(manifests=[path])
    with manifest.source.connection.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE locked")
        with pytest.raises(TapError, match=r"harbour_locked: .*lock"):
            manifest.sync(lane, catalog=catalog, lock_timeout_seconds=1)


def test_moments_are_the_servers(manifest: Manifest, lane: str) -> None:
    """The end of an interval is never later than what the server has committed."""
    before = manifest.source.query("SELECT now()")[0][0]
    result = manifest.sync(lane)
    after = manifest.source.query("SELECT now()")[0][0]

    assert before <= dt.datetime.fromisoformat(bookmark(result)["end"]) <= after
