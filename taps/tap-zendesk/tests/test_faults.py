"""Answers that are wrong, late, cut or not Zendesk's at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

HTML = {"Content-Type": "text/html"}
PROXY = "<html><body>Please sign in, person1000@example.com</body></html>"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503, "headers": {**HTML, "Retry-After": "2"}, "body": "<h1>Maintenance</h1>"},
        {"status": 524},
        {"status": 409},
        {"cut_after": 40},
        {"status": 502, "times": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["tickets/cursor", "tickets/5/audits", "organizations"])
def test_what_may_pass_is_tried_again(source: Source, path: str, fault: dict[str, Any]) -> None:
    source.zendesk.faults.add(path=path, **fault)

    result = source.sync("tickets", "ticket_audits", "organizations")

    assert len(result.records("tickets")) == 12
    assert len(result.records("ticket_audits")) == 24
    assert len(result.records("organizations")) == 3


def test_maintenance_that_lasts_fails_with_status_and_path(source: Source) -> None:
    source.zendesk.faults.add(path="users", status=503, times=99, body="<h1>Maintenance</h1>")

    with pytest.raises(TapError, match=r"/incremental/users/cursor.json answered 503"):
        source.sync("users")
    assert len(source.zendesk.seen("users")) == 8


def test_a_page_that_takes_too_long_is_halved(source: Source) -> None:
    """And the pages after it are as small."""
    source.zendesk.faults.add(path="tickets/cursor", status=504, times=3)

    assert len(source.sync("tickets", page_size=80).records("tickets")) == 12
    sizes = [parse_qs(r.query)["per_page"][0] for r in source.zendesk.seen("tickets/cursor")]
    assert sizes == ["80", "40", "20", "10", "10"]


def test_a_proxy_in_the_way_is_told_from_zendesk(source: Source) -> None:
    """A page in HTML with status 200 is no empty page, and its text is not shown."""
    source.zendesk.faults.add(path="groups", status=200, headers=HTML, body=PROXY)

    with pytest.raises(TapError, match=r"/groups answered 200 with text/html") as caught:
        source.sync("groups")
    assert "example.com" not in str(caught.value)


def test_a_wrong_subdomain_is_named(source: Source) -> None:
    token = "token-of-another-account"
    with pytest.raises(TapError, match=r"answered 404\. Check subdomain"):
        source.sync("tags", subdomain="nobody", access_token=token)
    with pytest.raises(TapError, match="must be the first part of the account's address"):
        source.sync("tags", subdomain="https://tributary.zendesk.com")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "InvalidValue", "description": "too deep"},
        {"error": {"title": "InvalidValue", "message": "too deep"}},
    ],
)
def test_a_refusal_carries_the_vendors_words(source: Source, body: dict[str, Any]) -> None:
    source.zendesk.faults.add(path="macros", status=400, body=json.dumps(body))

    with pytest.raises(TapError, match=r"/macros answered 400 Bad Request: InvalidValue: too deep"):
        source.sync("macros")


@pytest.mark.parametrize(
    ("path", "stream", "body", "missing"),
    [
        ("groups", "groups", {"meta": {"has_more": False}}, "a list of objects under groups"),
        ("groups", "groups", {"groups": [1], "meta": {"has_more": False}}, "a list of objects"),
        ("groups", "groups", {"groups": []}, "meta.has_more"),
        ("groups", "groups", {"groups": [], "meta": {"has_more": True}}, "meta.after_cursor"),
        ("tickets", "tickets", {"tickets": [], "after_cursor": "a"}, "end_of_stream"),
        ("tickets", "tickets", {"tickets": [], "end_of_stream": False}, "after_cursor"),
        (
            "tickets",
            "tickets",
            {"tickets": [{"id": 1, "generated_timestamp": "now"}], "end_of_stream": True},
            "generated_timestamp",
        ),
        (
            "organizations",
            "organizations",
            {"organizations": [], "end_time": "soon", "end_of_stream": True},
            "end_time",
        ),
        ("ticket_events", "ticket_comments", {"ticket_events": [{}], "end_of_stream": True}, "chi"),
    ],
)
def test_a_page_that_lacks_something_is_no_empty_page(
    source: Source, path: str, stream: str, body: dict[str, Any], missing: str
) -> None:
    source.zendesk.faults.add(path=path, status=200, body=json.dumps(body))

    with pytest.raises(TapError, match=f"answered without .*{missing}"):
        source.sync(stream)


def test_a_cursor_that_goes_nowhere_is_no_endless_loop(source: Source) -> None:
    source.tenant.paging.hollow_pages = 10**6

    with pytest.raises(TapError, match="a page that goes on or ends"):
        source.sync("tickets")
    assert len(source.zendesk.seen("tickets/cursor")) < 30


def test_a_field_of_another_type_is_passed_on(source: Source) -> None:
    """The loader refuses it or sets it aside, as `on_bad_record` says; it is never bent."""
    source.tenant.account.lists["groups"][0]["default"] = "perhaps"

    result = source.sync("groups")

    assert result.records("groups")[0]["default"] == "perhaps"


@pytest.mark.parametrize(
    ("stream", "key"),
    [
        ("ticket_forms", "ticket_forms"),
        ("sla_policies", "sla_policies"),
        ("satisfaction_ratings", "satisfaction_ratings"),
        ("talk_phone_numbers", "phone_numbers"),
    ],
)
def test_what_the_plan_lacks_is_left_out_with_a_warning(
    source: Source, caplog: pytest.LogCaptureFixture, stream: str, key: str
) -> None:
    source.tenant.account.missing.add(key)

    result = source.sync(stream, "groups")

    assert result.records(stream) == []
    assert len(result.records("groups")) == 3
    assert f"{stream}: Zendesk answered 403" in caplog.text


def test_a_list_that_is_refused_half_way_is_not_taken_for_a_short_one(source: Source) -> None:
    """Else its bookmark would move past what was never read."""
    ratings = source.tenant.account.lists["satisfaction_ratings"]
    ratings += [{**ratings[0], "id": 7000 + number} for number in range(100)]
    source.zendesk.faults.add(path="satisfaction_ratings", skip=1, status=403)

    with pytest.raises(TapError, match="/satisfaction_ratings answered 403"):
        source.sync("satisfaction_ratings")
