"""Tickets with audits and comments at 400 requests a minute, on a clock that runs faster.

Both the stand-in and the tap look at that clock, so that both count the same minutes. What is
measured: requests a minute of that clock against the limit, and how many were refused.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sandbox.vendors.server import serve
from sandbox.vendors.zendesk import Zendesk
from tap_zendesk import limiter
from tap_zendesk.tap import TapZendesk

LIMIT = 400
STREAMS = ("tickets", "ticket_audits", "ticket_comments")


@dataclass(frozen=True)
class FastClock:
    """The machine's clock, `factor` times as fast."""

    factor: float
    begin: float

    def monotonic(self) -> float:
        return time.monotonic() * self.factor

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.factor)

    def now(self) -> float:
        return self.begin + self.monotonic()


def at_the_limit(tickets: int = 200_000, factor: float = 40.0) -> dict[str, float]:
    """Read a whole history; with 200,000 tickets and a factor of 40 about thirteen minutes."""
    clock = FastClock(factor, time.time() - time.monotonic() * factor)
    zendesk = Zendesk(tickets, per_minute=LIMIT, exports=10)
    zendesk.now = clock.now
    tenant = zendesk.tenants["tributary"]
    config = {
        "subdomain": "tributary",
        "client_id": tenant.access.client_id,
        "client_secret": tenant.access.client_secret,
        "rate_limit_share": 0.98,
    }
    with (
        serve(zendesk) as url,
        patch.object(limiter, "time", clock),
        Path(os.devnull).open("w") as sink,
    ):
        tap = TapZendesk(config={**config, "api_url": f"{url}/{{subdomain}}"})
        for stream in tap.streams.values():
            stream.selected = stream.name in STREAMS
        with redirect_stdout(sink):
            begin = clock.monotonic()
            tap.sync_all()
            minutes = (clock.monotonic() - begin) / 60
    arrivals = tenant.limits.arrivals
    return {
        "requests": len(arrivals),
        "refused": tenant.limits.refused,
        "share_of_limit": len(arrivals) / minutes / LIMIT,
        "most_in_a_minute": most_in_a_minute(arrivals),
    }


def most_in_a_minute(arrivals: list[float]) -> int:
    """The most requests in any sixty seconds, wherever they begin."""
    most, first = 0, 0
    ordered = sorted(arrivals)
    for last, at in enumerate(ordered):
        while ordered[first] <= at - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


if __name__ == "__main__":
    logging.disable(logging.INFO)
    print(at_the_limit(int(sys.argv[1]), float(sys.argv[2])))
