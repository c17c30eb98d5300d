"""Full tables, increments, selection and resuming, in both lanes."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml

from tap_postgres.tap import TapPostgres
from tapsupport.errors import TapError
from tapsupport.testing import SyncResult, parse_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Source

STREAM = "public-boats"
TABLE = "CREATE TABLE boats (id bigint PRIMARY KEY, name text, updated_at timestamptz)"
ROWS = "INSERT INTO boats SELECT i, 'boat ' || i, timestamptz '2024-01-01Z' + i * interval '1 hour' FROM generate_series({}, {}) i"  # noqa: E501 - one statement


@pytest.fixture
def boats(source: Source) -> Source:
    source.execute(TABLE, ROWS.format(1, 10))
    return source


def ids(source: Source, lane: str, result: SyncResult, stream: str = STREAM) -> list[int]:
    return [row["id"] for row in source.rows(lane, result, stream)]


def incremental(source: Source, *, indexed: bool) -> dict[str, Any]:
    """A catalog that reads boats by updated_at, with or without an index on it."""
    if indexed:
        source.execute("CREATE INDEX ON boats (updated_at)")
    catalog = source.catalog()
    root = next(m for m in catalog["streams"][0]["metadata"] if not m["breadcrumb"])
    root["metadata"] |= {
        "selected": True,
        "replication-method": "INCREMENTAL",
        "replication-key": "updated_at",
    }
    catalog["streams"][0] |= {
        "replication_method": "INCREMENTAL",
        "replication_key": "updated_at",
    }
    return catalog


def test_a_snapshot_stands_between_two_markers(boats: Source, lane: str) -> None:
    """The same version before the first row and after the last, and on everything between."""
    result = boats.sync(lane, range_rows=4)

    kind = "RECORD" if lane == "records" else "BATCH"
    sent = [m for m in result.messages if m["type"] in ("ACTIVATE_VERSION", kind)]
    assert sent[0]["type"] == sent[-1]["type"] == "ACTIVATE_VERSION"
    assert [m["type"] for m in sent].count("ACTIVATE_VERSION") == 2
    assert len({m["version"] for m in sent}) == 1
    assert sorted(ids(boats, lane, result)) == list(range(1, 11))
    assert result.state == {"bookmarks": {STREAM: {}}}


def bookmark_in(message: dict[str, Any]) -> dict[str, Any]:
    """What a STATE says of the stream; the first one of a run says nothing yet."""
    found: dict[str, Any] = message["value"]["bookmarks"].get(STREAM, {})
    return found


def test_state_follows_every_range(boats: Source) -> None:
    """The state names the key up to which everything was sent."""
    result = boats.sync(range_rows=4)

    seen, reached = 0, []
    for message in result.messages:
        seen += message["type"] == "RECORD"
        if message["type"] == "STATE" and "range" in bookmark_in(message):
            reached.append((seen, bookmark_in(message)["range"]))
    assert reached == [
        (4, {"key": ["id"], "after": ["4"]}),
        (8, {"key": ["id"], "after": ["8"]}),
        (10, {"key": ["id"], "complete": True}),
    ]


def test_one_run_sees_one_snapshot(boats: Source) -> None:
    """What others change while the ranges are read shows in none of them."""
    stream = TapPostgres(config=boats.config("records", range_rows=2)).streams[STREAM]
    rows: Iterator[Any] = iter(stream.get_records(None))
    first = next(rows)

    boats.execute(
        "UPDATE boats SET name = 'renamed'", "DELETE FROM boats WHERE id > 8", ROWS.format(11, 20)
    )

    assert [row["name"] for row in (first, *rows)] == [f"boat {i}" for i in range(1, 11)]


def test_every_range_has_its_file(boats: Source) -> None:
    """So that each may be read by itself; announced when it was read."""
    result = boats.sync("arrow", range_rows=4)

    files = [pq.read_table(path)["id"].to_pylist() for path in result.batches(STREAM)]
    assert sorted(files) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_a_resumed_run_continues_the_snapshot(boats: Source, lane: str) -> None:
    """It keeps the version and begins after the last range, so both are published together."""
    version = time.time_ns() // 1_000_000 - 5000
    bookmark = {"version": version, "range": {"key": ["id"], "after": ["7"]}}

    result = boats.sync(lane, state={"bookmarks": {STREAM: bookmark}})

    assert ids(boats, lane, result) == [8, 9, 10]
    assert {m["version"] for m in result.of_type("ACTIVATE_VERSION")} == {version}
    assert result.state == {"bookmarks": {STREAM: {}}}


def test_a_complete_range_needs_the_marker_only(boats: Source, lane: str) -> None:
    """The earlier run sent every row and died before it could say so."""
    version = time.time_ns() // 1_000_000
    bookmark = {"version": version, "range": {"key": ["id"], "complete": True}}

    result = boats.sync(lane, state={"bookmarks": {STREAM: bookmark}})

    assert ids(boats, lane, result) == []
    assert [m["version"] for m in result.of_type("ACTIVATE_VERSION")] == [version] * 2


@pytest.mark.parametrize(
    "change",
    [{"version": 1_000}, {"range": {"key": ["name"], "after": ["x"]}}, {"range": {}}],
    ids=["a day old", "another key", "no progress"],
)
def test_a_state_that_cannot_be_continued_starts_again(
    boats: Source, lane: str, change: dict[str, Any]
) -> None:
    """With a version of its own, so that the earlier run's rows are not published."""
    version = time.time_ns() // 1_000_000 - 5000
    bookmark = {"version": version, "range": {"key": ["id"], "after": ["7"]}} | change

    result = boats.sync(lane, state={"bookmarks": {STREAM: bookmark}})

    assert ids(boats, lane, result) == list(range(1, 11))
    assert result.of_type("ACTIVATE_VERSION")[0]["version"] > version


def test_tables_without_key_views_and_partitions(source: Source, lane: str) -> None:
    """Each is read whole; a partitioned table is one stream."""
    source.execute(
        "CREATE TABLE keyless (id int)",
        "INSERT INTO keyless SELECT generate_series(1, 5)",
        "CREATE VIEW doubled AS SELECT id * 2 AS id FROM keyless",
        "CREATE TABLE parts (id int, y int, PRIMARY KEY (y, id)) PARTITION BY LIST (y)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1)",
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2)",
        "INSERT INTO parts SELECT i, i % 2 + 1 FROM generate_series(1, 6) i",
        "CREATE TABLE empty (id int PRIMARY KEY)",
        'CREATE TABLE "Odd ""name%s" (id int, "a b" int UNIQUE NOT NULL)',
        'INSERT INTO "Odd ""name%s" VALUES (1, 2)',
    )

    result = source.sync(lane, range_rows=2)

    schemas = {m["stream"]: m["key_properties"] for m in result.of_type("SCHEMA")}
    assert schemas == {
        "public-keyless": [],
        "public-doubled": [],
        "public-parts": ["y", "id"],
        "public-empty": ["id"],
        'public-Odd "name%s': ["a b"],
    }
    assert sorted(ids(source, lane, result, "public-keyless")) == [1, 2, 3, 4, 5]
    assert sorted(ids(source, lane, result, "public-doubled")) == [2, 4, 6, 8, 10]
    assert sorted(ids(source, lane, result, "public-parts")) == [1, 2, 3, 4, 5, 6]
    assert ids(source, lane, result, "public-empty") == []
    assert ids(source, lane, result, 'public-Odd "name%s') == [1]


@pytest.mark.parametrize("indexed", [True, False])
def test_increments(boats: Source, lane: str, *, indexed: bool) -> None:
    """The second run reads the bookmark's row again and what is newer; a third only that row."""
    catalog = incremental(boats, indexed=indexed)
    first = boats.sync(lane, catalog=catalog, range_rows=3)
    boats.execute(ROWS.format(11, 13), "UPDATE boats SET updated_at = '2030-01-01Z' WHERE id = 2")
    second = boats.sync(lane, catalog=catalog, state=first.state, range_rows=3)
    third = boats.sync(lane, catalog=catalog, state=second.state, range_rows=3)

    assert sorted(ids(boats, lane, first)) == list(range(1, 11))
    assert sorted(ids(boats, lane, second)) == [2, 10, 11, 12, 13]
    assert ids(boats, lane, third) == [2]
    assert first.state["bookmarks"][STREAM] == {
        "replication_key": "updated_at",
        "replication_key_value": "2024-01-01T10:00:00+00:00",
    }
    assert first.of_type("ACTIVATE_VERSION") == []


@pytest.mark.parametrize("indexed", [True, False])
def test_an_incremental_state_never_passes_data_not_sent(
    boats: Source, lane: str, *, indexed: bool
) -> None:
    """From any STATE a new run sends whatever that far had not been sent."""
    boats.execute("INSERT INTO boats VALUES (20, 'never updated', NULL)")
    catalog = incremental(boats, indexed=indexed)
    whole = boats.sync(lane, catalog=catalog, range_rows=2, batch_file_bytes=1)
    stops = [i for i, m in enumerate(whole.messages) if m["type"] == "STATE"]

    for stop in stops:
        before = SyncResult(whole.messages[: stop + 1])
        after = boats.sync(lane, catalog=catalog, state=before.state, range_rows=2)

        sent = ids(boats, lane, before) + ids(boats, lane, after)
        assert set(sent) == {*range(1, 11), 20}

    assert len(stops) > 3


def test_the_bookmark_moves_with_every_range(boats: Source, lane: str) -> None:
    """An index on the replication key makes an increment resumable."""
    catalog = incremental(boats, indexed=True)

    result = boats.sync(lane, catalog=catalog, batch_file_bytes=1)  # one row in each range

    bookmarks = [bookmark_in(message) for message in result.of_type("STATE")]
    hours = [mark["replication_key_value"][11:13] for mark in bookmarks if mark]
    assert list(dict.fromkeys(hours)) == [f"{hour:02}" for hour in range(1, 11)]


@pytest.mark.parametrize("indexed", [True, False])
def test_infinity_is_no_bookmark(boats: Source, lane: str, *, indexed: bool) -> None:
    """A single row with an infinite replication key would hide every later one."""
    boats.execute("UPDATE boats SET updated_at = 'infinity' WHERE id = 3")
    catalog = incremental(boats, indexed=indexed)

    first = boats.sync(lane, catalog=catalog, out_of_range="null")
    boats.execute(ROWS.format(11, 12))
    second = boats.sync(lane, catalog=catalog, out_of_range="null", state=first.state)

    assert set(ids(boats, lane, first)) == set(range(1, 11))
    assert {11, 12} <= set(ids(boats, lane, second))


@pytest.mark.parametrize(
    "bookmark", [{"version": "abc"}, {"range": [1]}, {"version": 1, "range": "x"}]
)
def test_a_state_of_another_hand(boats: Source, bookmark: dict[str, Any]) -> None:
    """A sentence names stream and value."""
    with pytest.raises(TapError, match="which this tap has not written"):
        boats.sync(state={"bookmarks": {STREAM: bookmark}})


def test_an_empty_table_keeps_its_bookmark(boats: Source, lane: str) -> None:
    """Nothing new is no reason to forget how far we were."""
    catalog = incremental(boats, indexed=True)
    first = boats.sync(lane, catalog=catalog)
    boats.execute("DELETE FROM boats")

    assert boats.sync(lane, catalog=catalog, state=first.state).state == first.state


def test_only_selected_columns_are_read(boats: Source, lane: str) -> None:
    """A deselected column is neither in the schema nor in the rows; the key always is."""
    catalog = boats.catalog()
    for entry in catalog["streams"][0]["metadata"]:
        entry["metadata"]["selected"] = entry["breadcrumb"] != ["properties", "name"]

    result = boats.sync(lane, catalog=catalog)

    assert list(result.of_type("SCHEMA")[0]["schema"]["properties"]) == ["id", "updated_at"]
    assert list(boats.rows(lane, result, STREAM)[0]) == ["id", "updated_at"]


def test_a_column_added_after_discovery_is_left_out(boats: Source, lane: str) -> None:
    """The catalog decides; discovery brings the column in."""
    catalog = incremental(boats, indexed=False)
    boats.execute("ALTER TABLE boats ADD extra int")

    rows = boats.rows(lane, boats.sync(lane, catalog=catalog), STREAM)

    assert "extra" not in rows[0]


def test_patterns_choose_tables(boats: Source) -> None:
    """A star stands for any characters, in schema and table."""
    boats.execute(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders (id int)",
        "CREATE TABLE sales.order_lines (id int)",
        "CREATE TABLE sales.people (id int)",
    )

    def names(*tables: str) -> list[str]:
        return [s["tap_stream_id"] for s in boats.catalog(tables=list(tables))["streams"]]

    assert names("sales.order*") == ["sales-order_lines", "sales-orders"]
    assert names("*.people", "public.*") == ["public-boats", "sales-people"]
    with pytest.raises(TapError, match=r"has no table sales.shops"):
        names("sales.shops")


def test_a_dry_run_reads_one_row(boats: Source, lane: str) -> None:
    """`--test` in either lane; the snapshot's end is not announced."""
    command = boats.command(lane, "--test")
    done, _ = boats.run(lane, "--test")

    assert done.returncode == 0, (command, done.stderr.decode())
    assert done.stdout.count(b"ACTIVATE_VERSION") == 1
    assert done.stdout.count(b'"RECORD"' if lane == "records" else b'"BATCH"') <= 1


def test_two_hundred_tables_are_discovered_in_two_seconds(source: Source) -> None:
    """One query reads them all."""
    source.execute(
        *[
            f"CREATE TABLE t{i} (id int PRIMARY KEY, {', '.join(f'c{n} text' for n in range(15))})"
            for i in range(200)
        ]
    )

    began = time.perf_counter()
    catalog = source.catalog()

    assert time.perf_counter() - began < 2
    assert len(catalog["streams"]) == 200


@pytest.mark.parametrize("states", [2, 4])
def test_after_a_kill_a_new_run_sends_the_rest(
    boats: Source, lane: str, states: int, end_after: Any
) -> None:
    """What came before the last STATE and what the next run sends: each row of the table once."""
    boats.execute("TRUNCATE boats", ROWS.format(1, 60_000))
    options: dict[str, Any] = {"range_rows": 7_000, "batch_file_bytes": 1000}
    killed = end_after(boats, signal.SIGKILL, states, lane, **options)
    kept = killed.until_state()

    rest = boats.sync(lane, state=kept.state)

    assert killed.exit_code == -signal.SIGKILL
    sent = ids(boats, lane, kept) + ids(boats, lane, rest)
    assert sorted(sent) == list(range(1, 60_001))
    assert rest.of_type("ACTIVATE_VERSION")[0] == kept.of_type("ACTIVATE_VERSION")[0]


def test_sigterm_ends_between_two_batches(boats: Source, lane: str, end_after: Any) -> None:
    """Every line is whole, no snapshot is published, the exit code says that it did not finish."""
    boats.execute("TRUNCATE boats", ROWS.format(1, 200_000))
    options: dict[str, Any] = {"range_rows": 2_000, "batch_file_bytes": 1000}
    stopped = end_after(boats, signal.SIGTERM, 3, lane, **options)

    assert stopped.exit_code == 128 + signal.SIGTERM
    assert "Stopped by SIGTERM" in stopped.errors
    assert len(stopped.result.of_type("ACTIVATE_VERSION")) == 1
    kept = stopped.until_state()
    rest = boats.sync(lane, state=kept.state)
    assert sorted(ids(boats, lane, kept) + ids(boats, lane, rest)) == list(range(1, 200_001))


TABLES = {"harbour_boats": 20_000, "harbour_locked": 0, "harbour_zebras": 5}


@pytest.fixture
def three_tables(source: Source) -> dict[str, Any]:
    """Settings for a manifest with the tables boats, locked and zebras."""
    entries = {}
    for stream, rows in TABLES.items():
        table = stream.partition("_")[2]
        source.execute(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, name text)",
            f"INSERT INTO {table} SELECT i, 'name ' || i FROM generate_series(1, {rows}) i",
        )
        entries[table] = {
            "import_db": "HARBOUR",
            "export_schema": "TAP_POSTGRES",
            "export_table": table,
            "export_table_primary_key": "id",
            "import_query": f"SELECT id, name FROM {table}",
        }
    path = source.folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": entries}))
    return {"manifests": [str(path)], "lock_timeout_seconds": 1}


def check_that_one_failed(source: Source, lane: str, run: SyncResult, errors: str) -> None:
    """The others are there with their states; the run's last words are the one that failed."""
    last = errors.strip().splitlines()[-1]
    assert "1 of 3 streams failed" in last
    assert "canceling statement due to lock timeout" in last
    for stream, rows in TABLES.items():
        fails = stream == "harbour_locked"
        assert (stream in last) == fails
        if not fails:
            assert sorted(ids(source, lane, run, stream)) == list(range(1, rows + 1))
            assert len(run.of_type("ACTIVATE_VERSION", stream)) == 2
            assert run.state["bookmarks"][stream] == {}


def test_a_table_that_is_locked_fails_alone(
    source: Source, three_tables: dict[str, Any], lane: str
) -> None:
    """By a session that keeps the lock until the run is over."""
    with source.connection.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE locked")
        done, run = source.run(lane, **three_tables)

    assert done.returncode == 1
    check_that_one_failed(source, lane, run, done.stderr.decode())


def test_a_table_that_is_locked_during_the_run_fails_alone(
    source: Source, three_tables: dict[str, Any]
) -> None:
    """The tap has described it, and another one's rows fill the pipe, when it is locked."""
    log = source.folder / "tap.log"
    with (
        source.connection.connect() as blocker,
        blocker.transaction(),
        log.open("wb") as errors,
        subprocess.Popen(
            source.command("records", **three_tables), stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if b'"RECORD"' in line and len(lines) < 100:
                blocker.execute("LOCK TABLE locked")

    assert process.returncode == 1
    run = parse_messages(b"".join(lines))
    check_that_one_failed(source, "records", run, log.read_text())
    assert len(run.of_type("ACTIVATE_VERSION", "harbour_locked")) == 1
