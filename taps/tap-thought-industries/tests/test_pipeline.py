"""tap-thought-industries into target-snowflake: the table ends equal to the site's events."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sandbox.vendors.server import serve
from sandbox.vendors.thought_industries import ThoughtIndustries
from snowflake_loader.errors import LoadError
from snowflake_loader.target import TargetSnowflake
from tap_thought_industries.streams import STREAMS
from tap_thought_industries.tap import TapThoughtIndustries
from tapsupport.testing import parse_messages

from .conftest import EVENTS, Site, catalog, event, stamp
from .test_objects import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
STREAM = "logins"
DAYS = 4
LATE = dt.timedelta(minutes=59)  # how late an event may come, below the default settle_minutes
JUST_BEFORE_MIDNIGHT = 86_400_000 - 1_000
FAULTS: list[dict[str, Any]] = [
    {"status": 429, "headers": {"Retry-After": "3"}},
    {"status": 429},
    {"status": 500, "times": 2},
    {"cut_after": 150},
    {"status": 400},  # which ends the run
]


@dataclass
class Step:
    """One start of the tap: a run or a backfill of some days, with faults, perhaps killed.

    Attributes:
        hours: How much later it is than at the step before.
        backfill: First and last day of January to read again, or None for a run.
        faults: What the site does, and at which request.
        killed_at: Which part of the tap's output reaches the loader, 0 to 1.
        cursors: How the site pages today.
    """

    hours: int
    backfill: tuple[int, int] | None
    faults: list[tuple[int, dict[str, Any]]]
    killed_at: float
    cursors: Any = "time"


day_ranges = st.tuples(st.integers(1, DAYS), st.integers(1, DAYS)).map(lambda p: (min(p), max(p)))
steps = st.builds(
    Step,
    hours=st.integers(0, 30),
    backfill=st.none() | day_ranges,
    faults=st.lists(st.tuples(st.integers(0, 6), st.sampled_from(FAULTS)), max_size=2),
    killed_at=st.just(1.0) | st.floats(0, 1),
    cursors=st.sampled_from(["time", "opaque", "none", "bare"]),
)


@dataclass
class Pipeline:
    """A site whose events come late, a warehouse, and the states that a scheduler keeps."""

    site: Site
    warehouse: Warehouse
    now: dt.datetime = dt.datetime(2026, 1, 1, 6, tzinfo=dt.UTC)
    states: dict[Any, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.all_events = self.site.vendor.events["login"]

    def take(self, step: Step) -> None:
        self.now += dt.timedelta(hours=step.hours)
        visible = (self.now - LATE).isoformat().replace("+00:00", "Z")
        vendor = self.site.vendor
        vendor.events["login"] = [e for e in self.all_events if e["timestamp"] <= visible]
        vendor.cursors = step.cursors
        for skip, fault in step.faults:
            vendor.faults.add(skip=skip, **fault)
        options: dict[str, Any] = {"end_date": self.now.isoformat()}
        if step.backfill:
            options["backfill_from"], options["backfill_to"] = (
                f"2026-01-{day:02}" for day in step.backfill
            )
        result, _ = self.site.run(STREAM, state=self.states.get(step.backfill), **options)
        vendor.faults.clear()
        sent = result.messages[: round(len(result.messages) * step.killed_at)]
        self.load(sent, step.backfill)

    def load(self, messages: list[dict[str, Any]], kept_as: Any) -> None:
        """Load, and keep the last state that the loader printed, as Meltano does."""
        with tempfile.TemporaryDirectory() as folder:
            target = TargetSnowflake(config={**self.warehouse.config, "work_directory": folder})
            lines = "".join(json.dumps(message, default=str) + "\n" for message in messages)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                try:
                    target.listen(io.StringIO(lines))
                except LoadError:  # the tap was killed within a day
                    target.abandon()
        for line in output.getvalue().splitlines():
            self.states[kept_as] = json.loads(line)

    def loaded(self) -> list[dict[str, Any]]:
        return rows_of(self.warehouse, STREAM)


@contextlib.contextmanager
def fresh(warehouse: Warehouse) -> Iterator[Pipeline]:
    """A site with few events and an empty schema."""
    warehouse.query(f"DROP SCHEMA IF EXISTS RAW.{warehouse.schema}")
    vendor = ThoughtIndustries(30, days=DAYS, kinds=["login"])
    late = [event(day, stamp(JUST_BEFORE_MIDNIGHT, day)) for day in range(1, DAYS + 1)]
    both = [*vendor.events["login"], *late]
    vendor.events["login"] = sorted(both, key=lambda one: str(one["timestamp"]), reverse=True)
    vendor.page_size = 4
    with serve(vendor) as url:
        yield Pipeline(Site(vendor, url), warehouse)


def rows_of(warehouse: Warehouse, stream: str) -> list[dict[str, Any]]:
    """The table's rows as the records that they came from, in the order of their text."""
    schema = TapThoughtIndustries(config={}, validate_config=False).streams[stream].schema
    properties = schema["properties"]
    rows = warehouse.query(f"SELECT * FROM {warehouse.schema}.{stream.upper()}")
    found = [
        {name: comparable(row[name.upper()], of) for name, of in properties.items()} for row in rows
    ]
    return sorted(found, key=str)


def comparable(value: Any, schema: dict[str, Any]) -> Any:
    """A value in the form it has when it comes from the warehouse, or the site, alike."""
    if value is None:
        return None
    if schema.get("format") == "date-time":
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(dt.UTC)
    if schema.get("format") == "date":
        return str(value)
    if {"object", "array"} & set(schema["type"]):
        return json.loads(value) if isinstance(value, str) else value
    return value


def wanted(records: list[dict[str, Any]], stream: str) -> list[dict[str, Any]]:
    schema = TapThoughtIndustries(config={}, validate_config=False).streams[stream].schema
    properties = schema["properties"]
    rows = [
        {name: comparable(record.get(name), of) for name, of in properties.items()}
        for record in records
    ]
    return sorted(rows, key=str)


def check_sequence(warehouse: Warehouse, sequence: list[Step]) -> None:
    with fresh(warehouse) as pipeline:
        for step in sequence:
            pipeline.take(step)
        pipeline.now = max(pipeline.now, dt.datetime(2026, 1, DAYS + 1, 2, tzinfo=dt.UTC))
        pipeline.take(Step(hours=0, backfill=None, faults=[], killed_at=1.0))

        assert pipeline.loaded() == wanted(pipeline.site.expected(STREAM), STREAM)


relaxed = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # each example takes seconds
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.usefixtures("naps")
@settings(relaxed, max_examples=2)
@example([Step(18, None, [], 1.0)])  # at midnight, when an event of that day is yet to come
@example([Step(48, None, [], 0.45)])  # killed within the second day
@given(st.lists(steps, min_size=2, max_size=3))
def test_any_runs_ranges_and_crashes_end_in_the_same_table(
    warehouse: Warehouse, sequence: list[Step]
) -> None:
    """Whatever happened before, one more run makes the table what the site has."""
    check_sequence(warehouse, sequence)


@pytest.mark.slow
@pytest.mark.usefixtures("naps")
@settings(relaxed, max_examples=60)
@given(st.lists(steps, min_size=2, max_size=7))
def test_any_runs_ranges_and_crashes_in_its_long_form(
    warehouse: Warehouse, sequence: list[Step]
) -> None:
    check_sequence(warehouse, sequence)


@pytest.mark.usefixtures("naps")
def test_a_day_read_again_takes_the_place_of_what_it_was(warehouse: Warehouse) -> None:
    """What the site has dropped or corrected since, a backfill drops and corrects."""
    with fresh(warehouse) as pipeline:
        pipeline.all_events = [event(n, stamp(n, day)) for day in (2, 1) for n in (3, 2, 1)]
        pipeline.take(Step(hours=48, backfill=None, faults=[], killed_at=1.0))
        before = pipeline.loaded()
        pipeline.all_events = [
            event(n, stamp(n, day), event="again") for day in (2, 1) for n in (3, 1)
        ]
        pipeline.take(Step(hours=0, backfill=(1, 1), faults=[], killed_at=1.0))

        again = [row for row in pipeline.loaded() if row["event_date"] == "2026-01-01"]
        assert [row["event"] for row in again] == ["again", "again"]
        untouched = [row for row in before if row["event_date"] == "2026-01-02"]
        assert [r for r in pipeline.loaded() if r["event_date"] == "2026-01-02"] == untouched

        pipeline.all_events = [event(n, stamp(n, 2)) for n in (3, 2, 1)]
        pipeline.take(Step(hours=0, backfill=(1, 1), faults=[], killed_at=1.0))
        assert {row["event_date"] for row in pipeline.loaded()} == {"2026-01-02"}


def write(folder: Path, name: str, content: dict[str, Any]) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_every_value_of_every_stream_in_the_warehouse(warehouse: Warehouse, tmp_path: Path) -> None:
    """As processes, from the site to the tables."""
    vendor = ThoughtIndustries(20, days=1)
    vendor.page_size = 9
    with serve(vendor) as url:
        site = Site(vendor, url)
        command = [str(BIN / "tap-thought-industries")]
        command += ["--config", write(tmp_path, "tap", site.config(end_date="2026-01-02"))]
        everything = catalog(*(stream.name for stream in STREAMS)) or {}
        command += ["--catalog", write(tmp_path, "catalog", everything)]
        tap = subprocess.run(command, capture_output=True, check=False, timeout=60)
        config = {**warehouse.config, "work_directory": str(tmp_path / "work")}
        target = subprocess.run(
            [str(BIN / "tributary-target-snowflake"), "--config", write(tmp_path, "to", config)],
            input=tap.stdout, capture_output=True, check=False, timeout=120,
        )  # fmt: skip

    assert tap.returncode == 0, tap.stderr.decode()[-2000:]
    assert target.returncode == 0, target.stderr.decode()[-2000:]
    for stream in EVENTS:
        assert rows_of(warehouse, stream) == wanted(site.expected(stream), stream), stream
    for stream, key in OBJECTS.items():
        assert rows_of(warehouse, stream) == wanted(vendor.objects[key], stream), stream


def test_a_signal_ends_it_between_two_requests(tmp_path: Path) -> None:
    """With whole lines, and a last state that covers what was sent."""
    vendor = ThoughtIndustries(300, days=30)
    vendor.answer_seconds = 0.05
    with serve(vendor) as url:
        config = Site(vendor, url).config(end_date="2026-02-01", max_parallel_windows=1)
        command = [str(BIN / "tap-thought-industries"), "--config", write(tmp_path, "tap", config)]
        tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert tap.stdout
        lines = []
        for line in tap.stdout:
            lines.append(line)
            if line.startswith(b'{"type":"STATE"') and len(lines) > 10:
                os.kill(tap.pid, signal.SIGTERM)
                break
        lines += list(tap.stdout)
        code = tap.wait(30)

    result = parse_messages(b"".join(lines))
    assert code == 128 + signal.SIGTERM
    assert lines[-1].endswith(b"\n")
    read_until = result.state["bookmarks"]["course_actions"]["replication_key_value"][:10]
    assert read_until < "2026-01-31"
    published = [r for r in result.records("course_actions") if r["event_date"] < read_until]
    expected = Site(vendor, url).expected("course_actions")
    assert published == [row for row in expected if row["event_date"] < read_until]
