"""Windows of INCR_UPDT_DT: increments, and halves of what one query cannot bring."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.vendors.zuora_revenue_data import View
from tap_zuora_revenue.windows import SHARED, Window, as_text

if TYPE_CHECKING:
    from conftest import Tenant

COSTS = "BI3_RC_LN_COST"
HOLDS = "BI3_RC_HOLD"
SCHEDULES = "BI3_RC_SCHD"
INCREMENTAL = {"replication_method": "INCREMENTAL", "replication_key": "INCR_UPDT_DT"}

moments = st.datetimes(dt.datetime(2016, 7, 26), dt.datetime(2040, 1, 1))  # noqa: DTZ001 - as the API


def windows_asked(tenant: Tenant, view: str) -> list[tuple[str, str]]:
    """The dates of each first page asked for."""
    queries = [parse_qs(seen.query) for seen in tenant.vendor.seen(f"biviews/{view}")]
    return [(q["fromDate"][0], q["toDate"][0]) for q in queries if q["pagenum"] == ["1"]]


@settings(deadline=None)
@given(start=moments, length=st.integers(4, 400_000_000), at=st.floats(0, 1))
def test_every_moment_lies_inside_a_half(start: dt.datetime, length: int, at: float) -> None:
    """Whether or not the server counts bounds as inside, and for fractions of a second too."""
    end = start + dt.timedelta(seconds=length)
    whole = Window(as_text(start), as_text(end))
    halves = whole.halves()
    assert halves
    bounds = [[dt.datetime.fromisoformat(m) for m in (h.start, h.end)] for h in halves]
    begin = dt.datetime.fromisoformat(whole.start)
    moment = begin + (dt.datetime.fromisoformat(whole.end) - begin) * at

    assert (bounds[0][0], bounds[1][1]) == (begin, dt.datetime.fromisoformat(whole.end))
    assert (
        any(low < moment < high for low, high in bounds)
        or at in (0, 1)
        or moment
        in (
            begin,
            bounds[1][1],
        )
    )


def test_a_window_of_too_many_rows_is_halved(
    tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    """As often as it takes; the snapshot begun before is superseded."""
    tenant.vendor.row_limit = 15

    result = tenant.sync(SCHEDULES, max_query_rows=15)

    found = {(row["SCHD_ID"], row["ACCTG_TYPE"]): row for row in tenant.sent(result, SCHEDULES)}
    expected = {(row["SCHD_ID"], row["ACCTG_TYPE"]): row for row in tenant.expected(SCHEDULES)}
    assert found == expected
    assert "reading it from its beginning" in caplog.text
    versions = [message["version"] for message in result.of_type("ACTIVATE_VERSION")]
    assert versions[0] < versions[1] == versions[2]


def test_later_runs_begin_with_the_windows_found(tenant: Tenant) -> None:
    tenant.vendor.row_limit = 15
    first = tenant.sync(SCHEDULES, max_query_rows=15)
    tenant.vendor.requests.clear()

    second = tenant.sync(SCHEDULES, max_query_rows=15, state=first.state)

    asked = windows_asked(tenant, SCHEDULES)
    splits = first.state["bookmarks"][SCHEDULES]["splits"]
    assert [end for _, end in asked[:-1]] == splits
    assert [as_text(dt.datetime.fromisoformat(start) + SHARED) for start, _ in asked[1:]] == splits
    assert len(asked) == len(splits) + 1 > 2
    assert len(tenant.sent(second, SCHEDULES)) >= 40
    assert not tenant.vendor.seen("count")


@pytest.mark.parametrize("fault", [{"status": 504}, {"status": 400, "body": "Rate limit alert"}])
def test_halving_does_without_counts(tenant: Tenant, fault: dict[str, Any]) -> None:
    """A count scans everything, and may time out or be one query too many."""
    tenant.vendor.row_limit = 15
    tenant.vendor.faults.add(path="/count/", times=100, **fault)

    result = tenant.sync(SCHEDULES, max_query_rows=15)

    found = {row["SCHD_ID"] for row in tenant.sent(result, SCHEDULES)}
    assert found == {row["SCHD_ID"] for row in tenant.expected(SCHEDULES)}


def test_a_second_with_too_many_rows_cannot_be_halved(tenant: Tenant) -> None:
    view = tenant.vendor.views[SCHEDULES]
    for row in view.rows:
        row[-1] = "2024-05-05T05:05:05"
    tenant.vendor.row_limit = 15

    _, said = tenant.fail(SCHEDULES, max_query_rows=15)

    assert "alone has more rows than one query brings" in said


def test_a_view_without_a_key_cannot_be_halved(tenant: Tenant) -> None:
    """Rows at the seam would stand there twice."""
    tenant.vendor.row_limit = 15
    tenant.vendor.views[COSTS] = View(COSTS, ["INCR_UPDT_DT"], [["2024-01-01T00:00:00"]] * 20)

    _, said = tenant.fail(COSTS, max_query_rows=15)

    assert "no key to tell apart those at the seam of two windows" in said


def test_an_increment_reaches_back_behind_the_last_window(tenant: Tenant) -> None:
    """The bookmark is `toDate` of the last run, never a value that was seen."""
    first = tenant.sync(SCHEDULES, entry=INCREMENTAL, end_date="2023-01-10T12:00:00")
    second = tenant.sync(
        SCHEDULES, entry=INCREMENTAL, end_date="2024-01-01T00:00:00", state=first.state
    )

    assert first.state["bookmarks"][SCHEDULES]["bookmark"] == "2023-01-10T12:00:00"
    assert windows_asked(tenant, SCHEDULES) == [
        ("2016-07-26T00:00:00", "2023-01-10T12:00:00"),
        ("2023-01-07T12:00:00", "2024-01-01T00:00:00"),
    ]
    (schema,) = second.of_type("SCHEMA")
    assert schema["schema"]["x-load-method"] == "upsert"
    assert not second.of_type("ACTIVATE_VERSION")
    expected = [
        row
        for row in tenant.expected(SCHEDULES)
        if "2023-01-07T12" <= str(row["INCR_UPDT_DT"]) < "2024"
    ]
    assert tenant.sent(second, SCHEDULES) == expected != []


def test_an_increment_after_a_full_run(tenant: Tenant) -> None:
    first = tenant.sync(SCHEDULES, end_date="2023-01-10T12:00:00")
    tenant.vendor.requests.clear()

    tenant.sync(SCHEDULES, entry=INCREMENTAL, end_date="2024-01-01", state=first.state)

    assert windows_asked(tenant, SCHEDULES) == [("2023-01-07T12:00:00", "2024-01-01T00:00:00")]


def test_an_increment_without_rows_moves_the_bookmark(tenant: Tenant) -> None:
    first = tenant.sync(HOLDS, entry=INCREMENTAL, end_date="2027-01-01")

    second = tenant.sync(HOLDS, entry=INCREMENTAL, end_date="2028-01-01", state=first.state)

    assert not second.of_type("SCHEMA")
    assert second.state["bookmarks"][HOLDS]["bookmark"] == "2028-01-01T00:00:00"


def test_increments_need_a_key(tenant: Tenant) -> None:
    tenant.vendor.views[COSTS] = View(COSTS, ["INCR_UPDT_DT"], [["2024-01-01T00:00:00"]])

    _, said = tenant.fail(COSTS, entry=INCREMENTAL)

    assert "has no key, so increments would repeat its rows" in said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {**INCREMENTAL, "replication_key": "RC_ID"},
            "INCREMENTAL by RC_ID. It must be FULL_TABLE",
        ),
        ({"replication_method": "LOG_BASED"}, "LOG_BASED by None. It must be FULL_TABLE"),
    ],
)
def test_what_the_catalog_cannot_ask_for(tenant: Tenant, entry: dict[str, Any], said: str) -> None:
    assert said in tenant.fail(HOLDS, entry=entry)[1]


def test_all_views_of_a_run_have_the_same_window(tenant: Tenant) -> None:
    """It ends a day ahead of now, so that rows updated meanwhile are not missed."""
    before = dt.datetime.now(dt.UTC)
    tenant.sync()

    windows = {w for view in tenant.vendor.views for w in windows_asked(tenant, view)}
    ((start, end),) = windows
    assert start == "2016-07-26T00:00:00"
    ahead = dt.datetime.fromisoformat(end).replace(tzinfo=dt.UTC) - before
    assert dt.timedelta(hours=23, minutes=59) < ahead < dt.timedelta(hours=24, minutes=1)
