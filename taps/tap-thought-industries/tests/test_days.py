"""Days: their order, the bookmark, several at once, and reading a range again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import yaml
from singer_sdk.exceptions import ConfigValidationError

from tap_thought_industries import side_by_side
from tap_thought_industries.side_by_side import WINDOWS_AHEAD
from tap_thought_industries.tap import TapThoughtIndustries

from .conftest import Site, bookmark, event, stamp

if TYPE_CHECKING:
    from tapsupport.testing import SyncResult

STREAM = "course_actions"


def days(result: SyncResult) -> list[str]:
    """The days whose records came, in the order in which they came."""
    return list(dict.fromkeys(record["event_date"] for record in result.records(STREAM)))


def at(day: int) -> dict[str, Any]:
    """A state whose bookmark is a day of January 2026."""
    value = f"2026-01-{day:02}T00:00:00+00:00"
    state = {"replication_key": "timestamp", "replication_key_value": value}
    return {"bookmarks": {STREAM: state}}


def test_the_first_run_begins_at_the_start_date(site: Site) -> None:
    result = site.sync(STREAM, start_date="2026-01-03")

    assert days(result) == sorted(days(result))
    assert days(result)[0] == "2026-01-03"


def test_the_second_run_begins_at_the_bookmark(site: Site) -> None:
    """With the whole of that day: our loader replaces whole days."""
    first = site.sync(STREAM, end_date="2026-01-03T12:00:00Z")
    second = site.sync(STREAM, state=first.state)

    assert bookmark(first) == "2026-01-03"
    assert days(second)[0] == "2026-01-03"
    rows = [row for row in site.expected(STREAM) if row["event_date"] >= "2026-01-03"]
    assert second.records(STREAM) == rows


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-04T23:59:59.999Z", "2026-01-04"),
        ("2026-01-05T00:59:59Z", "2026-01-04"),
        ("2026-01-05T01:00:00Z", "2026-01-05"),
    ],
)
def test_a_day_is_done_an_hour_after_its_end(site: Site, now: str, expected: str) -> None:
    """Until then events of it may still come."""
    assert bookmark(site.sync(STREAM, end_date=now)) == expected


def test_a_bookmark_in_the_future_reads_nothing_and_stays(site: Site) -> None:
    result = site.sync(STREAM, state=at(9), end_date="2026-01-08")

    assert result.records(STREAM) == []
    assert bookmark(result) == "2026-01-09"


def test_each_day_is_a_snapshot_of_its_own(site: Site) -> None:
    """So that our loader publishes it when it is whole, and no day twice for one version."""
    result = site.sync(STREAM)

    versions: list[int] = []
    open_version = None
    for message in result.messages:
        if message["type"] == "ACTIVATE_VERSION":
            open_version = None if open_version else message["version"]
            versions.append(message["version"])
        elif message["type"] == "RECORD":
            assert message["version"] == open_version
        elif message["type"] == "STATE":
            assert open_version is None
    opened = versions[::2]
    assert versions[1::2] == opened
    assert opened == sorted(set(opened))
    named = [slices[-1] for slices in replaced(result)]
    assert set(days(result)) <= set(named)
    assert len(opened) == len(named) == len(set(named))


def test_tells_the_loader_to_replace_days(site: Site) -> None:
    for message in site.sync(STREAM).of_type("SCHEMA"):
        assert message["schema"]["x-load-method"] == "replace-slice"
        assert message["schema"]["x-slice-column"] == "event_date"


def test_empty_days_move_the_bookmark_and_are_emptied(site: Site) -> None:
    """A few empty days and the next one with events are one snapshot."""
    site.vendor.events["courseAction"] = [event(1, stamp(5, day=3))]

    result = site.sync(STREAM)

    assert replaced(result) == [
        ["2026-01-01", "2026-01-02", "2026-01-03"],
        ["2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"],
    ]
    assert bookmark(result) == "2026-01-07"


def replaced(result: SyncResult) -> list[list[str]]:
    """The days that each snapshot says it replaces."""
    found = [message["schema"].get("x-slices") for message in result.of_type("SCHEMA")]
    return [slices for slices in found if slices]


def test_a_failed_day_holds_back_those_after_it(site: Site) -> None:
    """The bookmark stands before it; the next run begins there."""
    third = str(1767225600000 + 2 * 86_400_000)
    site.vendor.faults.add(path=f"startDate={third}", skip=1, status=400)

    broken, error = site.run(STREAM)
    mended = site.sync(STREAM, state=broken.state)

    assert error
    assert days(broken) == ["2026-01-01", "2026-01-02"]
    assert bookmark(broken) == "2026-01-03"
    assert days(mended)[0] == "2026-01-03"
    assert broken.records(STREAM) + mended.records(STREAM) == site.expected(STREAM)


def test_reads_several_days_at_once_and_no_more(site: Site) -> None:
    site.vendor.answer_seconds, site.vendor.requests_at_once = 0.02, 3

    result = site.sync(STREAM)

    assert site.vendor.most_at_once == 3
    assert result.records(STREAM) == site.expected(STREAM)


def test_never_reads_far_ahead(site: Site) -> None:
    """Days that wait for one before them take disk, so there are never more than a few."""
    site.vendor.faults.add(path="startDate=1767225600000", status=400, delay_seconds=0.6)

    site.fail(STREAM, end_date="2026-03-01", max_parallel_windows=2)

    queries = [parse_qs(request.query) for request in site.vendor.requests]
    assert len({query["startDate"][0] for query in queries}) <= 2 * WINDOWS_AHEAD


def test_a_large_day_waits_on_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "BYTES_IN_MEMORY", 1000)

    assert site.sync(STREAM).records(STREAM) == site.expected(STREAM)


def test_a_backfill_reads_its_days_and_leaves_the_bookmark(site: Site) -> None:
    """Both ends belong to it, whatever hour is given."""
    dates = {"backfill_from": "2026-01-02T17:00:00Z", "backfill_to": "2026-01-04"}

    result = site.sync(STREAM, state=at(6), **dates)

    rows = [r for r in site.expected(STREAM) if "2026-01-02" <= r["event_date"] <= "2026-01-04"]
    assert result.records(STREAM) == rows
    assert result.state == at(6)


def test_a_backfill_without_an_end_goes_to_today(site: Site) -> None:
    result = site.sync(STREAM, backfill_from="2026-01-06", end_date="2026-01-07T08:00:00Z")

    rows = site.expected(STREAM)
    assert result.records(STREAM) == [
        row for row in rows if "2026-01-06" <= row["timestamp"] <= "2026-01-07T08:00:00.000Z"
    ]


def test_a_backfill_that_broke_goes_on(site: Site) -> None:
    """And the same range asked for once more, when it is done, is read once more."""
    dates = {"backfill_from": "2026-01-01", "backfill_to": "2026-01-07"}
    site.vendor.faults.add(path=f"startDate={1767225600000 + 3 * 86_400_000}", status=400)
    broken, error = site.run(STREAM, **dates)

    mended = site.sync(STREAM, state=broken.state, **dates)
    other = site.sync(STREAM, state=broken.state, **{**dates, "backfill_to": "2026-01-06"})
    again = site.sync(STREAM, state=mended.state, **dates)

    assert error
    assert days(mended)[0] >= "2026-01-04"
    assert days(other)[0] == days(again)[0] == "2026-01-01"
    assert broken.records(STREAM) + mended.records(STREAM) == site.expected(STREAM)


@pytest.mark.parametrize(
    ("dates", "first", "last"),
    [
        ({"backfill": True}, "2026-01-02", "2026-01-07"),
        ({"backfill_to": "2026-01-03"}, "2026-01-02", "2026-01-03"),
    ],
)
def test_a_backfill_without_a_begin_starts_at_the_start_date(
    site: Site, dates: dict[str, Any], first: str, last: str
) -> None:
    """And does so again: it is no run that begins at a bookmark and moves it."""
    options = {"start_date": "2026-01-02", "end_date": "2026-01-07T12:00:00Z", **dates}
    result = site.sync(STREAM, state=at(6), **options)
    again = site.sync(STREAM, state=result.state, **options)

    assert (days(result)[0], days(result)[-1]) == (first, last)
    assert result.records(STREAM) == again.records(STREAM)
    assert again.state == at(6)


def test_the_command_for_a_backfill_says_that_it_is_one() -> None:
    """Without FROM and TO the plugin has no date, and would go on from a bookmark of its own."""
    plugins = Path(__file__).parents[3] / "plugins" / "thought-industries.meltano.yml"
    extractors = yaml.safe_load(plugins.read_text())["plugins"]["extractors"]

    (backfill,) = (e for e in extractors if e["name"] == "tap-thought-industries--backfill")
    assert backfill["config"] == {
        "backfill": True,
        "backfill_from": "$BACKFILL_FROM",
        "backfill_to": "$BACKFILL_TO",
    }


@pytest.mark.parametrize(
    "dates",
    [
        {"backfill_from": "2026-01-04", "backfill_to": "2026-01-03"},
        {"start_date": "2026-01-04", "backfill_to": "2026-01-03"},
    ],
)
def test_a_range_that_ends_before_it_begins(site: Site, dates: dict[str, str]) -> None:
    """It would read nothing, and say that all is well."""
    assert "There is nothing to read again" in site.fail(STREAM, **dates)
    assert site.vendor.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_parallel_windows", 0), ("settle_minutes", -1), ("api_url", "academy.example.com")],
)
def test_a_wrong_setting_is_refused_before_the_first_request(
    site: Site, name: str, value: Any
) -> None:
    """Less than no time to settle would move the bookmark into the future."""
    with pytest.raises(ConfigValidationError):
        site.sync(STREAM, **{name: value})

    assert site.vendor.requests == []


@pytest.mark.parametrize("name", ["start_date", "end_date", "backfill_from", "backfill_to"])
def test_a_wrong_date_is_refused_before_the_first_request(site: Site, name: str) -> None:
    sentence = site.fail(STREAM, **{name: "01/02/2026"})

    assert f"The setting {name} is no date" in sentence
    assert site.vendor.requests == []


def test_the_five_of_the_document_are_on(site: Site) -> None:
    tap = TapThoughtIndustries(config=site.config())

    selected = {name for name, stream in tap.streams.items() if stream.selected}

    assert selected == {"course_actions", "course_completions", "course_views", "logins", "visits"}
    assert len(tap.streams) == 15
