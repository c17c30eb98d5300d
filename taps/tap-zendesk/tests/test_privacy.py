"""What never leaves the tap."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

KEY = "a key for tests"


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def properties(result: Any, stream: str) -> dict[str, Any]:
    (message,) = result.of_type("SCHEMA", stream)
    return dict(message["schema"]["properties"])


def test_columns_are_hashed_with_the_key(source: Source) -> None:
    settings = {"hash_columns": ["users.email", "users.id"], "hash_key": KEY}

    result = source.sync("users", **settings)

    (user,) = (u for u in result.records("users") if u["name"] == "Person 1000")
    assert user["email"] == hashed("person1000@example.com")
    assert user["id"] == hashed("1000")
    assert {u["email"] for u in result.records("users") if u["permanently_deleted"]} == {None}
    assert properties(result, "users")["id"]["type"] == "string"


def test_dropped_columns_are_neither_sent_nor_announced(source: Source) -> None:
    result = source.sync("users", drop_columns=["users.phone", "users.notes"])

    assert properties(result, "users").keys().isdisjoint({"phone", "notes"})
    assert all("phone" not in user for user in result.records("users"))


def test_what_lies_deeper_is_reached(source: Source) -> None:
    """Comments stand in the events of audits too, and addresses in their metadata."""
    deep = ["ticket_audits.events.body", "ticket_comments.body"]
    dropped = ["ticket_audits.metadata.system", "ticket_audits.events.html_body"]
    dropped += ["ticket_audits.events.plain_body", "ticket_comments.html_body"]
    dropped += ["ticket_comments.plain_body", "ticket_comments.metadata"]

    result = source.sync(
        "ticket_audits", "ticket_comments", hash_columns=deep, hash_key=KEY, drop_columns=dropped
    )

    text = json.dumps(result.messages, default=str)
    assert "Comment 0 on" not in text
    assert "192.0.2.7" not in text
    assert hashed("Comment 0 on 1") in text
    assert len(result.records("ticket_comments")) == 16


@pytest.mark.parametrize(
    ("setting", "value"),
    [("exclude_brand_ids", [502]), ("exclude_group_ids", [301]), ("exclude_tags", ["vip", "x"])],
)
def test_tickets_are_left_out_with_all_that_belongs_to_them(
    source: Source, setting: str, value: list[Any]
) -> None:
    """Comments too, which then come out of audits: the export of events knows no brand."""
    streams = ("ticket_metrics", "ticket_comments", "ticket_audits", "ticket_custom_field_values")

    result = source.sync("tickets", *streams, **{setting: value})

    kept = [n for n in range(1, 13) if (n % 2 == 0 if "brand" in setting else n % 3 != 0)]
    assert [ticket["id"] for ticket in result.records("tickets")] == kept
    for stream in streams:
        seen = {record["ticket_id"] for record in result.records(stream)}
        assert seen <= set(kept), stream
        assert seen, stream


def test_comments_alone_are_left_out_too(source: Source) -> None:
    result = source.sync("ticket_comments", exclude_tags=["vip"])

    seen = {record["ticket_id"] for record in result.records("ticket_comments")}
    assert seen == {n for n in range(1, 13) if n % 3 != 0}


def test_streams_that_know_no_brand_are_refused(source: Source) -> None:
    with pytest.raises(TapError, match=r"satisfaction_ratings do not tell .* Deselect them"):
        source.sync("tickets", "satisfaction_ratings", exclude_tags=["vip"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hash_columns": ["users.email"]}, "hash_columns needs a key"),
        ({"drop_columns": ["users.emial"]}, r"names users\.emial, which does not exist"),
        ({"drop_columns": ["users"]}, "which does not exist"),
        ({"drop_columns": ["tickets.id"]}, "is a key of the stream"),
    ],
)
def test_wrong_settings_fail_before_the_first_request(
    source: Source, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TapError, match=message):
        source.sync(**settings)
    assert source.zendesk.requests == []
