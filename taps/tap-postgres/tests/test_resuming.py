"""Runs that are killed while ranges are read side by side: what is read again, and what is not."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tap_postgres.announcements import Announcements
from tap_postgres.reading import Part
from tapsupport.errors import TapError
from tapsupport.testing import SyncResult, parse_messages

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Source
    from sandbox.postgres import Postgres

STREAM = "harbour_boats"
FILL = "INSERT INTO boats SELECT i, 'boat ' || i FROM generate_series(1, {}) i"
TABLE = "CREATE TABLE boats (id int PRIMARY KEY, name text)"
# Reading the boat with this id waits for whoever holds the lock.
WAIT = (
    "CREATE FUNCTION waited(id int) RETURNS int LANGUAGE plpgsql STABLE PARALLEL UNSAFE AS $$"
    " BEGIN IF id = 5 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; RETURN id; END $$"
)


def manifest(source: Source, query: str) -> dict[str, Any]:
    """Settings for a manifest with one table, read in ranges of ten rows."""
    entry = {
        "import_db": "HARBOUR",
        "export_schema": "TAP_POSTGRES",
        "export_table": "boats",
        "export_table_primary_key": "id",
        "import_query": query,
    }
    path = source.folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": {"boats": entry}}))
    return {"manifests": [str(path)], "range_rows": 10, "max_parallel": 3}


def ids(result: SyncResult) -> list[list[int]]:
    return [pq.read_table(path)["id"].to_pylist() for path in result.batches(STREAM)]


def flat(ranges: list[list[int]]) -> list[int]:
    return sorted(number for numbers in ranges for number in numbers)


@pytest.mark.parametrize("load_type", ["scd", "full-sync"])
def test_a_range_that_takes_long_does_not_hold_up_what_follows(
    source: Source, load_type: str
) -> None:
    """Killed while the first range waits, a run has sent the others; the next sends the first."""
    source.execute(TABLE, FILL.format(95), WAIT)
    where = "" if load_type == "scd" else " WHERE now() > '{BEGIN_TIMESTAMP}'"
    settings = manifest(source, f"SELECT id, waited(id) AS waited FROM boats{where}")
    limit: dict[str, Any] = {
        "statement_timeout_seconds": 20
    }  # so that it ends if nothing else is sent
    command = source.command("arrow", load_type=load_type, **settings, **limit)
    with source.connection.connect() as blocker:
        blocker.execute("SELECT pg_advisory_lock(7)")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout
        output, rows = b"", 0
        while rows < 85:
            line = process.stdout.readline()
            assert line, "it ended before it had sent what follows the first range"
            output += line
            rows = len(flat(ids(parse_messages(output)))) if b'"STATE"' in line else rows
        process.send_signal(signal.SIGKILL)
        process.communicate()
    first = parse_messages(output)

    rest = source.sync("arrow", state=first.state, load_type=load_type, **settings)

    assert first.state["bookmarks"][STREAM]["range"] == {
        "key": ["id"],
        "complete": True,
        "missing": [[None, ["10"]]],
    }
    assert flat(ids(first)) == list(range(11, 96))
    assert ids(rest) == [list(range(1, 11))]
    assert first.of_type("ACTIVATE_VERSION") == rest.of_type("ACTIVATE_VERSION")[:1]
    assert "range" not in rest.state["bookmarks"][STREAM]


def test_no_finished_range_is_read_again_over_five_kills(
    source: Source, postgres_server: Postgres, end_after: Any
) -> None:
    """By the server's own log: beyond each range once, at most what was being read at a kill.

    Until the last run the first range waits, so that in each run others finish before it does.
    """
    logged = f"ALTER DATABASE {source.connection.database} SET log_statement = 'all'"
    source.execute(TABLE, FILL.format(600), WAIT, logged)
    settings = manifest(source, "SELECT id, name, waited(id) AS waited FROM boats")
    state: dict[str, Any] | None = None
    sent: list[list[int]] = []
    log_begin = postgres_server.log.stat().st_size
    exit_codes = set()
    with source.connection.connect() as blocker:
        blocker.execute("SELECT pg_advisory_lock(7)")
        for states in (2, 9, 5, 12, 7):
            options = {"state": state, "statement_timeout_seconds": 20, **settings}
            run = end_after(source, signal.SIGKILL, states, "arrow", **options)
            exit_codes.add(run.exit_code)
            state = run.result.state
            sent += ids(run.until_state())

    last = source.sync("arrow", state=state, **settings)

    assert exit_codes == {-signal.SIGKILL}
    assert flat(sent + ids(last)) == list(range(1, 601))
    reads = _reads(postgres_server.log, log_begin)
    ranges = 61  # the last one is empty
    assert len(reads) == ranges
    assert sum(reads.values()) <= ranges + 5 * settings["max_parallel"]


def _reads(log: Path, begin: int) -> Counter[str]:
    """How often each range was read."""
    text = log.read_bytes()[begin:].decode()
    parts = text.split("COPY (SELECT ")[1:]
    return Counter(
        part.partition(") TO STDOUT")[0].partition("AS query")[2]
        for part in parts
        if '"name"' in part.partition("FROM")[0]
    )


def test_a_missing_range_that_has_grown_is_cut(source: Source) -> None:
    """No range has more rows than asked for, though the missing one has got more since."""
    source.execute(TABLE, FILL.format(60))
    settings = manifest(source, "SELECT id, name FROM boats")
    place = {"key": ["id"], "after": ["50"], "missing": [[["5"], ["30"]], [["40"], ["45"]]]}
    version = time.time_ns() // 1_000_000
    state = {"bookmarks": {STREAM: {"version": version, "range": place}}}

    for lane in ("records", "arrow"):
        result = source.sync(lane, state=state, **settings)
        found = [row["id"] for row in source.rows(lane, result, STREAM)]
        assert sorted(found) == [*range(6, 31), *range(41, 46), *range(51, 61)]
        if lane == "arrow":
            assert all(len(numbers) <= 10 for numbers in ids(result))
        for message in result.of_type("STATE")[1:-1]:  # from each one a run sends what is missing
            rest = source.sync(lane, state=message["value"], **settings)
            assert {row["id"] for row in source.rows(lane, rest, STREAM)} <= set(found)


def test_a_range_of_another_hand(source: Source) -> None:
    source.execute(TABLE)
    settings = manifest(source, "SELECT id FROM boats")
    place = {"key": ["id"], "missing": "x"}
    state = {"bookmarks": {STREAM: {"version": time.time_ns() // 1_000_000, "range": place}}}

    with pytest.raises(TapError, match="missing is 'x', which this tap has not written"):
        source.sync(state=state, **settings)


@given(order=st.permutations(range(8)), stop=st.integers(0, 8))
def test_a_state_says_exactly_what_was_not_sent(order: list[int], stop: int) -> None:
    """Whatever the order in which ranges are finished, and wherever it ends."""
    announcements = Announcements()
    reads = []
    for number in range(8):
        span = ([str(number)] if number else None, [str(number + 1)])
        progress = {"range": {"key": ["id"], "after": [str(number + 1)]}}
        part = Part("boats", [], progress, span=span)
        reads.append(announcements.begin(part, None))  # type: ignore[arg-type]  # no file is made

    state: Any = {"range": {"after": ["0"]}}
    for number in order[:stop]:
        ((read, state),) = announcements.finish(reads[number], [])
        assert read is reads[number]

    place = state["range"]
    missing = {int(until[0]) - 1 for _, until in place.get("missing", [])}
    assert missing | set(range(int(place["after"][0]), 8)) == set(order[stop:])
    assert not missing & set(range(int(place["after"][0]), 8))
