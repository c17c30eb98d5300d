"""The objects that the stand-in for ZenGRC has, from a fixed seed ("zengrc.md", sections 3 and 7).

All text is invented. Objects of a list come in no order, some attributes are absent, and custom
attributes have values of every kind.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEED = 20_260_401
FIRST_DAY = dt.date(2026, 1, 1)
Fields = dict[str, Any]

# How many objects a list has, as a share of the stand-in's size, and what one is called.
LISTS: dict[str, tuple[str, float]] = {
    "assessments": ("Assessment", 0.5),
    "audits": ("Audit", 0.1),
    "controls": ("Control", 0.5),
    "issues": ("Issue", 0.2),
    "objectives": ("Objective", 0.3),
    "people": ("Person", 0.1),
    "programs": ("Program", 0.1),
    "requests": ("Request", 1.0),
    "risks": ("Risk", 0.2),
    "systems": ("System", 0.1),
    "vendors": ("Vendor", 0.2),
}
FIRST_IDS = {name: 1_000 * number for number, name in enumerate(LISTS, 1)}
# Which lists an object's `mapped` names.
MAPPED: dict[str, tuple[str, ...]] = {
    "assessments": ("audits",),
    "audits": ("markets", "standards"),
    "controls": ("objectives",),
    "issues": ("audits", "controls", "programs", "standards"),
    "objectives": (),
    "programs": ("assessments", "issues", "org_groups", "requests", "risks", "systems"),
    "requests": ("controls", "issues", "programs"),
    "risks": (),
    "systems": (),
    "vendors": ("data_assets", "facilities", "products", "systems", "tasks"),
}
FIRST_NAMES = ("Pat", "Sam", "Kim", "Alex", "Zoë", "Jürgen", "Noor", "Ola")
LAST_NAMES = ("Doe", "Roe", "Poe", "O'Neil", "Sørensen", "Ng")
SENTENCES = ("Quarterly list", 'Says "yes"\nand a second line', "Ünïcode 漢字", "a,b;c\\d", "")


def generate(name: str, size: int) -> list[Fields]:
    """Return the objects of one list; the same for the same size."""
    chance = random.Random(f"{SEED}/{name}")  # noqa: S311 - data, not secrets
    kind, share = LISTS[name]
    ids = [FIRST_IDS[name] + number for number in range(max(1, round(size * share)))]
    chance.shuffle(ids)
    return [_object(name, kind, number, chance) for number in ids]


def _object(name: str, kind: str, number: int, chance: random.Random) -> Fields:
    created = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(
        seconds=chance.randrange(60 * 86_400)
    )
    updated = created + dt.timedelta(seconds=chance.randrange(30 * 86_400))
    common = {
        "id": number,
        "type": kind,
        "created_at": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "updated_at": f"{updated:%Y-%m-%dT%H:%M:%SZ}",
        "custom_attributes": _custom_attributes(chance),
        "links": {"self": {"href": f"/api/v2/{name}/{number}"}},
    }
    if name == "people":
        return {**common, **_person_fields(number)}
    return {
        **common,
        "code": f"{kind.upper()}-{number}",
        "title": f"{kind} {number}",
        "description": chance.choice([*SENTENCES, None]),
        "status": chance.choice(("Open", "In Review", "Closed")),
        "mapped": {plural: _references(plural, chance) for plural in MAPPED[name]},
        **_extra(name, chance),
    }


def _extra(name: str, chance: random.Random) -> Fields:
    """What only objects of this list have."""
    return EXTRA[name](chance) if name in EXTRA else {}


def _assessment(chance: random.Random) -> Fields:
    return {
        "assessors": _people(chance),
        "conclusion": chance.choice(("Effective", "Ineffective", None)),
        "control": _reference("controls", chance),
        **_days(chance, "start_date", "end_date"),
    }


def _audit(chance: random.Random) -> Fields:
    return {
        "audit_managers": _people(chance),
        "program": _reference("programs", chance),
        **_days(chance, "report_period_start_date", "report_period_end_date"),
        **_days(chance, "start_date", "end_date"),
        "sync_external_attachments": chance.choice((True, False)),
        "sync_external_comments": None,
    }


def _issue(chance: random.Random) -> Fields:
    return {**_notes(chance), **_days(chance, "stop_date")}


def _objective(chance: random.Random) -> Fields:
    return {"os_state": chance.choice(("Draft", "Final"))}


def _program(chance: random.Random) -> Fields:
    return {
        **{role: _people(chance) for role in ("managers", "editors", "readers")},
        **{role: _person(chance) for role in ("primary_contact", "secondary_contact")},
        **_urls(chance),
        **_notes(chance),
        **_days(chance, "effective_date", "stop_date"),
    }


def _request(chance: random.Random) -> Fields:
    reviewers = [{"reviewer": person, "status": "pending"} for person in _people(chance)]
    return {
        **{role: _people(chance) for role in ("assignees", "requesters", "verifiers")},
        "reviewers": reviewers,
        "audit": _reference("audits", chance),
        **_days(chance, "start_date", "due_date", "end_date", "stop_date"),
        "notify_assignee": chance.choice((True, False, None)),
        "test": chance.choice(("Look at it", None)),
        **_notes(chance),
    }


def _risk(chance: random.Random) -> Fields:
    values = [{"vector": "impact", "value": chance.randrange(1, 6)}, {"x": 0.1}]
    return {"risk_vector_score_values": chance.choice((values, values[0], None))}


def _vendor(chance: random.Random) -> Fields:
    return {
        "risk_rating": chance.choice(("High", "Low", None)),
        **_urls(chance),
        "owners": _people(chance),
        **{role: _person(chance) for role in ("contact", "secondary_contact")},
        **_days(chance, "start_date", "end_date"),
        **_notes(chance),
    }


EXTRA: dict[str, Callable[[random.Random], Fields]] = {
    "assessments": _assessment,
    "audits": _audit,
    "issues": _issue,
    "objectives": _objective,
    "programs": _program,
    "requests": _request,
    "risks": _risk,
    "vendors": _vendor,
}


def _notes(chance: random.Random) -> Fields:
    tags = chance.sample(("sox", "q1", "q2", "iso"), chance.randrange(3))
    return {"notes": chance.choice([*SENTENCES, None]), "tags": tags}


def _urls(chance: random.Random) -> Fields:
    page = f"https://example.com/{chance.randrange(100)}"
    return {"reference_url": page, "url": chance.choice((page, None))}


def _days(chance: random.Random, *names: str) -> Fields:
    """Dates; some come as a full timestamp, some not at all."""

    def day() -> str | None:
        found = (FIRST_DAY + dt.timedelta(days=chance.randrange(365))).isoformat()
        return chance.choice((found, found, f"{found}T00:00:00Z", None))

    return {name: day() for name in names}


def _custom_attributes(chance: random.Random) -> Fields:
    values: Iterable[tuple[int, str, Any]] = (
        (59, "Assignee handle", "pdoe"),
        (70, "External audit", chance.choice((True, False))),
        (141, "Score", chance.choice((7, 0.1, 12.25))),
        (165, "Reviewed on", "2026-03-31"),
        (170, "Regions", [{"id": 1, "name": "EMEA"}, None]),
        (171, "Empty", None),
    )
    chosen = [value for value in values if chance.randrange(3)]
    return {str(key): {"id": key, "title": title, "value": value} for key, title, value in chosen}


def _person_fields(number: int) -> Fields:
    name = _name(number)
    mail = f"person{number}@example.com"
    return {"name": name, "email": mail, "status": "Active", "phone_number": f"555-{number}"}


def _people(chance: random.Random) -> list[Fields]:
    return [_person(chance) for _ in range(chance.randrange(3))]


def _person(chance: random.Random) -> Fields:
    number = FIRST_IDS["people"] + chance.randrange(20)
    return {"id": number, "name": _name(number), "type": "Person"}


def _name(number: int) -> str:
    first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number % len(LAST_NAMES)]
    return f"{first} {last}"


def _references(plural: str, chance: random.Random) -> list[Fields]:
    return [_reference(plural, chance) for _ in range(chance.randrange(3))]


def _reference(plural: str, chance: random.Random) -> Fields:
    kind = LISTS[plural][0] if plural in LISTS else plural.rstrip("s").title()
    number = FIRST_IDS.get(plural, 90_000) + chance.randrange(20)
    return {"id": number, "title": f"{kind} {number}", "type": kind}
