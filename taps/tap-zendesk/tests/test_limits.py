"""The rate limiter: at the pace that the limit allows, never over it. On a clock of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tap_zendesk import limiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Source

MINUTE = 60
STREAMS = ("tickets", "ticket_audits", "ticket_comments")


@dataclass
class Clock:
    """Time passes only by sleeping; one thread reads, so this is exact."""

    begin: float = field(default_factory=lambda: time.time() // MINUTE * MINUTE)
    passed: float = 0.0

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += max(seconds, 0)

    def now(self) -> float:
        return self.begin + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limiter, "time", clock)
    return clock


@pytest.fixture
def limited(open_source: Callable[..., Source], clock: Clock) -> Source:
    """110 tickets at 100 requests a minute, ten of them exports, by the tap's clock."""
    source = open_source(size=110, per_minute=100, exports=10)
    source.zendesk.now = clock.now
    return source


def most_in_a_minute(arrivals: list[float]) -> int:
    return max(sum(at <= other < at + MINUTE for other in arrivals) for at in arrivals)


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_the_share_is_used_and_never_passed(limited: Source, clock: Clock, share: float) -> None:
    """In any minute, wherever it begins; and no request is refused."""
    settings = {"rate_limit_share": share, "export_requests_per_minute": 10, "max_parallel": 1}

    result = limited.sync(*STREAMS, **settings)

    limits = limited.tenant.limits
    assert len(result.records("ticket_audits")) == 221
    assert limits.refused == 0
    assert most_in_a_minute(limits.arrivals) <= 100 * share + 1
    assert len(limits.arrivals) / (clock.passed / MINUTE) >= 0.95 * 100 * share


def test_exports_have_a_limit_of_their_own(limited: Source) -> None:
    limited.sync("tickets", page_size=10, export_requests_per_minute=10)

    limits = limited.tenant.limits
    assert limits.refused == 0
    assert most_in_a_minute(limits.arrivals) == 10
    assert len(limits.arrivals) == 11


def test_what_people_use_up_is_waited_for(limited: Source, clock: Clock) -> None:
    """When others take nearly all of a minute, the tap goes on in the next one."""
    limited.tenant.limits.take(90)

    limited.sync(*STREAMS, export_requests_per_minute=10, max_parallel=1)

    limits = limited.tenant.limits
    assert limits.refused == 0
    assert sum(at < clock.begin + MINUTE for at in limits.arrivals) <= 10


def test_several_at_once_keep_to_the_limit(open_source: Callable[..., Source]) -> None:
    """Threads share one limiter: the sleeps they ask for are those of one even pace."""
    source = open_source(size=60, per_minute=600)

    source.sync("ticket_audits", rate_limit_share=0.5, max_parallel=8)

    interval = MINUTE / (600 * 0.5)
    longest = max(source.naps)  # nobody sleeps here, so the last slot lies that far ahead
    assert longest > 55 * interval
    assert longest < 70 * interval + MINUTE / 140


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry-After": "37"}, 37), ({}, 60)], ids=["said", "edge"]
)
def test_a_429_holds_the_whole_tap(source: Source, headers: dict[str, str], seconds: float) -> None:
    """The edge's 429 has no Retry-After."""
    body = '{"detail": "Rate limited by Zendesk edge protection"}'
    source.zendesk.faults.add(path="users", status=429, headers=headers, body=body)

    result = source.sync("users")

    assert len(result.records("users")) == 6
    assert max(source.naps) == pytest.approx(seconds, abs=1)


def test_many_429s_are_no_failure(source: Source) -> None:
    """They do not count against the few tries of other faults."""
    source.zendesk.faults.add(path="users", status=429, times=30)

    assert len(source.sync("users").records("users")) == 6


def test_an_endpoint_that_is_used_up_is_left_alone(source: Source) -> None:
    headers = {"zendesk-ratelimit-tickets-index": "total=100; remaining=0; resets=41"}
    body = '{"tickets": [], "after_cursor": "MC4wfHwwfA==", "end_of_stream": false}'
    source.zendesk.faults.add(path="cursor.json", status=200, headers=headers, body=body)

    source.sync("tickets")

    assert max(source.naps) == pytest.approx(41, abs=1)
