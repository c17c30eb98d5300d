"""One rate limiter for the whole tap: even paces, corrected by what the answers say.

Limits and headers: zendesk.md, section 6. Everything waits through `time.sleep` and looks at
`time.monotonic`, so that tests can put a clock of their own in their place.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from typing_extensions import override

from tapsupport.http import TOO_MANY, asked_wait

if TYPE_CHECKING:
    import requests

MINUTE_SECONDS = 60.0
FIRST_LIMIT = 200  # requests a minute of the smallest current plan, until a header says more
AUDITS_PER_MINUTE = 450  # what singer-io's tap keeps to
UNSAID_WAIT_SECONDS = 60.0  # the edge protection's 429 has no Retry-After
MARGIN = 1.02  # so that jitter on the way does not put an eleventh export into a minute
ENDPOINT_LIMIT = re.compile(r"remaining=(\d+).*resets=(\d+)")


class Pace:
    """Requests of one kind, evenly spread; `next` is the first moment that is still free."""

    def __init__(self, per_minute: float) -> None:
        self.interval = MINUTE_SECONDS / per_minute
        self.next = 0.0

    def reserve(self, earliest: float) -> float:
        slot = max(self.next, earliest)
        self.next = slot + self.interval
        return slot


class RateLimiter:
    """Lets requests go at `share` of the account's limit, and slower when others use theirs.

    Args:
        share: Part of the account's requests a minute that this tap may take, above 0 and up to 1.
        exports_per_minute: Limit of the incremental exports, which are for integrations only.
    """

    def __init__(self, share: float, exports_per_minute: float) -> None:
        self._share = share
        self._account = Pace(FIRST_LIMIT * share)
        self._kinds = {
            "export": Pace(exports_per_minute / MARGIN),
            "audits": Pace(AUDITS_PER_MINUTE),
        }
        self._changing = threading.Lock()
        self._held_until = 0.0
        self._resets_at = 0.0
        self._left: int | None = None
        self._in_flight = 0

    def wait(self, kind: str | None) -> None:
        """Return when a request of this kind may be sent; `answered` must be called after it."""
        if kind is not None:
            with self._changing:
                now = time.monotonic()
                delay = self._kinds[kind].reserve(now) - now
            _sleep(delay)
        with self._changing:
            now = time.monotonic()
            delay = self._account.reserve(max(now, self._held_until)) - now
        _sleep(delay)
        with self._changing:
            delay = self._delay_at(time.monotonic())
            self._in_flight += 1
            if self._left is not None:
                self._left -= 1
        _sleep(delay)

    def answered(self, kind: str | None, response: requests.Response | None) -> None:
        """Take what an answer says of the limits; None when there was no answer."""
        with self._changing:
            self._in_flight -= 1
            if response is None:
                return
            now = time.monotonic()
            self._learn(response, now)
            if kind is not None:
                self._kinds[kind].next = max(self._kinds[kind].next, _free_at(response, now))
            if response.status_code == TOO_MANY:
                asked = asked_wait(response)
                wait = UNSAID_WAIT_SECONDS if asked is None else asked
                self._held_until = max(self._held_until, now + wait)

    def _delay_at(self, now: float) -> float:
        """Seconds still to wait: for a 429, or because the minute's requests are used up."""
        if self._left is not None and self._left <= 0:
            self._held_until = max(self._held_until, self._resets_at)
            self._left = None  # what the next minute has left, its first answer says
        if self._held_until <= now:
            return 0.0
        return self._account.reserve(self._held_until) - now

    def _learn(self, response: requests.Response, now: float) -> None:
        limit = _number(response, "X-Rate-Limit", "ratelimit-limit")
        if limit:
            self._account.interval = MINUTE_SECONDS / (limit * self._share)
        left = _number(response, "X-Rate-Limit-Remaining", "ratelimit-remaining")
        if left is not None:
            reset = _number(response, "ratelimit-reset")
            self._left = left - self._in_flight
            self._resets_at = now + (MINUTE_SECONDS if reset is None else reset)


class LimitedAdapter(HTTPAdapter):
    """A transport that asks the limiter before every request, retries and log-ins included."""

    def __init__(self, limiter: RateLimiter, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        self._limiter = limiter

    @override
    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        kind = _kind(request.path_url)
        self._limiter.wait(kind)
        response = None
        try:
            response = super().send(request, *args, **options)
        finally:
            self._limiter.answered(kind, response)
        return response


def _kind(path: str) -> str | None:
    if "/incremental/" in path:
        return "export"
    return "audits" if "/audits" in path else None


def _number(response: requests.Response, *names: str) -> int | None:
    texts = (response.headers.get(name, "") for name in names)
    return next((int(text) for text in texts if text.isdigit()), None)


def _free_at(response: requests.Response, now: float) -> float:
    """When an endpoint that has no request left has some again: `remaining=0; resets=42`."""
    for name, value in response.headers.items():
        found = (
            ENDPOINT_LIMIT.search(value) if name.lower().startswith("zendesk-ratelimit-") else None
        )
        if found and found[1] == "0":
            return now + float(found[2])
    return 0.0


def _sleep(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)
