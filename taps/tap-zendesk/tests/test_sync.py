"""What the tap reads of an account, over HTTP against the stand-in."""

from __future__ import annotations

import gzip
import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from sandbox.vendors.zendesk_records import metric_set, seconds
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Source
    from tapsupport.testing import SyncResult

AGO = 400  # seconds; changes made then are old enough for every export


@pytest.fixture
def later(source: Source) -> Callable[[float], None]:
    """Move the vendor's clock; it starts some time ago, so that the tap's own clock is ahead."""
    moved = [-10_000.0]
    source.zendesk.now = lambda: time.time() + moved[0]

    def move(by: float) -> None:
        moved[0] += by

    return move


def ids(result: SyncResult, stream: str) -> list[Any]:
    return [record["id"] for record in result.records(stream)]


def queries(source: Source, path: str) -> list[dict[str, list[str]]]:
    return [parse_qs(request.query) for request in source.zendesk.seen(path)]


def test_every_ticket_arrives_once_whatever_the_page_size(source: Source) -> None:
    result = source.sync("tickets", page_size=10)

    sent = {record["id"]: record for record in result.records("tickets")}
    assert list(sent) == ids(result, "tickets") == source.tenant.account.ticket_ids
    for number, record in sent.items():
        expected = source.tenant.account.ticket(number)
        assert record == {k: v for k, v in expected.items() if k != "fields"}


def test_an_empty_page_is_not_the_end(source: Source) -> None:
    source.tenant.paging.hollow_pages = 3

    assert len(source.sync("tickets", page_size=10).records("tickets")) == 12


def test_what_a_page_repeats_is_sent_once(source: Source) -> None:
    source.tenant.paging.border_twice = True

    assert len(source.sync("tickets", page_size=10).records("tickets")) == 12


def test_second_run_goes_on_behind_the_cursor(
    source: Source, later: Callable[[float], None]
) -> None:
    """Changes of every kind come; what did not change is not read again."""
    first = source.sync("tickets")
    account = source.tenant.account
    account.update(3)
    account.change_by_system(5)
    account.delete(7)
    account.scrub(8)
    account.merge(1, 2)
    created = account.create()
    later(AGO)

    second = source.sync("tickets", state=first.state)

    sent = {record["id"]: record for record in second.records("tickets")}
    assert sent.keys() == {3, 5, 7, 8, 1, 2, created}
    assert {sent[7]["status"], sent[8]["status"]} == {"deleted"}
    assert sent[8]["subject"] == "SCRUBBED"
    assert seconds(sent[5]["updated_at"]) < sent[5]["generated_timestamp"]


def test_the_last_minute_comes_with_the_next_run(
    source: Source, later: Callable[[float], None]
) -> None:
    first = source.sync("tickets")
    source.tenant.account.update(4)

    too_early = source.sync("tickets", state=first.state)
    later(61)

    assert ids(too_early, "tickets") == []
    assert ids(source.sync("tickets", state=too_early.state), "tickets") == [4]


def test_a_refused_cursor_is_replaced_by_its_time(source: Source) -> None:
    """Nothing is lost: the last second is read again."""
    first = source.sync("tickets")
    cursor = first.state["bookmarks"]["tickets"]["cursor"]
    source.tenant.paging.refused_cursors = frozenset({cursor})

    assert ids(source.sync("tickets", state=first.state), "tickets") == [12]


@pytest.mark.parametrize("start_date", ["1999-01-01", "1969-07-20T20:17:00Z"])
def test_a_start_before_the_account_reads_everything(source: Source, start_date: str) -> None:
    assert len(source.sync("tickets", start_date=start_date).records("tickets")) == 12


def test_a_start_that_is_too_young_is_moved_back(source: Source) -> None:
    """The vendor refuses one of less than five minutes."""
    source.sync("tickets", "organizations", start_date="2099-01-01")

    for path in ("tickets/cursor.json", "organizations.json"):
        (query,) = queries(source, path)
        assert 300 < time.time() - int(query["start_time"][0]) < 500


def test_metrics_come_with_the_tickets(source: Source) -> None:
    """No request is made for them, and none of a deleted ticket is expected."""
    account = source.tenant.account
    source.zendesk.now = lambda: time.time() - AGO
    account.delete(4)

    result = source.sync("ticket_metrics")

    alive = [number for number in account.ticket_ids if number != 4]
    expected = [metric_set(account.ticket(number), account.url) for number in alive]
    assert result.records("ticket_metrics") == expected
    assert len(source.zendesk.requests) == 2  # a token and a page
    assert result.of_type("SCHEMA", "tickets") == []


def test_audits_are_those_of_the_tickets_that_changed(
    source: Source, later: Callable[[float], None]
) -> None:
    account = source.tenant.account
    first = source.sync("ticket_audits")
    account.update(3)
    account.delete(9)
    later(AGO)

    second = source.sync("ticket_audits", state=first.state)

    assert first.records("ticket_audits") == [
        audit for number in range(1, 13) for audit in account.audits(number)[: number % 3 + 1]
    ]
    assert second.records("ticket_audits") == account.audits(3)
    assert source.zendesk.seen("tickets/9/audits")[1:] == []


def test_a_ticket_that_goes_while_its_audits_are_read_is_passed_over(source: Source) -> None:
    source.zendesk.faults.add(path="/tickets/6/audits", status=404, body='{"error": "gone"}')

    result = source.sync("ticket_audits")

    assert {record["ticket_id"] for record in result.records("ticket_audits")} == {
        *range(1, 13)
    } - {6}


def test_comments_are_the_same_whichever_way_they_come(source: Source) -> None:
    """Out of audits when those are read, else by one export for all tickets."""
    with_audits = source.sync("ticket_audits", "ticket_comments").records("ticket_comments")
    source.zendesk.requests.clear()
    by_export = source.sync("ticket_comments").records("ticket_comments")

    assert sorted(by_export, key=lambda row: row["id"]) == with_audits
    assert source.zendesk.seen("/audits") == []
    assert len(with_audits) == 16
    assert with_audits[0]["body"] == "Comment 0 on 1"


def test_a_stream_selected_later_gets_its_history(source: Source) -> None:
    first = source.sync("tickets")

    second = source.sync("tickets", "ticket_metrics", state=first.state)
    third = source.sync("tickets", "ticket_metrics", state=second.state)

    assert len(second.records("ticket_metrics")) == 12
    assert third.records("tickets") == third.records("ticket_metrics") == []


def test_custom_field_values_are_rows_with_titles(source: Source) -> None:
    result = source.sync("ticket_custom_field_values")

    rows = [row for row in result.records("ticket_custom_field_values") if row["ticket_id"] == 3]
    assert [(row["title"], row["value"]) for row in rows] == [
        ("Product", "product_3"),
        ("Seats", 0.75),
        ("Regions", []),
        ("Escalated", False),
    ]


@pytest.mark.parametrize("export_size", [4, 5])
def test_exports_by_time_send_a_border_once(source: Source, export_size: int) -> None:
    source.tenant.paging.export_size = export_size

    result = source.sync("organizations", "ticket_metric_events", "ticket_events")

    account = source.tenant.account
    assert sorted(ids(result, "organizations")) == sorted(account.organizations)
    assert sorted(ids(result, "ticket_metric_events")) == [70_000_000 + n for n in range(1, 13)]
    events = [audit["id"] for number in range(1, 13) for audit in account.audits(number)]
    assert sorted(ids(result, "ticket_events")) == events


def test_metric_events_are_asked_for_a_second_earlier(source: Source) -> None:
    first = source.sync("ticket_metric_events")
    bookmark = first.state["bookmarks"]["ticket_metric_events"]["start_time"]

    source.sync("ticket_metric_events", state=first.state)

    asked = queries(source, "ticket_metric_events")[-1]
    assert asked["start_time"] == [str(bookmark - 1)]


def test_more_than_a_page_in_one_second_is_no_endless_loop(source: Source) -> None:
    source.tenant.paging.export_size = 2
    for organization in source.tenant.account.organizations.values():
        organization["updated_at"] = "2026-05-01T00:00:00Z"

    with pytest.raises(TapError, match="more records in second 1777593600 than fit on a page"):
        source.sync("organizations")


def test_lists_are_whole_once_and_then_what_changed(source: Source) -> None:
    """A membership without a stamp always comes, and start_date does not thin out lists."""
    names = ("groups", "group_memberships", "macros", "ticket_fields", "tags", "sla_policies")
    first = source.sync(*names, start_date="2026-10-01")
    lists = source.tenant.account.lists
    lists["macros"][1] |= {"updated_at": "2026-09-09T09:09:09Z", "title": "New"}

    second = source.sync(*names, state=first.state)

    for name in names:
        assert len(first.records(name)) == len(lists[name])
    assert second.records("macros") == [lists["macros"][1], lists["macros"][-1]]
    assert ids(second, "group_memberships")[-1] == lists["group_memberships"][-1]["id"]
    assert second.records("tags") == lists["tags"]
    assert len(second.records("sla_policies")) == 1


def test_a_rating_that_changed_is_found(source: Source) -> None:
    """The vendor filters by the day a rating was made, so the tap reaches back."""
    first = source.sync("satisfaction_ratings")
    rating = source.tenant.account.lists["satisfaction_ratings"][2]
    rating |= {"score": "bad", "updated_at": "2026-01-20T00:00:00Z"}

    second = source.sync("satisfaction_ratings", state=first.state)

    assert ids(second, "satisfaction_ratings")[0] == rating["id"]
    assert "start_time" in queries(source, "satisfaction_ratings")[-1]


def test_long_lists_have_pages(open_source: Callable[..., Source]) -> None:
    source = open_source(size=400)

    result = source.sync("group_memberships")

    assert len(result.records("group_memberships")) == 130
    assert len(source.zendesk.seen("group_memberships")) == 2


def test_both_lanes_carry_the_same(source: Source, tmp_path: Any) -> None:
    """With batch_config the rows come in files, and STATE after the files it covers."""
    storage = {"root": f"file://{tmp_path}"}
    batch = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": storage}
    names = ("tickets", "ticket_audits", "users", "tags")
    records = source.sync(*names)

    files = source.sync(*names, batch_config=batch)

    for name in names:
        rows = [
            json.loads(line, parse_float=Decimal)
            for path in files.batches(name)
            for line in gzip.decompress(path.read_bytes()).splitlines()
        ]
        assert rows == records.records(name)
        assert files.records(name) == []
    assert files.messages[-1]["type"] == "STATE"
