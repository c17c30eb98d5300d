"""The life of a query: lost answers, busy servers, failed tasks, and what is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Tenant

HOLDS = "BI3_RC_HOLD"
LINES = "BI3_RC_LNS"
HTML = "<html><body>Service unavailable</body></html>"
START, END = "2016-07-26T00:00:00", "2030-01-01T00:00:00"


@pytest.fixture(params=["no answer", "gateway time-out"])
def lost_answer(request: pytest.FixtureRequest, tenant: Tenant) -> None:
    """Page 1 begins a task, but its answer does not arrive."""
    if request.param == "no answer":
        tenant.vendor.faults.add(path="pagenum=1", cut_after=0)
    else:
        tenant.vendor.gateway_timeouts = 1


@pytest.mark.usefixtures("lost_answer")
@pytest.mark.parametrize("flat_status", [True, False])
def test_a_task_whose_token_was_lost_is_found(
    tenant: Tenant, *, clock: list[float], flat_status: bool
) -> None:
    """By view and dates among the tasks; the query does not run twice."""
    tenant.vendor.flat_status = flat_status
    tenant.vendor.begin_task(LINES, START, "2020-01-01T00:00:00", 10)  # another client's
    tenant.vendor.begin_task(HOLDS, START, END, 10)

    result = tenant.sync(LINES, end_date=END)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert [task.view for task in tenant.vendor.tasks] == [LINES, HOLDS, LINES]
    assert clock == []


def test_without_a_task_page_1_is_asked_for_again(tenant: Tenant, clock: list[float]) -> None:
    tenant.vendor.faults.add(path="pagenum=1", status=503, times=2)

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert clock == [2.0, 4.0]


def test_page_1_is_given_up_after_six_tries(tenant: Tenant, clock: list[float]) -> None:
    tenant.vendor.faults.add(path="pagenum=1", status=500, times=100)

    _, said = tenant.fail(LINES)

    assert tenant.pages(LINES) == ["1"] * 6
    assert "500" in said
    assert sum(clock) == 62


@pytest.mark.parametrize("fault", [{"status": 502}, {"status": 429}, {"cut_after": 40}])
def test_later_pages_are_asked_for_again(
    tenant: Tenant, clock: list[float], fault: dict[str, Any]
) -> None:
    tenant.vendor.faults.add(path="pagenum=3", times=2, **fault)

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert tenant.pages(LINES) == ["1", "2", "3", "3", "3", "4", "5"]
    assert len(clock) == 2


@pytest.mark.parametrize("status", [400, 403, 429])
def test_a_refusal_for_too_many_queries_is_waited_for(
    tenant: Tenant, clock: list[float], status: int
) -> None:
    """Its status and text are not documented; another client's task is never cancelled."""
    other = tenant.vendor.begin_task(LINES, START, "2025-01-01T00:00:00", 1)
    other.page_seconds = 3.0
    if status != 400:
        text = "Data query quota reached"
        tenant.vendor.faults.add(path="pagenum=1", status=status, body=text, times=3)

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert other.status == ""
    assert len(clock) >= 3


def test_what_is_waited_for_is_said(
    tenant: Tenant, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each wait, with the vendor's own words: it may last an hour."""
    text = "Data query quota reached"
    tenant.vendor.faults.add(path="pagenum=1", status=403, body=text, times=5)

    with caplog.at_level("INFO"):
        tenant.sync(LINES)

    assert caplog.text.count(f"{LINES}: waiting for a free place for its query. {text}") == 1
    assert len(clock) == 5


@pytest.mark.parametrize("text", ["pageSize is above the limit of 5000", "Page size limit: 5000"])
def test_a_page_size_above_the_tenants_limit_is_not_waited_for(
    tenant: Tenant, clock: list[float], text: str
) -> None:
    """Tenants may have lower limits than the vendor's; the answer speaks of a limit, too."""
    tenant.vendor.faults.add(path="pagenum=1", status=400, body=text, times=100)

    _, said = tenant.fail(LINES)

    assert f"was refused with 400: {text}. Check application_client_id, page_size" in said
    assert clock == []


@pytest.mark.usefixtures("clock")
def test_a_query_of_ours_that_blocks_its_own_repetition_is_taken_up(tenant: Tenant) -> None:
    """A run that died before it could say its token, and the next one with the same dates."""
    task = tenant.vendor.begin_task(LINES, START, END, 10)
    task.page_seconds = 60.0

    result = tenant.sync(LINES, end_date=END)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert tenant.vendor.tasks == [task]


@pytest.mark.usefixtures("clock")
def test_a_failed_task_gets_one_fresh_start(tenant: Tenant) -> None:
    """With a new version, so that nothing of the first attempt is published."""
    tenant.vendor.failing_pages = [3]

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    versions = [message["version"] for message in result.of_type("ACTIVATE_VERSION")]
    assert versions[0] < versions[1] == versions[2]


def test_a_fresh_start_at_the_same_moment_has_a_later_version(
    tenant: Tenant, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions are milliseconds, and two attempts may share one."""
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    tenant.vendor.failing_pages = [3]

    result = tenant.sync(LINES)

    versions = [message["version"] for message in result.of_type("ACTIVATE_VERSION")]
    assert versions == [10**12, 10**12 + 1, 10**12 + 1]
    assert clock == [5.0] * 4


@pytest.mark.usefixtures("clock")
def test_a_second_failure_ends_the_view(tenant: Tenant) -> None:
    tenant.vendor.failing_pages = [3, 2]

    result, said = tenant.fail(LINES)

    assert said == (
        f"{LINES} could not be read to its end: its task is FAILED: ORA-01555: snapshot too old. "
        "Nothing of it is published; run again, which begins it anew."
    )
    versions = [message["version"] for message in result.of_type("ACTIVATE_VERSION")]
    assert len(set(versions)) == len(versions)
    assert "progress" not in result.state["bookmarks"][LINES]


@pytest.mark.parametrize("queue_seconds", [0.0, 250.0, 541.0, 600.0])
def test_a_task_that_stands_still(tenant: Tenant, clock: list[float], queue_seconds: float) -> None:
    """Waited for while it is active; stale, draining or gone, the view begins anew."""
    plain = tenant.vendor.page_body

    def body(task: Any, number: int) -> bytes:
        if number == 2 and task is tenant.vendor.tasks[0]:
            task.stuck = tenant.vendor.clock.now() - queue_seconds
        return plain(task, number)

    tenant.vendor.page_body = body

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(tenant.vendor.tasks) == 2
    if not queue_seconds:
        assert sum(clock) > 240
        assert tenant.vendor.tasks[0].status == "CANCELLED"


@pytest.mark.usefixtures("clock")
def test_a_finished_task_whose_pages_are_lost(tenant: Tenant) -> None:
    """How long pages stay readable is not documented."""
    text = "Page still not yet cached. Please retry."
    tenant.vendor.faults.add(path="pagenum=3", status=400, body=text, times=25)

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(tenant.vendor.tasks) == 2


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("rows_left", [0, 1])
def test_a_task_that_has_gone_behind_a_full_page(tenant: Tenant, rows_left: int) -> None:
    """The normal end if all rows had come, which a count says; otherwise pages are missing."""
    plain = tenant.vendor.page_body

    def body(task: Any, number: int) -> bytes:
        if number == 4 - rows_left and task is tenant.vendor.tasks[0]:
            task.stuck = tenant.vendor.clock.now() - 600
        return plain(task, number)

    tenant.vendor.page_body = body

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(tenant.vendor.tasks) == 1 + rows_left


@pytest.mark.usefixtures("clock")
def test_a_view_that_fails_frees_its_place(tenant: Tenant) -> None:
    """And does not stop the others."""
    tenant.vendor.faults.add(path=f"{LINES}?", status=400, body="ORA-00942: no view", skip=1)

    result, said = tenant.fail(LINES, HOLDS)

    tasks = {task.view: task.status for task in tenant.vendor.tasks}
    assert tasks == {LINES: "CANCELLED", HOLDS: ""}
    assert said.startswith(
        f"1 of 2 streams failed. The others were read to their end. {LINES}: Zuora Revenue: "
        f"{LINES} was refused"
    )
    assert "with 400: ORA-00942: no view. Check application_client_id" in said
    assert tenant.sent(result, HOLDS) == tenant.expected(HOLDS)


@pytest.mark.usefixtures("clock")
def test_a_cancellation_that_fails_hides_no_error(
    tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    tenant.vendor.faults.add(path=f"{LINES}?", status=400, body="no view", skip=1)
    tenant.vendor.faults.add(path="biviews-status/", status=500)

    _, said = tenant.fail(LINES)

    assert "no view" in said
    assert "cancelling the task failed" in caplog.text


def test_a_gateways_page_in_place_of_the_status(tenant: Tenant, clock: list[float]) -> None:
    """HTML with status 200, as it comes for pages too: it is asked for again, a while."""
    tenant.vendor.gateway_timeouts = 1
    tenant.vendor.faults.add(path="biviews-status", status=200, body=HTML, times=2)

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(tenant.vendor.tasks) == 1
    assert clock == [5.0, 5.0]


@pytest.mark.usefixtures("clock")
def test_a_status_that_stays_a_gateways_page_fails_the_view_alone(tenant: Tenant) -> None:
    tenant.vendor.faults.add(path=f"{LINES}?", status=504)
    tenant.vendor.faults.add(path="biviews-status", status=200, body=HTML, times=6)

    result, said = tenant.fail(LINES, "BI3_CALENDAR", max_parallel_views=1)

    assert f"{LINES}: Zuora Revenue: the answer of biviews-status is no JSON" in said
    assert tenant.sent(result, "BI3_CALENDAR") == tenant.expected("BI3_CALENDAR")


@pytest.mark.parametrize(
    ("body", "said"), [(HTML, "could not be counted"), ('{"count": null}', "no number in field")]
)
def test_a_count_that_is_none(tenant: Tenant, body: str, said: str) -> None:
    tenant.vendor.faults.add(path="pagenum=1", status=404)
    tenant.vendor.faults.add(path="/count/", status=200, body=body)

    assert said in tenant.fail(LINES)[1]


@pytest.mark.usefixtures("clock")
def test_a_status_without_its_lists_is_an_error(tenant: Tenant) -> None:
    """Never taken for a server without tasks."""
    tenant.vendor.gateway_timeouts = 1
    tenant.vendor.faults.add(path="biviews-status", status=200, body='{"status": "ok"}')

    _, said = tenant.fail(LINES)

    assert said.startswith("Zuora Revenue: the answer of biviews-status has none of the lists")


@pytest.mark.usefixtures("clock")
def test_a_first_page_without_its_token_is_an_error(tenant: Tenant) -> None:
    body = tenant.vendor.page_body(tenant.vendor.begin_task(LINES, START, "2021-01-01", 10), 1)
    tenant.vendor.faults.add(path="pagenum=1", status=200, body=body.decode(), times=10)

    _, said = tenant.fail(LINES)

    assert "page 1 came without the header continuation-token" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"page_size": 20_000, "output_type": "csv"}, "Invalid pageSize. Check application_client"),
        ({"application_client_id": 2}, "Invalid client id. Check application_client_id"),
        ({"start_date": "yesterday"}, "The setting start_date is yesterday, which is no date-time"),
        ({"end_date": "2016-01-01"}, "is not before end_date 2016-01-01T00:00:00"),
        ({"stream_maps": {"x": {}}}, "no stream_maps"),
    ],
)
def test_wrong_settings(tenant: Tenant, settings: dict[str, Any], said: str) -> None:
    assert said in tenant.fail(LINES, **settings)[1]
    assert len(tenant.pages(LINES)) <= 1
