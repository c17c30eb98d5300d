"""Runs, ranges and crashes in any order end in the same table."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.testing import Warehouse
    from sandbox.vendors.clari import Clari

    Load = Callable[[list[bytes], list[Any]], None]

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
        reaches: How much of its output reaches the loader, 0 to 1; then the tap is killed.
        keeps_state: Whether the state that the loader wrote is there for the next run.
        change: Seed of a new number; None for no change.
    """

    quarters: list[str]
    fault: dict[str, Any]
    reaches: float
    keeps_state: bool
    change: int | None


steps = st.builds(
    Step,
    quarters=st.lists(st.sampled_from(QUARTERS), min_size=1, max_size=3, unique=True),
    fault=st.sampled_from(FAULTS),
    reaches=st.just(1.0) | st.floats(0, 1),
    keeps_state=st.booleans() | st.just(True),  # noqa: FBT003 - a value
    change=st.none() | st.integers(0, 99),
)
WHOLE = Step(QUARTERS, {}, 1, keeps_state=True, change=None)
LAST = Step(QUARTERS, {}, 1, keeps_state=True, change=7)
# Of three exports one is loaded, one has its rows on their way, and one has a job only.
KILLED = Step(QUARTERS, {}, 0.5, keeps_state=True, change=1)


class History:
    """The runs so far, each of them loaded when it was over, and the state that is left."""

    def __init__(self, source: Any, load: Load, *, keep_departed: bool) -> None:
        self.source = source
        self.vendor: Clari = source.vendor
        self.load = load
        self.keep_departed = keep_departed
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

        lines = self.source.run(
            self.state,
            only=("forecast_entries",),
            time_periods=step.quarters,
            keep_departed=self.keep_departed,
        ).lines

        started = [job.request["timePeriod"] for job in self.vendor.jobs[before:]]
        assert sorted(started) == sorted(set(step.quarters) - known)
        states: list[Any] = []
        with suppress(LoadError):  # the tap was killed within a snapshot
            self.load(lines[: round(step.reaches * len(lines))], states)
        if states and step.keeps_state:
            self.state = states[-1]

    def change(self, chance: random.Random) -> None:
        """Give somebody who stays another number, in each quarter."""
        for quarter in QUARTERS:
            entries = self.vendor.forecasts.data["net_arr", quarter]["entries"]
            staying = [e for e in entries if e["userId"] != leaver(self.vendor)]
            chance.choice(staying)["forecastValue"] = chance.randrange(10**6) / 4

    def exported(self) -> dict[tuple[Any, ...], float | None]:
        """What the newest job of each quarter has, by key: whoever goes on with it, loads that."""
        newest = {job.request["timePeriod"]: job for job in self.vendor.jobs}
        return values(newest[quarter].content for quarter in QUARTERS)

    def shown(self) -> dict[tuple[Any, ...], float | None]:
        """What the vendor has now, by key."""
        types = ["forecast", "forecast_updated"]
        show = self.vendor.forecasts.shown
        return values(show("net_arr", quarter, types) for quarter in QUARTERS)


def values(contents: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], float | None]:
    """The values of all entries by the keys that they have in the table."""
    properties = ("timePeriodId", "timeFrameId", "userId", "fieldId")
    return {
        ("net_arr", *(entry[name] for name in properties)): entry.get("forecastValue")
        for content in contents
        for entry in content["entries"]
    }


def leaver(vendor: Clari) -> str:
    return str(vendor.forecasts.data["net_arr", QUARTERS[0]]["users"][1]["userId"])


def loaded(warehouse: Warehouse) -> dict[tuple[Any, ...], float | None]:
    """The table's values by key, which must be one."""
    found = warehouse.query(
        f"SELECT {', '.join(COLUMNS)}, FORECAST_VALUE FROM {warehouse.schema}.FORECAST_ENTRIES"
    )
    rows = [tuple(row.values()) for row in found]
    by_key = {row[:-1]: None if row[-1] is None else float(row[-1]) for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def check_sequence(
    new_source: Any,
    warehouse: Warehouse,
    load: Load,
    *,
    before: list[Step],
    after: list[Step],
    keep_departed: bool,
) -> None:
    """Everything is read once, somebody leaves in the middle, everything is read in the end.

    That last run goes on with what those before it began, so it finds no more than they had asked
    for. One more shows the vendor as it is now.
    """
    warehouse.query(f"DROP SCHEMA IF EXISTS RAW.{warehouse.schema}")
    with new_source() as source:
        history = History(source, load, keep_departed=keep_departed)
        history.run(WHOLE)
        everybody = loaded(warehouse)
        assert everybody == history.exported()
        for step in before:
            history.run(step)
        source.vendor.forecasts.departed.add(leaver(source.vendor))
        for step in [*after, WHOLE]:
            history.run(step)
        departed = everybody if keep_departed else {}

        assert loaded(warehouse) == departed | history.exported()
        history.run(LAST)
        assert loaded(warehouse) == departed | history.shown()


relaxed = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # each example takes seconds
    suppress_health_check=list(HealthCheck),
)
sequences = given(
    before=st.lists(steps, max_size=1),
    after=st.lists(steps, min_size=1, max_size=2),
    keep_departed=st.booleans(),
)


@pytest.mark.usefixtures("naps")
@settings(relaxed, max_examples=2)
@example(before=[], after=[KILLED], keep_departed=True)
@example(before=[], after=[KILLED], keep_departed=False)
@sequences
def test_any_sequence_ends_in_the_same_table(
    new_source: Any, warehouse: Warehouse, load_into: Load, **sequence: Any
) -> None:
    """Every run is loaded by itself, and the next one begins with what the loader wrote."""
    check_sequence(new_source, warehouse, load_into, **sequence)


@pytest.mark.slow
@pytest.mark.usefixtures("naps")
@settings(relaxed, max_examples=60)
@sequences
def test_any_sequence_in_its_long_form(
    new_source: Any, warehouse: Warehouse, load_into: Load, **sequence: Any
) -> None:
    check_sequence(new_source, warehouse, load_into, **sequence)
