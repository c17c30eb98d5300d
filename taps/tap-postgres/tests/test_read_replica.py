"""On a read replica: nothing is skipped that it has not shown yet, and conflicts are borne."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.process import wait_until
from sandbox.testing import sleepers
from tapsupport.errors import TapError

if TYPE_CHECKING:
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
    lags = "SELECT now() - pg_last_xact_replay_timestamp() > interval '1 second'"
    assert wait_until(lambda: replica.query(lags) == [(True,)], lambda: True)

    with pytest.raises(TapError, match=r"lags \d+ seconds behind, more than max_replica_lag_sec"):
        sync(replica, lane, max_replica_lag_seconds=1)


def test_a_read_that_is_cancelled_goes_on_in_smaller_ranges(
    postgres_replica: ReplicatedDatabase,
    replica: Source,
    lane: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The primary vacuums rows away while they are read; every row arrives all the same."""
    execute(postgres_replica, "TRUNCATE boats", FILL.format(1, 1500), "ANALYZE boats")
    postgres_replica.wait()
    postgres_replica.configure(max_standby_streaming_delay=0)
    path = replica.folder / "manifest.yml"
    path.write_text(path.read_text().replace("WHERE", "WHERE pg_sleep(0.001) IS NOT NULL AND"))

    def disturb() -> None:
        assert wait_until(lambda: sleepers(postgres_replica.replica) > 0, lambda: True)
        execute(postgres_replica, "UPDATE boats SET name = name WHERE id <= 500", "VACUUM boats")
        postgres_replica.wait()

    with ThreadPoolExecutor() as threads:
        disturbed = threads.submit(disturb)
        found, _ = sync(replica, lane, range_rows=50_000)
        disturbed.result()

    assert found == set(range(1, 1501))
    assert "conflict with recovery" in caplog.text
    assert "Going on with ranges of" in caplog.text
