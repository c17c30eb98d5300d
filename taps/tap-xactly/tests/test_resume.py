"""Two runs a day: the second does what the first did not finish, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Source

TABLES = ("xc_credit", "xc_credit_summary", "xc_quota", "xc_role")
KEYS = {"xc_credit": "CREDIT_ID", "xc_quota": "QUOTA_ID"}


def ago(hours: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_second_run_reads_only_what_the_first_did_not_finish(source: Source) -> None:
    source.vendor.denied = {"xc_quota"}
    midnight, _ = source.fail(*TABLES, skip_if_read_within_hours=12)
    source.vendor.denied = set()
    source.vendor.commands.clear()

    second = source.sync(*TABLES, state=midnight.state, skip_if_read_within_hours=12)

    assert [message["stream"] for message in second.of_type("SCHEMA")] == ["xc_quota"]
    assert len(second.records("xc_quota")) == 60
    assert all("xc_quota" in command for command in source.vendor.commands)


@pytest.mark.parametrize(("hours", "streams"), [(4.9, 0), (23.5, 1)])
def test_the_next_night_reads_everything_again(source: Source, hours: float, streams: int) -> None:
    state = {"bookmarks": {"xc_credit": {"read_at": ago(hours)}}}

    result = source.sync("xc_credit", state=state, skip_if_read_within_hours=12)

    assert len(result.of_type("SCHEMA")) == streams


@pytest.mark.parametrize("lane", ["records", "arrow"])
@pytest.mark.parametrize("table", ["xc_credit", "xc_quota"])
@pytest.mark.usefixtures("naps")
def test_a_run_that_dies_goes_on_behind_the_last_state(
    source: Source, table: str, lane: str
) -> None:
    """What both runs sent up to and after the state is everything, once."""
    source.vendor.faults.add(path="/execute", skip=2, status=503, times=100)
    options = {"statement_rows": 20, "batch_file_rows": 20, "lane": lane}
    first, _ = source.fail(table, **options)
    source.vendor.faults.clear()

    second = source.sync(table, state=first.state, **options)

    def keys(run: object) -> list[int]:
        rows = run.records(table) if lane == "records" else run.table(table).to_pylist()  # type: ignore[attr-defined]
        return [row[KEYS[table]] for row in rows]

    found = keys(first) + keys(second)
    assert len(keys(first)) == 40
    assert sorted(found) == sorted(row[KEYS[table]] for row in source.vendor.data.rows(table))
    if table == "xc_credit":
        version = first.state["bookmarks"][table]["version"]
        assert {m["version"] for m in second.messages if "version" in m} == {version}
        assert second.of_type("SCHEMA")[0]["schema"]["x-resumes"] is True
        assert len(first.of_type("ACTIVATE_VERSION")) == 1


def test_an_old_snapshot_is_not_gone_on_with(source: Source) -> None:
    """Pieces that are a day apart are no snapshot."""
    bookmark = {"version": 1_700_000_000_000, "started_at": ago(30), "cursor": [5]}

    result = source.sync("xc_credit", state={"bookmarks": {"xc_credit": bookmark}})

    assert len(result.records("xc_credit")) == 60
    assert "x-resumes" not in result.of_type("SCHEMA")[0]["schema"]


def test_windows_go_on_where_the_keyset_was(source: Source) -> None:
    """The two ways of paging read each other's bookmarks."""
    bookmark = {"started_at": ago(1), "cursor": ["2026-01-05T08:01:00Z", 5]}
    state = {"bookmarks": {"xc_quota": bookmark}}

    result = source.sync("xc_quota", state=state, paging="windows")

    assert len(result.records("xc_quota")) == 10  # all of that date again, for the key is not used
