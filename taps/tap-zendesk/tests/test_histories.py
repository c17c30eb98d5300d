"""Whatever happens to tickets, and wherever runs break off: in the end the tables are right."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.vendors.server import serve
from sandbox.vendors.zendesk import Zendesk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Source
    from sandbox.vendors.zendesk_account import Account
    from tapsupport.testing import SyncResult

STREAMS = ("tickets", "ticket_audits", "ticket_comments", "ticket_metrics")
SETTLED_SECONDS = 400.0
OPERATIONS = ("create", "update", "change_by_system", "delete", "scrub", "merge")


def apply(account: Account, operation: str, pick: int) -> None:
    """Let something happen to the ticket that `pick` leads to."""
    alive = [n for n in account.ticket_ids if account.ticket(n)["status"] != "deleted"]
    if operation == "create" or len(alive) < 2:
        account.create()
        return
    number = alive[pick % len(alive)]
    if operation == "merge":
        account.merge(number, alive[(pick + 1) % len(alive)])
    else:
        getattr(account, operation)(number)


@dataclass
class Tables:
    """What a loader has, that merges by key and takes what stands before the last STATE it saw."""

    rows: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def load(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message["type"] == "RECORD":
                table = self.rows.setdefault(message["stream"], {})
                table[message["record"]["id"]] = message["record"]
            elif message["type"] == "STATE":
                self.state = message["value"]

    def check(self, account: Account) -> None:
        tickets = {n: account.ticket(n) for n in account.ticket_ids}
        loaded = self.rows["tickets"]
        assert loaded.keys() == tickets.keys()
        for number, ticket in tickets.items():
            stamps = ("updated_at", "generated_timestamp", "status", "subject")
            assert {k: loaded[number][k] for k in stamps} == {k: ticket[k] for k in stamps}
        alive = [n for n, ticket in tickets.items() if ticket["status"] != "deleted"]
        audits = {audit["id"]: audit for n in alive for audit in account.audits(n)}
        comments = {e["id"] for a in audits.values() for e in a["events"] if e["type"] == "Comment"}
        assert {a: self.rows["ticket_audits"][a] for a in audits} == audits
        assert comments <= self.rows["ticket_comments"].keys()
        metrics = {row["ticket_id"] for row in self.rows["ticket_metrics"].values()}
        assert set(alive) <= metrics


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Zendesk, str]]:
    zendesk = Zendesk(1, 10**6, 10**6)
    with serve(zendesk) as url:
        yield zendesk, url


step = st.tuples(
    st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 99)), max_size=4),  # before
    st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 99)), max_size=4),  # during
    st.integers(10, 14),  # page size
    st.one_of(st.none(), st.floats(0, 1)),  # where the run breaks off
    st.booleans(),  # whether the loader committed what stands behind the last STATE
)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(size=st.integers(1, 25), steps=st.lists(step, max_size=3), twice=st.booleans())
def test_any_history_ends_in_the_same_tables(
    server: tuple[Zendesk, str],
    make_source: Callable[[Zendesk, str], Source],
    size: int,
    steps: list[Any],
    twice: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Creates, updates, deletes, merges, between and during runs; crashes anywhere."""
    zendesk, url = server
    fresh = Zendesk(size, 10**6, 10**6)
    zendesk.tenants = fresh.tenants
    moved = -(10**6)
    zendesk.now = fresh.now = lambda: time.time() + moved
    source, tables = make_source(zendesk, url), Tables()
    source.tenant.paging.border_twice = twice
    account = source.tenant.account

    for before, during, page_size, broken_off, committed in [*steps, ([], [], 10, None, True)]:
        for operation in before:
            apply(account, *operation)
        moved += int(SETTLED_SECONDS)
        waiting = iter(during)
        zendesk.before_export = lambda waiting=waiting: [
            apply(account, *operation) for operation in [next(waiting, None)] if operation
        ]
        result = source.sync(*STREAMS, state=tables.state or None, page_size=page_size)
        zendesk.before_export = lambda: None
        tables.load(until(result, broken_off, committed=committed))

    moved += int(SETTLED_SECONDS)
    tables.load(source.sync(*STREAMS, state=tables.state or None).messages)
    tables.check(account)


def until(result: SyncResult, broken_off: float | None, *, committed: bool) -> list[dict[str, Any]]:
    """The messages of a run up to where it breaks off, as a loader takes them."""
    if broken_off is None:
        return result.messages
    found = result.messages[: int(len(result.messages) * broken_off)]
    kinds = [message["type"] for message in found]
    last = len(kinds) - kinds[::-1].index("STATE") if "STATE" in kinds else 0
    return found if committed else found[:last]


def test_a_killed_run_reads_at_most_one_page_again(
    open_source: Callable[..., Source],
) -> None:
    """A kill at any message costs the page under way, no more; nothing is lost."""
    source = open_source(size=45)
    whole = source.sync("tickets", page_size=10)
    pages = len(source.zendesk.seen("tickets/cursor"))
    randoms = random.Random(7)  # noqa: S311 - nothing secret

    for _ in range(6):
        kept = whole.messages[: randoms.randrange(1, len(whole.messages))]
        tables = Tables()
        tables.load(kept)
        seen = sum(message["type"] == "STATE" for message in kept)
        source.zendesk.requests.clear()

        tables.load(source.sync("tickets", state=tables.state or None, page_size=10).messages)

        again = len(source.zendesk.seen("tickets/cursor"))
        assert sorted(tables.rows["tickets"]) == source.tenant.account.ticket_ids
        assert min(seen, pages) + again <= pages + 1


def test_a_full_history_while_tickets_change(open_source: Callable[..., Source]) -> None:
    """Every page is read while something happens; the next run brings it."""
    source = open_source(size=60)
    moved = [-10_000.0]
    source.zendesk.now = lambda: time.time() + moved[0]
    account, randoms = source.tenant.account, random.Random(3)  # noqa: S311 - nothing secret

    def happen() -> None:
        moved[0] += 30
        for operation in OPERATIONS:
            apply(account, operation, randoms.randrange(99))

    source.zendesk.before_export = happen
    tables = Tables()
    tables.load(source.sync(*STREAMS, page_size=10, max_parallel=4).messages)
    source.zendesk.before_export = lambda: None
    moved[0] += SETTLED_SECONDS
    last = source.sync(*STREAMS, state=tables.state)
    tables.load(last.messages)

    tables.check(account)
    sent = [record["id"] for record in last.records("tickets")]
    assert len(sent) == len(set(sent))
