"""Going on where a run died; and what is known of a view from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Tenant
    from tapsupport.testing import SyncResult

HOLDS = "BI3_RC_HOLD"
LINES = "BI3_RC_LNS"


def states(result: SyncResult) -> list[dict[str, Any]]:
    """Every state of the run; one whose process dies there leaves it."""
    return [message["value"] for message in result.of_type("STATE")]


@pytest.mark.parametrize(
    ("state", "pages"), [(0, ["1", "2", "3", "4", "5"]), (1, ["3", "4", "5"]), (2, ["5"])]
)
def test_a_run_goes_on_at_the_page_it_had_reached(
    tenant: Tenant, state: int, pages: list[str]
) -> None:
    """With the same version, and a word for the loader that it must have the first rows."""
    first = tenant.sync(LINES)
    tenant.vendor.requests.clear()

    second = tenant.sync(LINES, state=states(first)[state])

    assert tenant.pages(LINES) == pages
    assert len(tenant.vendor.tasks) == 1
    assert tenant.sent(second, LINES) == tenant.expected(LINES)[20 * state :]
    (schema,) = second.of_type("SCHEMA")
    assert schema["schema"].get("x-resumes", False) is (state > 0)
    versions = {m["version"] for r in (first, second) for m in r.of_type("ACTIVATE_VERSION")}
    assert len(versions) == 1


@pytest.mark.parametrize("end", ["gone", "cancelled", "failed", "stale"])
def test_without_its_task_a_view_begins_anew(tenant: Tenant, end: str) -> None:
    """A stale one is cancelled first, since it occupies the view's only place."""
    first = tenant.sync(LINES)
    (task,) = tenant.vendor.tasks
    now = tenant.vendor.clock.now()
    if end == "gone":
        tenant.vendor.clock.advance(301)
    elif end == "stale":
        task.stuck = now - 300
    else:
        task.fail(end.upper(), now)

    second = tenant.sync(LINES, state=states(first)[1])

    assert tenant.sent(second, LINES) == tenant.expected(LINES)
    assert "x-resumes" not in second.of_type("SCHEMA")[0]["schema"]
    versions = [r.of_type("ACTIVATE_VERSION")[0]["version"] for r in (first, second)]
    assert versions[0] < versions[1]
    assert task.status == {"gone": "", "failed": "FAILED"}.get(end, "CANCELLED")


@pytest.mark.parametrize("settings", [{"page_size": 8}, {"output_type": "csv"}])
def test_other_settings_begin_anew(tenant: Tenant, settings: dict[str, Any]) -> None:
    """Page 3 of another page size is another page; the old task is cancelled."""
    first = tenant.sync(LINES)

    second = tenant.sync(LINES, state=states(first)[1], **settings)

    assert tenant.sent(second, LINES) == tenant.expected(LINES)
    assert [task.status for task in tenant.vendor.tasks] == ["CANCELLED", ""]


@pytest.mark.usefixtures("clock")
def test_a_resumed_view_whose_task_is_lost_fails_and_then_begins_anew(tenant: Tenant) -> None:
    """The loader was told that the snapshot goes on, which cannot be taken back in that run."""
    first = tenant.sync(LINES)
    tenant.vendor.failing_pages = [4]

    second, said = tenant.fail(LINES, state=states(first)[1])
    third = tenant.sync(LINES, state=second.state)

    assert "run again, which begins it anew" in said
    assert tenant.sent(third, LINES) == tenant.expected(LINES)


def test_a_view_resumes_in_its_second_window(tenant: Tenant) -> None:
    tenant.vendor.row_limit = 25
    first = tenant.sync(LINES, max_query_rows=25)
    last = states(first)[-2]
    assert last["bookmarks"][LINES]["progress"]["index"] == 1
    tenant.vendor.requests.clear()

    second = tenant.sync(LINES, max_query_rows=25, state=last)

    assert len(tenant.pages(LINES)) <= 2
    assert second.state == first.state


def test_a_finished_view_begins_anew(tenant: Tenant) -> None:
    first = tenant.sync(LINES)

    second = tenant.sync(LINES, state=first.state)

    assert "progress" not in first.state["bookmarks"][LINES]
    assert tenant.sent(second, LINES) == tenant.expected(LINES)


def test_a_view_that_lost_all_its_rows_empties_its_table(tenant: Tenant) -> None:
    """Only if the server counts none either; a snapshot without rows says it to the loader."""
    first = tenant.sync(HOLDS, end_date="2027-01-01")
    tenant.vendor.views[HOLDS].rows.clear()

    second = tenant.sync(HOLDS, end_date="2028-01-01", state=first.state)

    kinds = [message["type"] for message in second.messages]
    assert kinds == ["STATE", "SCHEMA", "ACTIVATE_VERSION", "ACTIVATE_VERSION", "STATE"]
    assert len(tenant.vendor.seen("count")) == 1


def test_rows_that_are_counted_but_do_not_come_fail_the_view(tenant: Tenant) -> None:
    first = tenant.sync(HOLDS)
    tenant.vendor.faults.add(path="pagenum=1", status=204)

    _, said = tenant.fail(HOLDS, state=first.state)

    assert "had rows before and brings none now, but the server counts 4" in said


@pytest.mark.parametrize("state", [{"progress": {"page": 3}}, {"progress": 7}])
def test_a_state_of_another_tap(tenant: Tenant, state: dict[str, Any]) -> None:
    _, said = tenant.fail(LINES, state={"bookmarks": {LINES: state}})

    assert said.startswith(f"The state of stream {LINES} is not this tap's")
