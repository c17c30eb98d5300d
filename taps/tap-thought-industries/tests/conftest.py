"""A learning site of its own for each test, and the tap that reads it."""

from __future__ import annotations

import datetime as dt
import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.thought_industries import KEY, ThoughtIndustries
from tap_thought_industries.tap import TapThoughtIndustries
from tapsupport.errors import TapError
from tapsupport.testing import SyncResult, parse_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

# By stream: the last part of its path, and what of its key an event may lack.
EVENTS = {
    "course_actions": ("courseAction", ()),
    "course_completions": ("courseCompletion", ()),
    "course_views": ("courseView", ("topicTitle",)),
    "logins": ("login", ()),
    "visits": ("visit", ()),
    "course_purchases": ("coursePurchase", ()),
    "learning_path_actions": ("learningPathAction", ()),
    "email_captures": ("emailCapture", ("courseId", "user")),
    "code_redemptions": (
        "redemptionCodeRedeem",
        ("redemptionCode", "redemptionCodeGroupLabel"),
    ),
}


@dataclass(frozen=True)
class Site:
    """The stand-in, served at `url`."""

    vendor: ThoughtIndustries
    url: str

    def config(self, **settings: Any) -> dict[str, Any]:
        return {
            "api_url": self.url,
            "api_key": KEY,
            "start_date": "2026-01-01",
            "end_date": "2026-01-08",
        } | settings

    def run(
        self, *streams: str, state: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[SyncResult, TapError | None]:
        """Run the tap in this process: what it sent, and its error if it ended with one."""
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        error = None
        with redirect_stdout(output):
            try:
                tap = TapThoughtIndustries(
                    config=self.config(**settings), state=state, catalog=catalog(*streams)
                )
                tap.sync_all()
            except TapError as raised:
                error = raised
            output.flush()
        return parse_messages(output.buffer.getvalue()), error

    def sync(self, *streams: str, **options: Any) -> SyncResult:
        """Run the tap to its end."""
        result, error = self.run(*streams, **options)
        if error:
            raise error
        return result

    def fail(self, *streams: str, **options: Any) -> str:
        """Run the tap, which must fail: its sentence."""
        _, error = self.run(*streams, **options)
        assert error
        return str(error)

    def expected(self, stream: str) -> list[dict[str, Any]]:
        """What the stream's records must be: the vendor's events, oldest day first."""
        kind, fillable = EVENTS[stream]
        rows = []
        for event in self.vendor.events[kind]:
            row = {**event, "event_date": event["timestamp"][:10]}
            if "userDetail" in event:
                row["user_id"] = event["userDetail"]["id"]
            rows.append(row | {name: event[name] or "" for name in fillable})
        return sorted(rows, key=lambda row: str(row["event_date"]))  # which is stable


def catalog(*streams: str) -> dict[str, Any] | None:
    """The discovered catalog with only these streams selected; None selects the default ones."""
    if not streams:
        return None
    tap = TapThoughtIndustries(config={}, validate_config=False)
    entries: dict[str, Any] = tap.catalog_dict
    for entry in entries["streams"]:
        (of_stream,) = (m for m in entry["metadata"] if not m["breadcrumb"])
        of_stream["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return entries


def event(number: int, moment: str, **fields: Any) -> dict[str, Any]:
    """A course action with little in it."""
    user = {"id": f"user {number}", "email": None}
    return {"id": f"{number:03}", "timestamp": moment, "userDetail": user, **fields}


def stamp(milliseconds: int, day: int = 1) -> str:
    """A moment on a day of January 2026, as the vendor writes it."""
    moment = dt.datetime(2026, 1, day, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bookmark(result: SyncResult, stream: str = "course_actions") -> str | None:
    """The day before which the stream's state says that all was read."""
    value = result.state["bookmarks"].get(stream, {}).get("replication_key_value")
    return None if value is None else str(value)[:10]


@pytest.fixture
def site(naps: list[float]) -> Iterator[Site]:  # noqa: ARG001 - nobody waits
    """A hundred events of each kind over a week, seven to a page."""
    vendor = ThoughtIndustries(100, days=7)
    vendor.page_size = 7
    with serve(vendor) as url:
        yield Site(vendor, url)
