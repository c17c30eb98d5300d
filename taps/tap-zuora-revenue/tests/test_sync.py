"""Every view over HTTP: values, columns, ends of paging, forms of pages."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.zuora_revenue import NOT_CACHED
from tap_zuora_revenue.tap import TapZuoraRevenue
from tapsupport.testing import run_tap

if TYPE_CHECKING:
    from conftest import Tenant

HOLDS = "BI3_RC_HOLD"
LINES = "BI3_RC_LNS"
SCHEDULES = "BI3_RC_SCHD"


@pytest.mark.parametrize("batches", [True, False])
def test_every_view_arrives_with_every_value(tenant: Tenant, *, batches: bool) -> None:
    """In the file's order; commas, quotes, newlines and other alphabets included."""
    result = tenant.sync() if batches else tenant.sync(batch_config=None)

    derived = {"BI3_WF_SUMM", "BI3_LN_ACCT_SUMM"}
    for name, view in tenant.vendor.views.items():
        rows = tenant.sent(result, name)
        assert tenant.in_order(rows) == tenant.in_order([] if name in derived else view.dicts()), (
            name
        )
        assert all(list(row) == view.header for row in rows)
    assert not any(tenant.pages(name) for name in derived)


def test_views_without_rows_send_nothing(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    result = tenant.sync("BI3_BOOK", "BI3_ORG")

    assert {message["type"] for message in result.messages} == {"STATE"}
    assert "BI3_BOOK has no rows, so it makes no table." in caplog.text


def test_the_schema_is_the_files_header(tenant: Tenant) -> None:
    """Text, in the file's order, with what no list knows; describe-columns is never asked."""
    result = tenant.sync("BI3_RC_BILL")

    (schema,) = result.of_type("SCHEMA")
    properties = schema["schema"]["properties"]
    assert list(properties) == tenant.vendor.views["BI3_RC_BILL"].header
    assert properties["NEW_IN_THIS_RELEASE"]["type"] == ["string", "null"]
    assert schema["key_properties"] == ["ID"]
    assert schema["schema"]["x-load-method"] == "overwrite"
    assert schema["schema"]["x-order-column"] == "INCR_UPDT_DT"
    assert not tenant.vendor.seen("describe-columns")


def test_stamps_that_cannot_be_compared_as_text_give_no_order(tenant: Tenant) -> None:
    tenant.vendor.views[HOLDS].between = lambda *_: [["1", "2", "", "202401", "31-JAN-24"]]

    (schema,) = tenant.sync(HOLDS).of_type("SCHEMA")

    assert "x-order-column" not in schema["schema"]


def test_a_view_without_its_key_columns_has_no_key(tenant: Tenant) -> None:
    """Optional columns may be missing, and a key of nothing would fail in the loader."""
    view = tenant.vendor.views[HOLDS]
    view.header[0] = "RENAMED_ID"

    (schema,) = tenant.sync(HOLDS).of_type("SCHEMA")

    assert schema["key_properties"] == []


def test_columns_that_are_not_selected_stay_away(tenant: Tenant) -> None:
    off = [{"breadcrumb": ["properties", "COMMENTS"], "metadata": {"selected": False}}]
    catalog = tenant.catalog(LINES)
    for stream in catalog["streams"]:
        if stream["tap_stream_id"] == LINES:
            stream["metadata"] = [
                m for m in stream["metadata"] if "COMMENTS" not in m["breadcrumb"]
            ]
            stream["metadata"] += off

    result = run_tap(TapZuoraRevenue, tenant.config(), catalog=catalog)

    header = tenant.vendor.views[LINES].header
    assert result.table(LINES).column_names == [name for name in header if name != "COMMENTS"]


@pytest.mark.parametrize(
    ("end_answer", "says_totals"), [(404, True), (404, False), (204, False), (400, False)]
)
@pytest.mark.parametrize("page_size", [10, 15, 100])
def test_the_last_page(
    tenant: Tenant, *, clock: list[float], page_size: int, end_answer: int, says_totals: bool
) -> None:
    """Full, short, or the only one, whatever the server answers behind it."""
    tenant.vendor.end_answer, tenant.vendor.says_totals = end_answer, says_totals

    result = tenant.sync(LINES, page_size=page_size)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert sum(clock) <= 30


def test_pages_that_are_not_cached_yet(tenant: Tenant, clock: list[float]) -> None:
    """They are asked for again after five seconds, with the same token."""
    tenant.vendor.pending_answers = 2

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert clock == [5.0] * 6
    assert len(tenant.vendor.tasks) == 1


def test_a_server_that_needs_minutes_for_a_page(tenant: Tenant, clock: list[float]) -> None:
    """While its task is active, waiting is right, however often the page is not there."""
    tenant.vendor.page_seconds = 60.0

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(tenant.vendor.tasks) == 1
    assert 220 <= sum(clock) <= 260


def test_the_servers_own_time_counts(tenant: Tenant) -> None:
    """It holds each request for minutes before it says that the page is not cached yet."""
    tenant.vendor.faults.add(
        path="pagenum=2", status=400, body=NOT_CACHED, delay_seconds=0.05, times=50
    )

    _, said = tenant.fail(LINES, patience_seconds=0.2, poll_seconds=0.0)

    assert "waited 0 s for page 2" in said
    assert tenant.pages(LINES).count("2") <= 5


def test_patience_ends(tenant: Tenant, clock: list[float]) -> None:
    tenant.vendor.page_seconds = 500.0

    _, said = tenant.fail(LINES, patience_seconds=100)

    assert said.startswith(f"{LINES}: waited 100 s for page 1.")
    assert tenant.vendor.tasks[0].status == "CANCELLED"
    assert sum(clock) == 100


@pytest.mark.parametrize("header_on_every_page", [True, False])
def test_pages_with_and_without_their_header(tenant: Tenant, *, header_on_every_page: bool) -> None:
    tenant.vendor.header_on_every_page = header_on_every_page

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)


@pytest.mark.parametrize("batches", [True, False])
def test_a_header_that_changes_between_pages_is_a_new_schema(
    tenant: Tenant, *, batches: bool
) -> None:
    tenant.vendor.extra_columns[LINES] = (3, "ADDED")

    result = tenant.sync(LINES) if batches else tenant.sync(LINES, batch_config=None)

    first, second = result.of_type("SCHEMA")
    assert list(second["schema"]["properties"]) == [*first["schema"]["properties"], "ADDED"]
    rows = tenant.sent(result, LINES)
    expected = tenant.expected(LINES)
    assert [row.pop("ADDED", None) for row in rows] == [None] * 20 + ["added"] * 20
    assert rows == expected


@pytest.mark.parametrize("packing", ["csv", "file", "encoding", "both"])
def test_packed_pages_are_seen_from_their_bytes(tenant: Tenant, packing: str) -> None:
    """As a gzip file, as a content encoding, both at once, or not at all."""
    tenant.vendor.content_encoding = packing in ("encoding", "both")
    if packing == "both":
        plain = tenant.vendor.page_body
        tenant.vendor.page_body = lambda task, number: gzip.compress(plain(task, number))

    result = tenant.sync(LINES, output_type="csv" if packing == "csv" else "gzip")

    assert tenant.sent(result, LINES) == tenant.expected(LINES)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("page", [1, 3])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"<!DOCTYPE html><html><body>Sorry</body></html>",
        lambda _: b"",
        lambda body: body[: body.rindex(b'"')],
        lambda body: body[: body.rindex(b',"')],
        lambda body: gzip.compress(body)[:-9],
        lambda body: body.replace(b"SO", b"\xff\xfe"),
        lambda _: b'{"status":"error"}',
    ],
    ids=["HTML", "empty", "cut in quotes", "cut in a row", "cut gzip", "no UTF-8", "JSON"],
)
def test_a_page_that_is_no_whole_csv_is_asked_for_again(
    tenant: Tenant, spoil: Any, page: int
) -> None:
    """It comes with status 200, so only its content tells."""
    plain, spoiled = tenant.vendor.page_body, []

    def body(task: Any, number: int) -> bytes:
        if number == page and len(spoiled) < 2:
            spoiled.append(number)
            return bytes(spoil(plain(task, number)))
        return plain(task, number)

    tenant.vendor.page_body = body

    result = tenant.sync(LINES, output_type="csv")

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(spoiled) == 2
    assert len(tenant.vendor.tasks) == 1


@pytest.mark.usefixtures("clock")
def test_a_page_that_stays_broken_fails_the_view(tenant: Tenant) -> None:
    """And says what it was, but nothing of its content."""
    tenant.vendor.page_body = lambda _, __: b'"ID","RC_ID"\n"secret row'

    _, said = tenant.fail(LINES)

    assert said == (
        f"{LINES}: page 1 ends in the middle of a quoted field, 4 times. Run again later."
    )


def test_fewer_rows_than_the_server_says_fail_the_view(tenant: Tenant) -> None:
    """Nothing is published then: the closing marker does not come."""
    body = json.dumps({"message": "does not exist", "total_pages": 5, "total_rows": 41})
    tenant.vendor.faults.add(path="pagenum=5", status=404, body=body)

    result, said = tenant.fail(LINES)

    assert "the server says that there are 41 rows, but 40 came in 4 pages" in said
    assert len(result.of_type("ACTIVATE_VERSION")) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"Total Rows": "41", "Total Pages": 5}',
        "The number of total pages and the number of total rows are returned: total rows = 41",
        '{"totalPages":5,"totalRows":41}',
        "total number of rows: 41",
        "total rows: 1,041, total pages: 105",
    ],
)
def test_totals_are_found_in_any_wording(tenant: Tenant, text: str) -> None:
    """The body of that answer is not documented."""
    tenant.vendor.faults.add(path="pagenum=5", status=404, body=text)

    _, said = tenant.fail(LINES)

    assert f"there are {'1,041' if '1,041' in text else '41'} rows" in said


@pytest.mark.usefixtures("clock")
def test_a_page_cut_between_two_rows_is_noticed(tenant: Tenant) -> None:
    """It is whole CSV; but only the last page may be shorter than the others."""
    plain = tenant.vendor.page_body

    def body(task: Any, number: int) -> bytes:
        text = plain(task, number)
        cut = len(tenant.vendor.tasks) == 1 and number == 2
        return (
            b"\n".join(text.split(b'\n"')[:1]) + b'\n"0","0","SO","","1","","x"\n' if cut else text
        )

    tenant.vendor.page_body = body

    result = tenant.sync(LINES)

    versions = {message["version"] for message in result.of_type("ACTIVATE_VERSION")}
    assert len(versions) == 2
    assert tenant.sent(result, LINES) == tenant.expected(LINES)


def test_an_empty_first_page_must_be_confirmed(tenant: Tenant) -> None:
    """404 for page 1 may mean that there are no rows, or that the page is lost."""
    tenant.vendor.faults.add(path="pagenum=1", status=404, body="no data found")

    _, said = tenant.fail(SCHEDULES)

    assert said == (f"{SCHEDULES}: the server has no page 1, but its rows are 40. Run again later.")


def test_five_views_at_once_and_no_more(tenant: Tenant) -> None:
    """The server refuses what is too much; nothing was refused."""
    tenant.vendor.page_seconds, tenant.vendor.hold_seconds = 0.01, 60.0
    tenant.vendor.query_limit = 2

    result = tenant.sync(max_parallel_views=2)

    assert tenant.vendor.refusals == 0
    assert tenant.sent(result, LINES) == tenant.expected(LINES)
