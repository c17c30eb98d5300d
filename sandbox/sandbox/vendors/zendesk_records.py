"""What records of the Zendesk stand-in look like: each one a function of its number."""

from __future__ import annotations

import datetime as dt
from typing import Any

BIRTH = 1_767_225_600  # 2026-01-01T00:00:00Z, when the first ticket came
HISTORY_SECONDS = 20_000_000  # over which the tickets there from the start are spread
LONGEST_STEP_SECONDS = 3600
ACCOUNT_STEP = 100_000_000  # between the first tickets of two accounts
BRANDS, GROUPS = (501, 502), (301, 302, 303)
FIELDS = {9001: "Product", 9002: "Seats", 9003: "Regions", 9004: "Escalated"}
TAGS = ("vip", "billing", "spam")

Record = dict[str, Any]


def iso(seconds: float) -> str:
    """A moment as Zendesk writes it, such as 2026-01-02T03:04:05Z."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> int:
    """The opposite of `iso`."""
    return int(dt.datetime.fromisoformat(text).timestamp())


def born(number: int, size: int) -> int:
    """When the ticket of this number came, in seconds since the epoch."""
    step = max(min(HISTORY_SECONDS // max(size, 1), LONGEST_STEP_SECONDS), 1)
    return BIRTH + number % ACCOUNT_STEP * step


def ticket(number: int, size: int, url: str) -> Record:
    """A ticket; every field of the sheet, with `fields` doubling `custom_fields`."""
    moment = born(number, size)
    values = [f"product_{number % 5}", number / 4, ["emea", "apac"][: number % 3], number % 2 == 0]
    custom = [{"id": key, "value": value} for key, value in zip(FIELDS, values, strict=True)]
    return {
        "id": number,
        "url": f"{url}/tickets/{number}.json",
        "external_id": None if number % 3 else f"crm-{number}",
        "type": ("question", "incident", "problem", "task")[number % 4],
        "subject": f"Subject {number}: naïve “quotes” and ☃",
        "raw_subject": f"Subject {number}: naïve “quotes” and ☃",
        "description": f"First words of ticket {number},\nand a second line.",
        "priority": ("low", "normal", "high", None)[number % 4],
        "status": ("new", "open", "pending", "solved")[number % 4],
        "recipient": "support@example.com",
        "requester_id": 1000 + number % 50,
        "submitter_id": 1000 + number % 50,
        "assignee_id": 1001,
        "organization_id": 2001 + number % 10,
        "group_id": GROUPS[number % 3],
        "brand_id": BRANDS[number % 2],
        "problem_id": None,
        "ticket_form_id": 701,
        "forum_topic_id": None,
        "collaborator_ids": [1002, 1003][: number % 3],
        "follower_ids": [],
        "email_cc_ids": [1002] * (number % 2),
        "followup_ids": [],
        "sharing_agreement_ids": [],
        "has_incidents": number % 4 == 2,  # noqa: PLR2004 - the type "problem" above
        "is_public": True,
        "allow_channelback": False,
        "allow_attachments": True,
        "tags": [TAGS[number % 3]],
        "custom_fields": custom,
        "fields": custom,
        "via": {"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
        "satisfaction_rating": {"score": "good"} if number % 5 else "unoffered",
        "due_at": iso(moment + 86_400) if number % 4 == 3 else None,  # noqa: PLR2004 - type "task"
        "created_at": iso(moment),
        "updated_at": iso(moment - 30),  # older than generated_timestamp: a system change came last
        "generated_timestamp": moment,
    }


def metric_set(found: Record, url: str) -> Record:
    """What `include=metric_sets` puts into a ticket."""
    number = found["id"]
    minutes = {"calendar": number % 90, "business": number % 30}
    return {
        "id": 50_000_000 + number,
        "ticket_id": number,
        "url": f"{url}/ticket_metrics/{50_000_000 + number}.json",
        "reopens": number % 2,
        "replies": number % 7,
        "group_stations": 1,
        "assignee_stations": 1,
        "reply_time_in_minutes": minutes,
        "first_resolution_time_in_minutes": minutes,
        "full_resolution_time_in_minutes": minutes,
        "agent_wait_time_in_minutes": minutes,
        "requester_wait_time_in_minutes": minutes,
        "on_hold_time_in_minutes": {"calendar": None, "business": None},
        "assigned_at": found["created_at"],
        "initially_assigned_at": found["created_at"],
        "assignee_updated_at": None,
        "requester_updated_at": found["created_at"],
        "status_updated_at": found["updated_at"],
        "latest_comment_added_at": found["created_at"],
        "solved_at": None,
        "created_at": found["created_at"],
        "updated_at": found["updated_at"],
    }


def audit(number: int, ticket_id: int, moment: int, *, comment: str | None) -> Record:
    """An audit: one change of status, and a comment if there is text for one."""
    change = {
        "id": number * 10,
        "type": "Change",
        "field_name": "status",
        "value": "open",
        "previous_value": "new",
    }
    said = {
        "id": number * 10 + 1,
        "type": "Comment",
        "author_id": 1001,
        "body": comment,
        "html_body": f"<p>{comment}</p>",
        "plain_body": comment,
        "public": number % 2 == 0,
        "attachments": [{"id": number, "file_name": "log.txt", "content_url": "/attachments/1"}],
        "audit_id": number,
    }
    return {
        "id": number,
        "ticket_id": ticket_id,
        "author_id": 1001,
        "events": [change, said] if comment else [change],
        "via": {"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
        "metadata": {
            "system": {"client": "Mozilla", "ip_address": "192.0.2.7", "location": "Utrecht"},
            "custom": {},
            "flags": [],
            "flags_options": {},
            "trusted": True,
            "notifications_suppressed_for": [],
        },
        "created_at": iso(moment),
    }


def event(found: Record, timestamp: int, *, with_comments: bool) -> Record:
    """An audit as the export of ticket events shows it: its events are `child_events` there."""
    children: list[Record] = []
    for child in found["events"]:
        shown = {"id": child["id"], "via": "Web form", "event_type": child["type"]}
        if child["type"] == "Comment":
            keys = ("author_id", "body", "html_body", "plain_body", "public", "attachments")
            said = {key: child[key] for key in keys} if with_comments else {"comment_present": True}
            children.append({**shown, "type": "Comment", **said})
        else:
            children.append({**shown, child["field_name"]: child["value"]})
    return {
        "id": found["id"],
        "ticket_id": found["ticket_id"],
        "timestamp": timestamp,
        "created_at": found["created_at"],
        "updater_id": found["author_id"],
        "via": found["via"],
        "system": found["metadata"]["system"],
        "metadata": found["metadata"],
        "event_type": "Audit",
        "child_events": children,
    }
