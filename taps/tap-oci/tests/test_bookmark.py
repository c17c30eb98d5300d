"""Which files a run reads: only what is new, and what was written anew."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.vendors.oci_reports import COST, FOCUS
from sandbox.vendors.oci_rows import FIRST_DAY
from tap_oci.choice import Bookmark, report_of
from tap_oci.client import ReportFile
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Oracle

CREATED = dt.datetime(2026, 2, 14, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("stream", "prefix", "new"),
    [
        ("oci_cost_report", COST, "0001000000612353-00001.csv.gz"),
        ("focus_report", FOCUS, "0001000000612353-00001.csv.gz"),
    ],
)
def test_a_second_run_lists_and_reads_what_is_new(
    oracle: Oracle, stream: str, prefix: str, new: str
) -> None:
    first = oracle.sync(stream, recheck_files=2, recheck_days=1)
    oracle.vendor.add_day(8)
    oracle.vendor.requests.clear()

    second = oracle.sync(stream, state=first.state, recheck_files=2, recheck_days=1)

    assert oracle.reads() == [new]
    (listing,) = [s.query for s in oracle.vendor.requests if s.path.endswith("/o")]
    assert "start=" in listing
    assert {row["file_name"].rpartition("/")[2] for row in second.records(stream)} == {new}
    assert prefix in second.state["bookmarks"][stream]["last_name"]


def test_a_third_run_reads_nothing(oracle: Oracle) -> None:
    state = oracle.sync().state
    oracle.vendor.requests.clear()

    third = oracle.sync(state=state)

    assert oracle.reads() == []
    assert third.of_type("SCHEMA") == []
    assert third.state == state


def test_a_file_that_was_written_anew_is_read_again_with_its_whole_report(oracle: Oracle) -> None:
    """Parts of one report belong together, so that both come with the new one."""
    state = oracle.sync("oci_cost_report").state
    *_, part = sorted(name for name in oracle.vendor.objects if name.startswith(COST))
    former = oracle.vendor.objects[f"{COST}0001000000612345-00001.csv.gz"]
    oracle.vendor.put(part, former.body, FIRST_DAY)
    oracle.vendor.requests.clear()

    oracle.sync("oci_cost_report", state=state)

    assert sorted(oracle.reads()) == [
        "0001000000612352-00001.csv.gz",
        "0001000000612352-00002.csv.gz",
    ]


def test_a_late_file_in_a_former_folder_is_found(oracle: Oracle) -> None:
    """FOCUS files are resumed by date: their numbers do not grow from folder to folder."""
    state = oracle.sync("focus_report").state
    late = f"{FOCUS}2026/01/06/0000000000000001-00001.csv.gz"
    oracle.vendor.put(late, oracle.vendor.objects[min(oracle.vendor.objects)].body, FIRST_DAY)
    oracle.vendor.requests.clear()

    oracle.sync("focus_report", state=state)

    assert oracle.reads() == ["0000000000000001-00001.csv.gz"]


def test_lists_beyond_the_largest_page(oracle: Oracle) -> None:
    """The SDK's own has_next_page would stop after the first thousand names."""
    body = next(iter(oracle.vendor.objects.values())).body
    oracle.vendor.objects.clear()
    for number in range(1001):
        oracle.vendor.put(f"{COST}{number:016}-00001.txt", body, FIRST_DAY)
    last = f"{COST}{1002:016}-00001.csv.gz"
    oracle.vendor.put(last, body, FIRST_DAY)

    oracle.sync("oci_cost_report")

    assert oracle.reads() == [last.rpartition("/")[2]]


def test_a_backfill_reads_an_interval_and_leaves_the_bookmark(oracle: Oracle) -> None:
    state = oracle.sync("oci_cost_report").state
    oracle.vendor.requests.clear()

    again = oracle.sync(
        "oci_cost_report", state=state, backfill_from="2026-01-02", backfill_to="2026-01-04"
    )

    assert sorted(oracle.reads()) == [
        "0001000000612346-00001.csv.gz",
        "0001000000612347-00001.csv.gz",
    ]
    assert again.state == state


def test_files_before_the_start_date_are_not_read(oracle: Oracle) -> None:
    oracle.sync("oci_cost_report", start_date="2026-01-08T00:00:00Z")

    assert set(oracle.reads()) == {
        "0001000000612352-00001.csv.gz",
        "0001000000612352-00002.csv.gz",
    }


def test_a_date_that_is_none_is_refused_before_the_first_request(oracle: Oracle) -> None:
    with pytest.raises(TapError, match="start_date"):
        oracle.sync(start_date="yesterday")

    assert oracle.vendor.requests == []


@pytest.mark.parametrize("end", ["2026-01-01", "2026-01-05T00:00:00+00:00"])
def test_a_backfill_of_no_time_is_refused(oracle: Oracle, end: str) -> None:
    """Else it would end well, and have read nothing."""
    with pytest.raises(TapError, match="backfill_from 2026-01-05 is not before backfill_to"):
        oracle.sync(backfill_from="2026-01-05", backfill_to=end)

    assert oracle.vendor.requests == []


def test_another_prefix_begins_anew(oracle: Oracle) -> None:
    """Its names may all come before the former ones, where no run would look for new files."""
    state = oracle.sync("oci_cost_report").state
    body = next(iter(oracle.vendor.objects.values())).body
    oracle.vendor.put("copies/0001-00001.csv.gz", body, FIRST_DAY)
    oracle.vendor.requests.clear()

    second = oracle.sync("oci_cost_report", state=state, cost_prefix="copies/")

    assert oracle.reads() == ["0001-00001.csv.gz"]
    assert second.state["bookmarks"]["oci_cost_report"]["last_name"].startswith("copies/")


def test_publications_hold_whole_reports(oracle: Oracle) -> None:
    """The state after each covers it, so that a run that dies goes on behind it."""
    result = oracle.sync("oci_cost_report", files_per_publication=2)

    kinds = [m["type"] for m in result.messages if m["type"] in ("ACTIVATE_VERSION", "STATE")]
    versions = [m["version"] for m in result.of_type("ACTIVATE_VERSION")]
    assert kinds.count("ACTIVATE_VERSION") == 2 * len(set(versions)) == 10
    assert versions == sorted(versions)
    by_version: dict[int, set[str]] = {}
    for message in result.of_type("RECORD"):
        report = report_of(message["record"]["file_name"])
        by_version.setdefault(message["version"], set()).add(report)
    reports = [report for found in by_version.values() for report in found]
    assert len(reports) == len(set(reports)) == 8


def file(number: int, etag: str = "a") -> ReportFile:
    return ReportFile(f"{COST}{number:04}-00001.csv.gz", 1, etag, "", CREATED)


@given(
    days=st.lists(st.sets(st.integers(0, 99), max_size=5), max_size=8),
    recheck=st.integers(1, 4),
)
def test_whatever_comes_in_order_is_read_once(days: list[set[int]], recheck: int) -> None:
    """Runs that list from the bookmark read every file, and none twice."""
    numbers = [day * 100 + n for day, found in enumerate(days) for n in sorted(found)]
    bucket: list[ReportFile] = []
    read: list[str] = []
    state: dict[str, object] = {}
    for day in range(len(days)):
        bucket = [file(n) for n in numbers if n // 100 <= day]
        bookmark = Bookmark(COST, state, recheck, 3)
        listed = [f for f in bucket if f.name >= (bookmark.start or "")]
        new = [f for f in listed if bookmark.is_new(f)]
        bookmark.take(new)
        read += [f.name for f in new]
        state = bookmark.state
    assert read == [f.name for f in bucket]
