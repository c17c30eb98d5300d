"""The small collections of the Zendesk stand-in: people, organizations and what admins set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.vendors.zendesk_records import BIRTH, FIELDS, GROUPS, TAGS, iso

if TYPE_CHECKING:
    from sandbox.vendors.zendesk_records import Record

DAY = 86_400


def stamps(number: int) -> Record:
    """The two stamps that every record has."""
    return {"created_at": iso(BIRTH), "updated_at": iso(BIRTH + number * DAY // 4)}


def users(count: int, url: str) -> list[Record]:
    """People; every eleventh was deleted for good and has lost name and address."""
    return [_user(number, url) for number in range(1000, 1000 + count)]


def _user(number: int, url: str) -> Record:
    gone = number % 11 == 0
    flags = ("shared", "shared_agent", "suspended", "moderator", "restricted_agent", "chat_only")
    return {
        "id": number,
        "url": f"{url}/users/{number}.json",
        "name": "Permanently Deleted User" if gone else f"Person {number}",
        "email": None if gone else f"person{number}@example.com",
        "phone": None if gone else f"+31 20 555 {number}",
        "role": "admin" if number == 1001 else "end-user",  # noqa: PLR2004 - the agent of all tickets
        "role_type": 4,
        "custom_role_id": None,
        "locale": "en-US",
        "locale_id": 1,
        "time_zone": "Amsterdam",
        "organization_id": 2001 + number % 10,
        "ticket_restriction": "requested",
        "tags": [TAGS[number % 3]],
        "photo": None if number % 2 else {"id": number, "file_name": "me.png"},
        "user_fields": {"tier": f"tier_{number % 3}", "seats": number % 9, "beta": True},
        "active": not gone,
        "verified": True,
        "permanently_deleted": gone,
        "last_login_at": None,
        **dict.fromkeys(flags, False),
        **stamps(number - 1000),
    }


def organizations(count: int, url: str) -> list[Record]:
    """Customers; every seventh was deleted, and says so."""
    return [
        {
            "id": number,
            "url": f"{url}/organizations/{number}.json",
            "name": f"Organization {number}",
            "external_id": None,
            "details": None,
            "notes": "Pays late",
            "group_id": None,
            "domain_names": [f"org{number}.example"],
            "tags": [],
            "shared_tickets": False,
            "shared_comments": False,
            "organization_fields": {"region": "EMEA", "arr": number / 8},
            "deleted_at": iso(BIRTH + DAY) if number % 7 == 0 else None,
            **stamps(number - 2001),
        }
        for number in range(2001, 2001 + count)
    ]


def collections(url: str, people: int) -> dict[str, list[Record]]:
    """Everything that comes as a plain list, by the key of its answer."""
    memberships = [
        {"id": 4000 + n, "url": f"{url}/group_memberships/{4000 + n}.json", "user_id": 1000 + n}
        | {"group_id": GROUPS[n % 3], "default": n % 2 == 0, **stamps(n)}
        for n in range(min(people, 130))
    ]
    memberships[-1]["updated_at"] = None  # as the vendor's sometimes are
    ratings = [
        {"id": 6000 + n, "url": f"{url}/satisfaction_ratings/{6000 + n}.json", "score": "good"}
        | {"comment": "Thanks", "reason": None, "reason_id": 0, "reason_code": 0}
        | {"assignee_id": 1001, "group_id": GROUPS[0], "requester_id": 1002, "ticket_id": n + 1}
        | stamps(n)
        for n in range(12)
    ]
    return {
        "groups": [_named(url, "groups", n, deleted=False, default=False) for n in GROUPS],
        "group_memberships": memberships,
        "macros": [_macro(url, n) for n in range(801, 806)],
        "tags": [{"name": tag, "count": 10 - n} for n, tag in enumerate(TAGS)],
        "ticket_fields": [_field(url, key, title) for key, title in FIELDS.items()],
        "satisfaction_ratings": ratings,
        "ticket_forms": [_form(url)],
        "sla_policies": [_policy(url)],
        "phone_numbers": [_phone()],
    }


def _named(url: str, kind: str, number: int, **more: object) -> Record:
    name = f"{kind} {number}"
    return {"id": number, "url": f"{url}/{kind}/{number}.json", "name": name, **more, **stamps(4)}


def _macro(url: str, number: int) -> Record:
    actions = [
        {"field": "status", "value": "solved"},
        {"field": "comment_value", "value": ["channel:all", "Bye"]},
    ]
    titled = {"title": f"Close {number}", "description": None, "active": True, "position": number}
    shape = {"actions": actions, "restriction": {"type": "Group", "id": 301, "ids": [301]}}
    url = f"{url}/macros/{number}.json"
    return {"id": number, "url": url, **titled, **shape, **stamps(number - 800)}


def _field(url: str, number: int, title: str) -> Record:
    flags = ("required", "required_in_portal", "visible_in_portal", "editable_in_portal")
    return {
        "id": number,
        "url": f"{url}/ticket_fields/{number}.json",
        "type": "text",
        "title": title,
        "raw_title": title,
        "position": number,
        "active": True,
        "removable": True,
        "custom_field_options": [{"id": 1, "name": "One", "value": "one"}],
        **dict.fromkeys(flags, False),
        **stamps(2),
    }


def _form(url: str) -> Record:
    more = {"raw_name": "Default", "active": True, "default": True, "in_all_brands": True}
    lists = {"ticket_field_ids": list(FIELDS), "restricted_brand_ids": [], "position": 1}
    return _named(url, "ticket_forms", 701, **more, **lists)


def _policy(url: str) -> Record:
    metric = {"priority": "high", "metric": "first_reply_time", "target": 60}
    return {
        "id": 901,
        "url": f"{url}/slas/policies/901.json",
        "title": "Gold",
        "description": None,
        "position": 1,
        "filter": {"all": [{"field": "type", "operator": "is", "value": "incident"}], "any": []},
        "policy_metrics": [{**metric, "business_hours": False}],
        **stamps(1),
    }


def _phone() -> Record:
    named = {"id": 951, "name": "Main line", "nickname": "main", "number": "+31205550000"}
    shape = {"capabilities": {"sms": True, "mms": False, "voice": True}, "group_ids": [301]}
    return {**named, "toll_free": False, "external": False, **shape, "created_at": iso(BIRTH)}
