"""On a read replica: nothing is skipped that it has not shown yet, and conflicts are borne."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.process import wait_until
from sandbox.testing import sleepers
from tap_postgres.sql import literal
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Source
    from sandbox.replica import ReplicatedDatabase

STREAM = "harbour_boats"
WITHIN = "updated_at BETWEEN '{BEGIN_TIMESTAMP}' AND '{END_TIMESTAMP}'"
FILL = "INSERT INTO boats SELECT i, repeat('x', 500), now() FROM generate_series({}, {}) i"


def execute(database: ReplicatedDatabase, *statements: str) -> None:
    with database.primary.connect() as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def replica(postgres_replica: ReplicatedDatabase, source: Source) -> Source:
    """A table on the replica, and a manifest that loads it by interval."""
    execute(
        postgres_replica,
        "CREATE TABLE boats (id bigint PRIMARY KEY, name text, updated_at timestamptz)",
        FILL.format(1, 20),
    )
    postgres_replica.wait()
    entry = {
        "import_db": "HARBOUR",
        "export_schema": "TAP_POSTGRES",
        "export_table": "boats",
        "export_table_primary_key": "id",
        "import_query": f"SELECT id, name, updated_at FROM boats WHERE {WITHIN}",
    }
    (source.folder / "manifest.yml").write_text(yaml.safe_dump({"tables": {"boats": entry}}))
    return replace(source, connection=postgres_replica.replica)


def sync(replica: Source, lane: str, state: Any = None, **settings: Any) -> tuple[set[int], Any]:
    """The ids sent, and the state."""
    manifests = [str(replica.folder / "manifest.yml")]
    result = replica.sync(lane, state=state, manifests=manifests, **settings)
    return {row["id"] for row in replica.rows(lane, result, STREAM)}, result.state


def make_slow(database: ReplicatedDatabase, replica: Source, **keys: str) -> None:
    """Fill the table with 1,500 rows of one stamp, each of which takes a millisecond to read."""
    execute(database, "TRUNCATE boats", FILL.format(1, 1500), "ANALYZE boats")
    database.wait()
    database.configure(max_standby_streaming_delay=0)
    path = replica.folder / "manifest.yml"
    content = yaml.safe_load(path.read_text())
    entry = content["tables"]["boats"]
    entry["import_query"] += " AND pg_sleep(0.001) IS NOT NULL"
    path.write_text(yaml.safe_dump({"tables": {"boats": entry | keys}}))


@contextmanager
def disturbed(database: ReplicatedDatabase) -> Iterator[None]:
    """Once the table is being read, vacuum rows of it away on the primary."""

    def disturb() -> None:
        assert wait_until(lambda: sleepers(database.replica) > 0, lambda: True)
        execute(database, "UPDATE boats SET name = name WHERE id <= 500", "VACUUM boats")
        database.wait()

    with ThreadPoolExecutor() as threads:
        running = threads.submit(disturb)
        yield
        running.result()


def wait_for_a_lag(replica: Source) -> None:
    """Until the last transaction that was replayed is more than a second old."""
    lags = "SELECT now() - pg_last_xact_replay_timestamp() > interval '1 second'"
    assert wait_until(lambda: replica.query(lags) == [(True,)], lambda: True)


@pytest.fixture
def reader(postgres_replica: ReplicatedDatabase, replica: Source) -> Iterator[Source]:
    """The same for a user who may SELECT, and see no statistics of the server."""
    execute(
        postgres_replica,
        "CREATE ROLE reader LOGIN PASSWORD 'reads'",
        "GRANT SELECT ON boats TO reader",
    )
    postgres_replica.wait()
    login = replace(replica.connection, user="reader", password="reads")
    yield replace(replica, connection=login)
    execute(postgres_replica, "DROP OWNED BY reader", "DROP ROLE reader")


def test_the_interval_ends_where_the_replica_is(
    postgres_replica: ReplicatedDatabase, replica: Source, lane: str
) -> None:
    """Rows that were committed meanwhile come with the run after it has caught up."""
    _, state = sync(replica, lane)
    postgres_replica.pause()
    execute(postgres_replica, FILL.format(21, 30))
    (replayed,) = replica.query("SELECT pg_last_xact_replay_timestamp()")[0]

    _, behind = sync(replica, lane, state, overlap_minutes=0)
    postgres_replica.resume()
    postgres_replica.wait()
    late, _ = sync(replica, lane, behind, overlap_minutes=0)

    end = dt.datetime.fromisoformat(behind["bookmarks"][STREAM]["end"])
    assert end <= replayed
    assert set(range(21, 31)) <= late


def test_a_replica_that_is_too_far_behind_is_not_read(
    postgres_replica: ReplicatedDatabase, replica: Source, lane: str
) -> None:
    postgres_replica.pause()
    execute(postgres_replica, FILL.format(21, 30))
    wait_for_a_lag(replica)

    with pytest.raises(TapError, match=r"lags \d+ seconds behind, more than max_replica_lag_sec"):
        sync(replica, lane, max_replica_lag_seconds=1)


def test_an_idle_replica_is_not_behind(reader: Source, lane: str) -> None:
    """Nor for a user who may not see whether it is streaming; the interval ends all the same."""
    wait_for_a_lag(reader)
    (replayed,) = reader.query("SELECT pg_last_xact_replay_timestamp()")[0]

    found, state = sync(reader, lane, max_replica_lag_seconds=1)

    assert found == set(range(1, 21))
    assert dt.datetime.fromisoformat(state["bookmarks"][STREAM]["end"]) <= replayed


@pytest.fixture
def cut_off(
    postgres_replica: ReplicatedDatabase, replica: Source, reader: Source
) -> Iterator[list[Source]]:
    """A replica that has lost its primary, for both users."""
    ((primary,),) = replica.query("SHOW primary_conninfo")
    postgres_replica.configure(primary_conninfo="host=127.0.0.1 port=1")
    receivers = "SELECT count(*) FROM pg_stat_wal_receiver"
    assert wait_until(lambda: replica.query(receivers) == [(0,)], lambda: True)
    yield [replica, reader]
    postgres_replica.reset()  # which knows of no setting before
    replica.execute(f"ALTER SYSTEM SET primary_conninfo TO {literal(primary)}")
    replica.execute("SELECT pg_reload_conf()")
    postgres_replica.wait()


def test_a_replica_that_receives_nothing_may_be_behind(cut_off: list[Source]) -> None:
    """Though it has replayed all that it got: nobody knows what the primary has."""
    for source in cut_off:
        wait_for_a_lag(source)
        with pytest.raises(TapError, match=r"lags \d+ seconds behind"):
            sync(source, "records", max_replica_lag_seconds=1)


def test_a_read_that_is_cancelled_goes_on_in_smaller_ranges(
    postgres_replica: ReplicatedDatabase,
    replica: Source,
    lane: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The primary vacuums rows away while they are read; every row arrives all the same."""
    make_slow(postgres_replica, replica)

    with disturbed(postgres_replica):
        found, _ = sync(replica, lane, range_rows=50_000)

    assert found == set(range(1, 1501))
    assert "conflict with recovery" in caplog.text
    assert "Going on with ranges of" in caplog.text


BACKFILL = {"backfill_from": "2000-01-01", "backfill_to": "2100-01-01", "hours": 1_000_000}


@pytest.mark.parametrize(
    ("lane", "method", "settings"),
    [
        ("records", "upsert", {}),
        ("records", "upsert", BACKFILL),
        ("arrow", "upsert", BACKFILL),
        ("arrow", "append-only", {}),
    ],
    ids=["increment-records", "backfill-records", "backfill-arrow", "appended-arrow"],
)
def test_an_interval_that_is_cancelled_goes_on_in_ranges(
    postgres_replica: ReplicatedDatabase,
    replica: Source,
    lane: str,
    method: str,
    settings: dict[str, Any],
) -> None:
    """Nothing is lost, nor sent twice; the next run goes on where a state says."""
    _, state = sync(replica, lane)
    make_slow(postgres_replica, replica, load_method=method)
    manifests: dict[str, Any] = {"manifests": [str(replica.folder / "manifest.yml")], **settings}
    start = {} if settings else state

    with disturbed(postgres_replica):
        result = replica.sync(lane, state=start, **manifests)

    ids = [row["id"] for row in replica.rows(lane, result, STREAM)]
    assert set(ids) == set(range(1, 1501))
    if lane == "arrow":
        assert len(ids) == 1500
    assert "range" not in result.state["bookmarks"][STREAM]
    states = [message["value"] for message in result.of_type("STATE")]
    half_way = [found for found in states if "range" in found["bookmarks"].get(STREAM, {})]
    assert len(half_way) >= 2
    rest = replica.sync(lane, state=half_way[1], **manifests)
    (last,) = half_way[1]["bookmarks"][STREAM]["range"]["after"]
    found = [row["id"] for row in replica.rows(lane, rest, STREAM)]
    assert sorted(found) == list(range(int(last) + 1, 1501))
