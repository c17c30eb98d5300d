"""Each answer of the sheet's section 6, and envelopes that are none."""

from __future__ import annotations

import json
import logging

import pytest
from singer_sdk.exceptions import ConfigValidationError

from sandbox.vendors.server import serve
from sandbox.vendors.thought_industries import ThoughtIndustries
from tap_thought_industries.tap import TapThoughtIndustries
from tapsupport.errors import TapError

from .conftest import Site, bookmark

STREAM = "course_actions"


def test_a_refused_key_fails_at_once(site: Site, naps: list[float]) -> None:
    """The answer has an empty body, so nothing may look for JSON in it."""
    sentence = site.fail(STREAM, api_key="wrong", max_parallel_windows=1)

    assert "401" in sentence
    assert "api_key" in sentence
    assert "wrong" not in sentence
    assert naps == []


@pytest.mark.parametrize("key", ["a-secret\n", "a-secret\u2026", "a secret", ""])
def test_a_key_that_no_header_can_hold(site: Site, key: str) -> None:
    """The HTTP library would name it in its error; a file with a last line feed is enough."""
    with pytest.raises(ConfigValidationError) as caught:
        site.sync(STREAM, api_key=key)

    assert caught.value.errors == ["The setting api_key is not valid"]
    assert "secret" not in str(caught.value)


def test_the_connection_test_asks_whether_the_key_is_valid(site: Site) -> None:
    """And reads nothing, however far back the start date lies."""
    assert TapThoughtIndustries(config=site.config()).run_connection_test()

    assert [request.path for request in site.vendor.requests] == ["/incoming/v2/ping"]


@pytest.mark.parametrize("body", ['{"valid": false}', "<html></html>"])
def test_the_connection_test_believes_no_other_answer(site: Site, body: str) -> None:
    site.vendor.faults.add(status=200, body=body)

    with pytest.raises(TapError, match="did not say that the key is valid"):
        TapThoughtIndustries(config=site.config()).run_connection_test()


def test_a_stream_that_the_key_may_not_read_stops_no_other(site: Site) -> None:
    site.vendor.refused = {"courseAction"}

    result, error = site.run(STREAM, "logins")

    assert error
    assert "Failed: course_actions; " in str(error)
    assert "GET /events/courseAction answered 403" in str(error)
    assert result.records("logins") == site.expected("logins")
    assert bookmark(result, "logins") == "2026-01-07"


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "7"}, 7),
        (429, {}, 30),
        (429, {"X-RateLimit-Reset": "1"}, 0),
        (503, {"Retry-After": "9"}, 9),
    ],
)
def test_waits_as_long_as_the_vendor_asks(
    site: Site, naps: list[float], status: int, headers: dict[str, str], wait: int
) -> None:
    """And half a minute when a 429 does not say."""
    site.vendor.faults.add(status=status, headers=headers)

    result = site.sync(STREAM)

    assert naps == [wait]
    assert result.records(STREAM) == site.expected(STREAM)


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 502}, {"status": 504}, {"cut_after": 200}]
)
def test_tries_again_what_may_pass(site: Site, naps: list[float], fault: dict[str, int]) -> None:
    site.vendor.faults.add(skip=2, times=3, **fault)

    result = site.sync(STREAM)

    assert len(naps) == 3
    assert result.records(STREAM) == site.expected(STREAM)


def test_gives_up_on_a_vendor_that_stays_down(site: Site, naps: list[float]) -> None:
    site.vendor.faults.add(times=1000, status=500)

    sentence = site.fail(STREAM, max_parallel_windows=1)

    assert "GET /events/courseAction answered 500" in sentence
    assert len(naps) >= 7


def test_any_other_refusal_shows_the_path_and_not_the_key(site: Site) -> None:
    site.vendor.faults.add(status=400, body='{"message": "Wrong unit."}')

    sentence = site.fail(STREAM)

    assert "GET /events/courseAction answered 400" in sentence
    assert "Wrong unit" in sentence


@pytest.mark.parametrize(
    "body",
    ['{"pageInfo": {"hasMore": false}}', '{"data": {}}', '{"data": {"APIEvents": {}}}',
     '{"events": null}', '{"events": {}}', "[]", "<html></html>", ""],
)  # fmt: skip
def test_an_answer_without_events_is_no_empty_page(site: Site, body: str) -> None:
    site.vendor.faults.add(status=200, body=body)

    assert "without a list called events" in site.fail(STREAM)


def moved(site: Site, to: str) -> None:
    """Let the first day's first request be told to go elsewhere."""
    query = "startDate=1767225600000&endDate=1767311999999"
    location = f"{to}/incoming/v2/events/courseAction?{query}"
    site.vendor.faults.add(path=query, status=301, headers={"Location": location})


def test_follows_a_moved_address(site: Site) -> None:
    moved(site, site.url)

    assert site.sync(STREAM).records(STREAM) == site.expected(STREAM)


def test_the_key_does_not_go_to_another_host(site: Site) -> None:
    """Which refuses the request for want of it."""
    with serve(ThoughtIndustries(3)) as elsewhere:
        moved(site, elsewhere)

        assert "401" in site.fail(STREAM)


def test_holds_its_requests_back_before_the_limit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The headers say when the next request is allowed: no 429 is ever met."""
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        site.vendor.requests_left = 5

    monkeypatch.setattr("time.sleep", sleep)
    site.vendor.requests_left = 5

    result = site.sync(STREAM, max_parallel_windows=1)

    assert result.records(STREAM) == site.expected(STREAM)
    assert len(waits) == (len(site.vendor.requests) - 1) // 5
    assert all(25 < seconds <= 60 for seconds in waits)


def test_a_limit_that_is_met_all_the_same(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs use the same allowance (the sheet's section 5)."""
    monkeypatch.setattr("time.sleep", lambda _: setattr(site.vendor, "requests_left", None))
    site.vendor.requests_left, site.vendor.waits_told = 0, False

    result = site.sync(STREAM)

    assert result.records(STREAM) == site.expected(STREAM)


def test_the_key_is_never_printed(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site.vendor.faults.add(status=500)
    site.vendor.faults.add(status=400)

    result, error = site.run(STREAM, api_key="very-secret")

    assert "very-secret" not in f"{caplog.text}{error}{json.dumps(result.state)}"


def test_personal_data_stays_out_of_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    result = site.sync("logins")

    assert result.records("logins")[0]["user"] not in caplog.text
