"""Runs, ranges and crashes in any order end in the same table."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from sandbox.testing import Warehouse
    from sandbox.vendors.clari import Clari

    Load = Callable[[list[bytes]], list[Any]]

FAULTS: tuple[dict[str, Any], ...] = (
    {},
    {"path": "/results", "status": 500},
    {"path": "/results", "cut_after": 100},
    {"path": "/results", "status": 503, "times": 99},
    {"path": "/export/forecast/", "status": 429},
    {"path": "/export/forecast/", "cut_after": 5},
    {"path": "/export/jobs/", "status": 502},
)
QUARTERS = ["2026_Q1", "2026_Q2", "2026_Q3"]
COLUMNS = ("forecast_id", "time_period_id", "time_frame_id", "user_id", "field_id")


@dataclass(frozen=True)
class Step:
    """One run: what it reads, what befalls it, and what changes at the vendor before it.

    Attributes:
        quarters: In this order.
        fault: What the server does wrong.
        reaches: How far its output gets before it is killed, 0 to 1; None for a run that is not.
        keeps_state: Whether the state it sent is there for the next run.
        change: Seed of a new number; None for no change.
    """

    quarters: list[str]
    fault: dict[str, Any]
    reaches: float | None
    keeps_state: bool
    change: int | None


steps = st.builds(
    Step,
    quarters=st.lists(st.sampled_from(QUARTERS), min_size=1, max_size=3, unique=True),
    fault=st.sampled_from(FAULTS),
    reaches=st.none() | st.floats(0, 1),
    keeps_state=st.booleans() | st.just(True),  # noqa: FBT003 - a value
    change=st.none() | st.integers(0, 99),
)


class History:
    """The runs so far: what they sent, and the state that is left."""

    def __init__(self, source: Any, *, keep_departed: bool) -> None:
        self.source = source
        self.vendor: Clari = source.vendor
        self.keep_departed = keep_departed
        self.lines: list[bytes] = []
        self.state: dict[str, Any] = {}

    def run(self, step: Step) -> None:
        """Run the tap; it never starts a job for an export whose job the state knows."""
        if step.change is not None:
            self.change(random.Random(step.change))  # noqa: S311 - nothing secret
        self.vendor.faults.clear()
        if step.fault:
            self.vendor.faults.add(**step.fault)
        jobs = self.state.get("bookmarks", {}).get("forecast_exports", {}).get("jobs", [])
        known = {job["request"]["timePeriod"] for job in jobs}
        before = len(self.vendor.jobs)

        run = self.source.run(
            self.state,
            only=("forecast_entries",),
            time_periods=step.quarters,
            keep_departed=self.keep_departed,
        )

        started = [job.request["timePeriod"] for job in self.vendor.jobs[before:]]
        assert sorted(started) == sorted(set(step.quarters) - known)
        lines = run.lines
        if step.reaches is not None:
            lines = lines[: round(step.reaches * len(lines))]
        self.lines += lines
        states = [line for line in lines if b'"type":"STATE"' in line]
        if states and step.keeps_state:
            self.state = type(run)(states[-1:], None).result.state

    def change(self, chance: random.Random) -> None:
        """Give somebody who stays another number."""
        quarter = chance.choice(QUARTERS)
        data = self.vendor.forecasts.data["net_arr", quarter]
        staying = [e for e in data["entries"] if e["userId"] != leaver(self.vendor)]
        chance.choice(staying)["forecastValue"] = chance.randrange(10**6) / 4

    def shown(self) -> dict[tuple[Any, ...], float | None]:
        """The vendor's entries now, by key."""
        return {
            ("net_arr", quarter, e["timeFrameId"], e["userId"], e["fieldId"]): e.get(
                "forecastValue"
            )
            for quarter in QUARTERS
            for e in self.vendor.forecasts.shown(
                "net_arr", quarter, ["forecast", "forecast_updated"]
            )["entries"]
        }


def leaver(vendor: Clari) -> str:
    return str(vendor.forecasts.data["net_arr", QUARTERS[0]]["users"][1]["userId"])


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=st.lists(steps, max_size=2),
    after=st.lists(steps, max_size=2),
    keep_departed=st.booleans(),
)
def test_any_sequence_ends_in_the_same_table(
    new_source: Any,
    warehouse: Warehouse,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: list[Step],
    after: list[Step],
    keep_departed: bool,
) -> None:
    """Everything is read once, somebody leaves in the middle, everything is read in the end."""
    whole = Step(QUARTERS, {}, None, keeps_state=True, change=None)
    with new_source() as source, monkeypatch.context() as patches:
        patches.setattr("time.sleep", lambda _: None)
        history = History(source, keep_departed=keep_departed)
        for step in [whole, *before]:
            history.run(step)
        everybody = history.shown()
        source.vendor.forecasts.departed.add(leaver(source.vendor))
        # The first of the last two runs may only go on with what another one began.
        for step in [*after, whole, whole]:
            history.run(step)
        expected = {**(everybody if keep_departed else {}), **history.shown()}
    warehouse.query(f"DROP SCHEMA IF EXISTS RAW.{warehouse.schema}")

    load(history.lines)

    found = warehouse.query(
        f"SELECT {', '.join(COLUMNS)}, FORECAST_VALUE FROM {warehouse.schema}.FORECAST_ENTRIES"
    )
    rows = [tuple(row.values()) for row in found]
    loaded = {row[:-1]: None if row[-1] is None else float(row[-1]) for row in rows}
    assert len(loaded) == len(rows)
    assert loaded == expected
