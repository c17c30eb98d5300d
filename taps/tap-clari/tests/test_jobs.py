"""The life of an export job: limits, start, waiting, its end, and the run after one that died."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from meltano.core.utils import merge
from singer_sdk.exceptions import ConfigValidationError

from tap_clari.tap import TapClari
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from sandbox.vendors.clari import Clari

BOTH = ["net_arr", "net_arr_ps_summary"]


def jobs(state: dict[str, Any]) -> dict[str, Any]:
    return {job["export"]: job for job in state["bookmarks"]["forecast_exports"]["jobs"]}


# Quota


def test_quota_is_asked_for_before_it_is_spent(source: Any, clari: Clari) -> None:
    """Two forecasts in two quarters need four exports, and three are left."""
    clari.monthly_quota = 3

    with pytest.raises(TapError, match=r"3 exports left of .* 3 in 30 days, and this run needs 4"):
        source.sync(forecast_ids=BOTH, time_periods=["current", "next"])

    assert source.posts == 0


def test_quota_used_up_by_another_run_meanwhile(source: Any, clari: Clari) -> None:
    """The refusal of the POST is the same code as for too many jobs; the limits tell them apart."""
    refusal = json.dumps({"code": "export_monthly_quota_reached", "message": "Limit"})
    fault = clari.faults.add(path="/export/forecast/", status=400, body=refusal)
    run = source.run()
    assert (run.error, fault.times) == (None, 0)
    clari.monthly_quota = len(clari.jobs)

    with pytest.raises(TapError, match="0 exports left"):
        source.sync()


def test_waits_while_too_many_jobs_run(source: Any, clari: Clari, naps: list[float]) -> None:
    """One at a time: the second export starts when the first job has ended."""
    clari.concurrent_limit, clari.looks_until_done = 1, 8

    result = source.sync(forecast_ids=BOTH, poll_seconds=1)

    assert len(result.records("forecast_exports")) == source.posts == 2
    assert naps[:3] == [1, 1, 0.5]


def test_others_leave_no_room(source: Any, clari: Clari, naps: list[float]) -> None:
    clari.others_running = 3

    with pytest.raises(TapError, match=r"let no job for net_arr:2026_Q2 start within 90 s"):
        source.sync(job_timeout_seconds=90)

    assert source.posts == 0
    assert sum(naps) == pytest.approx(90)


# Starting


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_start_whose_answer_was_an_error_made_no_job(
    source: Any, clari: Clari, naps: list[float], status: int
) -> None:
    """The job list shows none, so the export is asked for again."""
    clari.faults.add(path="/export/forecast/", status=status, times=2)

    source.sync()

    assert (source.posts, len(clari.jobs)) == (3, 1)
    assert naps


def test_a_start_whose_answer_was_lost(source: Any, clari: Clari, naps: list[float]) -> None:
    """The job was made: it is found in the list, and no second one spends quota."""
    source.sync()
    clari.faults.add(path="/export/forecast/", cut_after=5, times=2)

    result = source.sync(time_periods=["current", "next"])

    assert len(clari.jobs) == source.posts == 3
    assert len(result.records("forecast_exports")) == 2
    assert naps


def test_a_start_that_goes_on_failing(source: Any, clari: Clari, naps: list[float]) -> None:
    clari.faults.add(path="/export/forecast/", status=500, times=99)

    with pytest.raises(TapError, match=r"POST /export/forecast/net_arr answered 500"):
        source.sync()

    assert source.posts == 4
    assert naps


def test_retry_after_of_a_start(source: Any, clari: Clari, naps: list[float]) -> None:
    clari.faults.add(path="/export/forecast/", status=429, headers={"Retry-After": "7"})

    source.sync()

    assert sum(naps[:7]) == 7


# Waiting


def test_pauses_grow_and_end(source: Any, clari: Clari, naps: list[float]) -> None:
    """A job that never finishes; its id stays, and the next run spends no quota."""
    clari.looks_until_done = 10**6
    run = source.run(poll_seconds=8, job_timeout_seconds=300)

    assert "was still STARTED after 300 s. Run again: that waits for the same job" in str(run.error)
    assert sum(naps) == pytest.approx(300)
    assert max(naps) == 1  # a signal is never kept waiting
    looks = len(clari.seen("/export/jobs/"))
    assert 8 <= looks <= 12
    clari.looks_until_done = 3
    result = source.sync(run.result.state)
    assert source.posts == 1
    assert result.records("forecast_entries")
    assert jobs(result.state) == {}


def test_the_id_is_in_the_state_before_the_first_look(source: Any, clari: Clari) -> None:
    """Every id is out before any row, for which a loader might hold it back."""
    run = source.run(forecast_ids=BOTH, time_periods=["current", "next"])

    kinds = [message["type"] for message in run.result.messages]
    before = run.result.messages[: kinds.index("RECORD")]
    states = [message["value"] for message in before if message["type"] == "STATE"]
    ids = [job["job_id"] for job in jobs(states[-1]).values()]
    assert ids == [job.id for job in clari.jobs]
    assert len(ids) == 4


def test_meltano_forgets_jobs_too(source: Any, clari: Clari) -> None:
    """It merges partial states, and of an object would keep what was removed."""
    clari.final_status = "FAILED"
    states = [message["value"] for message in source.run().result.of_type("STATE")]

    merged: dict[str, Any] = {}
    for state in states:
        merge(state, merged)  # type: ignore[no-untyped-call]  # Meltano's

    assert any(map(jobs, states))
    assert jobs(merged) == {}


def test_a_job_that_ends_badly(source: Any, clari: Clari) -> None:
    """It is forgotten: asking for the same job again could never succeed."""
    for status in ("FAILED", "CANCELLED", "ABORTED"):
        clari.final_status = status
        run = source.run()
        assert f"ended as {status}. Run again; that starts a new job" in str(run.error)
        assert jobs(run.result.state) == {}
    clari.final_status = "DONE"

    source.sync(run.result.state)

    assert source.posts == 4


@pytest.mark.parametrize("flag", ["rowsTruncated", "cellsTruncated"])
def test_a_file_that_was_cut(source: Any, clari: Clari, flag: str) -> None:
    clari.flags = {flag: True}

    run = source.run()

    assert f"says {flag}: its file is not whole" in str(run.error)
    assert run.result.records("forecast_entries") == []
    assert jobs(run.result.state) == {}


def test_a_job_without_an_end_time(source: Any, clari: Clari) -> None:
    clari.flags = {"endTime": None}

    with pytest.raises(TapError, match="DONE without an endTime"):
        source.sync()


def test_a_status_that_is_not_documented(source: Any, clari: Clari, naps: list[float]) -> None:
    """The vendor's prose speaks of RUNNING: it is waited for, and named when time is up."""
    clari.looks_until_done, clari.final_status = 0, "RUNNING"

    with pytest.raises(TapError, match="still RUNNING after 20 s"):
        source.sync(job_timeout_seconds=20)

    assert naps


def test_both_shapes_of_a_job(source: Any, clari: Clari) -> None:
    """Flat as documented and wrapped in `job`; the stand-in takes turns."""
    result = source.sync(time_periods=["current", "next"])

    assert [export["job_id"] for export in result.records("forecast_exports")] == [
        job.id for job in clari.jobs
    ]


@pytest.mark.parametrize(
    "body", ["[]", "{}", '{"job": {"status": "DONE"}}', '{"jobId": "1"}', "<html>"]
)
def test_an_answer_that_is_no_job(source: Any, clari: Clari, body: str) -> None:
    clari.faults.add(path="/export/jobs/", status=200, body=body)

    with pytest.raises(TapError, match=r"Clari: "):
        source.sync()


# The run after


def test_a_run_after_one_that_died_reads_only_what_is_missing(source: Any, clari: Clari) -> None:
    """The first export was loaded, of the second the id is known, and the third failed to start."""
    clari.faults.add(path="/results", status=404, skip=1)
    first = source.run(time_periods=["previous", "current"])
    assert "1 of 2 exports failed (net_arr:2026_Q2)" in str(first.error)
    assert len(first.result.records("forecast_exports")) == 1

    second = source.sync(first.result.state, time_periods=["previous", "current"])

    assert [e["time_period_id"] for e in second.records("forecast_exports")] == ["2026_Q2"]
    assert source.posts == 2
    assert jobs(second.state) == {}
    source.sync(second.state, time_periods=["previous", "current"])
    assert source.posts == 4


def test_a_failure_of_another_stream_spends_no_quota(source: Any, clari: Clari) -> None:
    """Exports that were loaded are not asked for again while the run has not come to its end."""
    clari.faults.add(path="/audit/events", status=403)
    first = source.run()
    assert "Check api_token" in str(first.error)

    second = source.sync(first.result.state)

    assert source.posts == 1
    assert second.records("audit_events")
    assert jobs(second.state) == {}


@pytest.mark.parametrize(
    ("settings", "posts"), [({}, 1), ({"currency": "EUR"}, 2), ({"resume_within_hours": 0}, 2)]
)
def test_only_the_same_question_is_gone_on_with(
    source: Any, clari: Clari, naps: list[float], settings: dict[str, Any], posts: int
) -> None:
    """Not one in another currency, and not one of the day before."""
    clari.looks_until_done = 10**6
    first = source.run(job_timeout_seconds=1, poll_seconds=1)
    clari.looks_until_done = 3

    source.sync(first.result.state, **settings)

    assert (source.posts, bool(naps)) == (posts, True)


@pytest.mark.parametrize(
    "gone",
    [
        {"status": 400, "body": '{"code": "invalid_jobId", "message": "No such job"}'},
        {"status": 403, "body": '{"message": "Another user\'s job"}'},
    ],
)
def test_a_job_that_is_not_there_any_more(source: Any, clari: Clari, gone: dict[str, Any]) -> None:
    """Of another token's user, for example: asking for it until it is too old would be in vain."""
    clari.looks_until_done = 10**6
    first = source.run(job_timeout_seconds=0.001)
    clari.looks_until_done = 3
    clari.faults.add(path="/export/jobs/", **gone)

    second = source.run(first.result.state)

    assert "has no such job. Run again; that starts a new one" in str(second.error)
    assert jobs(first.result.state)
    assert jobs(second.result.state) == {}
    source.sync(second.result.state)
    assert source.posts == 2


def test_a_run_without_exports_forgets_no_job(source: Any, clari: Clari) -> None:
    """It comes to its end, but not with them."""
    clari.looks_until_done = 10**6
    first = source.run(job_timeout_seconds=0.001)
    clari.looks_until_done = 3

    second = source.run(first.result.state, only=("audit_events",))
    source.sync(second.result.state)

    assert (second.error, source.posts) == (None, 1)


# Refusals


@pytest.mark.parametrize("token", ["a-secret\n", "a-secret\u2026", "a secret", ""])
def test_a_token_that_no_header_can_hold(token: str) -> None:
    """The HTTP library would name it in its error; a file with a last line feed is enough."""
    with pytest.raises(ConfigValidationError) as caught:
        TapClari(config={"api_token": token, "forecast_ids": ["a"]})

    assert caught.value.errors == ["The setting api_token is not valid"]
    assert "secret" not in str(caught.value)


def test_the_token_does_not_go_to_another_server(
    source: Any, clari: Clari, new_source: Any
) -> None:
    """Which refuses the request for want of it, and would take it otherwise."""
    with new_source() as elsewhere:
        location = {"Location": f"{elsewhere.url}/v4/admin/limits"}
        clari.faults.add(path="/admin/limits", status=307, headers=location)

        with pytest.raises(TapError, match="401 Unauthorized"):
            source.sync()

        assert len(elsewhere.vendor.requests) == 1


def test_a_redirection_on_the_same_server_is_followed(source: Any, clari: Clari) -> None:
    location = {"Location": f"{source.url}/v4/admin/limits?moved=1"}
    clari.faults.add(path="/admin/limits", status=307, headers=location)

    assert source.sync().records("forecast_entries")


def test_a_forecast_without_opt_in(source: Any, clari: Clari) -> None:
    """A 401, but the key is good; the other forecast is loaded all the same."""
    clari.opted_out = {"net_arr"}

    run = source.run(forecast_ids=BOTH)

    assert "net_arr:2026_Q2" in str(run.error)
    assert "POST /export/forecast/net_arr answered 401 Unauthorized: no_optin" in str(run.error)
    assert "let an administrator of Clari opt that user in" in str(run.error)
    forecasts = Counter(row["forecast_id"] for row in run.result.records("forecast_entries"))
    assert list(forecasts) == ["net_arr_ps_summary"]


def test_a_token_that_is_refused(source: Any, clari: Clari) -> None:
    run = source.run(api_token="another-one")

    assert "answered 401 Unauthorized: Invalid authentication credentials" in str(run.error)
    assert "Check api_token, which ends with the user who made it." in str(run.error)
    assert "another-one" not in str(run.error)
    assert len(clari.requests) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"forecast_ids": ["nothing"]}, "no_such_forecast_config.*stands in the browser's address"),
        ({"types_to_export": ["crm_total"]}, "type_not_supported.*Use the Forecast API"),
        ({"currency": "EURO"}, "bad_request"),
    ],
)
def test_a_question_that_is_refused(source: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(TapError, match=words):
        source.sync(**settings)

    assert source.posts == 1


@pytest.mark.parametrize("setting", ["forecast_ids", "time_periods"])
def test_nothing_to_export(source: Any, clari: Clari, setting: str) -> None:
    """An empty list is a mistake, not a run without rows."""
    with pytest.raises(TapError, match="must each name one at least"):
        source.sync(**{setting: []})

    assert clari.requests == []


# Faults that pass


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/limits", {"status": 429, "headers": {"Retry-After": "3"}}),
        ("/limits", {"status": 429}),
        ("/export/jobs", {"status": 500, "times": 3}),
        ("/export/jobs/", {"status": 400, "body": '{"code": "SWW", "message": "Wrong"}'}),
        ("/results", {"cut_after": 40}),
        ("/results", {"status": 429, "headers": {"Retry-After": "3"}}),
        ("/audit/events", {"status": 502, "times": 2}),
        ("/audit/events", {"cut_after": 40}),
    ],
)
def test_what_passes_is_tried_again(
    source: Any, clari: Clari, naps: list[float], path: str, fault: dict[str, Any]
) -> None:
    clari.faults.add(path=path, **fault)

    result = source.sync()

    assert len(result.records("forecast_entries")) == 27
    assert len(result.records("audit_events")) == len(clari.events)
    assert naps
    assert (3.0 in naps) == ("headers" in fault)
    assert (clari.faults.listed(), source.posts) == ([], 1)


def test_what_does_not_pass(source: Any, clari: Clari, naps: list[float]) -> None:
    clari.faults.add(path="/results", status=503, times=99)

    run = source.run()

    assert "/results answered 503" in str(run.error)
    assert list(jobs(run.result.state)) == ["net_arr:2026_Q2"]
    assert naps
