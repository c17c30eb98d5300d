"""One Zendesk account: its data, what can happen to its tickets, and the order of its exports."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

from sandbox.vendors import zendesk_lists as lists
from sandbox.vendors import zendesk_records as records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.vendors.zendesk_records import Record

AUDITS_AT_START = 3
LATER_AUDITS = 900_000_000  # number of the first audit that was not there from the start


class Account:
    """An account's data, made from its size and changed by calls.

    A ticket and its audits are made when they are asked for, so that 200,000 tickets need little
    memory; those that were changed are kept.

    Attributes:
        size: How many tickets there are at the start, numbered from 1.
        clock: Gives the time at the vendor, in seconds since the epoch.
        is_admin: Whether the account's logins may use the exports.
        missing: Keys of lists that the account's plan lacks: they answer 403.
        lists: The plain collections, by the key of their answers.
        users, organizations: By id.
    """

    def __init__(self, size: int, clock: Callable[[], float], first: int = 0) -> None:
        self.size = size
        self.clock = clock
        self.is_admin = True
        self.missing: set[str] = set()
        self.url = "https://example.zendesk.com/api/v2"
        people = max(size // 2, 5)
        self.users = {user["id"]: user for user in lists.users(people, self.url)}
        count = max(size // 10, 3)
        self.organizations = {o["id"]: o for o in lists.organizations(count, self.url)}
        self.lists = lists.collections(self.url, people)
        self._first = first  # so that two accounts have different tickets
        self._changed: dict[int, Record] = {}
        self._later_audits: dict[int, list[Record]] = {}
        self._order = [(records.born(n, size), n) for n in range(1 + first, size + first + 1)]
        self._events = 0

    # Reading

    @property
    def ticket_ids(self) -> list[int]:
        return sorted(number for _, number in self._order)

    def ticket(self, number: int) -> Record:
        return self._changed.get(number) or records.ticket(number, self.size, self.url)

    def audits(self, number: int) -> list[Record]:
        """The ticket's audits, oldest first: up to three from the start, and the later ones."""
        later = self._later_audits.get(number, [])
        if number > self.size + self._first:
            return later
        moment = records.born(number, self.size)
        texts = [f"Comment {n} on {number}" if n != 1 else None for n in range(number % 3 + 1)]
        first = number * AUDITS_AT_START
        made = [
            records.audit(first + n, number, moment, comment=text) for n, text in enumerate(texts)
        ]
        return [*made, *later]

    def exported(self, after: tuple[int, int], until: float, count: int) -> list[Record]:
        """Up to `count` tickets behind a place in the order, none changed after `until`."""
        begin = bisect.bisect_right(self._order, after)
        end = bisect.bisect_right(self._order, (int(until), 2**63))
        return [self.ticket(number) for _, number in self._order[begin : min(begin + count, end)]]

    def events(self, *, with_comments: bool) -> Iterator[tuple[int, Record]]:
        """The audits of tickets that are not deleted, as ticket events with their second."""
        for number in self.ticket_ids:
            if self.ticket(number)["status"] != "deleted":
                for audit in self.audits(number):
                    second = records.seconds(audit["created_at"])
                    yield second, records.event(audit, second, with_comments=with_comments)

    def metric_events(self) -> Iterator[tuple[int, Record]]:
        """One event of a metric for each ticket, which is there before the ticket's own change."""
        for number in self.ticket_ids:
            second = records.born(number, self.size)
            yield (
                second,
                {
                    "id": 70_000_000 + number,
                    "ticket_id": number,
                    "metric": "reply_time",
                    "instance_id": 1,
                    "type": "apply_sla" if number % 2 else "update_status",
                    "time": records.iso(second),
                    "sla": {"target": 60, "business_hours": False, "policy": {"id": 901}},
                    "status": {"calendar": number % 60, "business": number % 20},
                    "deleted": False,
                },
            )

    # What can happen

    def create(self, **values: Any) -> int:  # noqa: ANN401 - fields of a ticket
        """A new ticket with a first comment; returns its number."""
        number = max(self.ticket_ids, default=self._first) + 1
        fresh = records.ticket(number, self.size, self.url)
        self._changed[number] = {**fresh, "created_at": records.iso(self.clock())}
        self._later_audits[number] = []
        bisect.insort(self._order, (fresh["generated_timestamp"], number))
        self.update(number, comment="Hello", **values)
        return number

    def update(self, number: int, *, comment: str | None = "Again", **values: Any) -> None:  # noqa: ANN401 - as above
        """Somebody changes a ticket: it gets new stamps and an audit."""
        now = int(self.clock())
        self._events += 1
        audit = records.audit(LATER_AUDITS + self._events, number, now, comment=comment)
        self._later_audits.setdefault(number, []).append(audit)
        self._change(number, {**values, "updated_at": records.iso(now)})

    def change_by_system(self, number: int) -> None:
        """Only generated_timestamp moves, as by a change of the vendor's own."""
        self._change(number, {})

    def delete(self, number: int) -> None:
        self._change(number, {"status": "deleted", "updated_at": records.iso(self.clock())})

    def scrub(self, number: int) -> None:
        """Delete for good: the text goes, the number stays."""
        self.delete(number)
        gone = dict.fromkeys(("subject", "raw_subject", "description"), "SCRUBBED")
        self._change(number, {**gone, "tags": [], "custom_fields": [], "fields": []})

    def merge(self, source: int, target: int) -> None:
        """The source is closed, and both say in a comment what happened."""
        self.update(source, comment=f"Merged into {target}", status="closed")
        self.update(target, comment=f"Ticket {source} was merged into this one")

    def _change(self, number: int, values: Record) -> None:
        found = self.ticket(number)
        now = int(self.clock())
        self._order.remove((found["generated_timestamp"], number))
        bisect.insort(self._order, (now, number))
        self._changed[number] = {**found, **values, "generated_timestamp": now}
