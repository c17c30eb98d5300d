"""Through the pages of a day: every event once, in whatever way the vendor pages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.vendors.thought_industries_data import milliseconds

from .conftest import EVENTS, Site, event, stamp

if TYPE_CHECKING:
    from tapsupport.testing import SyncResult

CURSORS = ["time", "plain", "opaque", "none", "bare"]


def ids(result: SyncResult) -> Counter[str]:
    return Counter(record["id"] for record in result.records("course_actions"))


def queries(site: Site, kind: str = "courseAction") -> list[dict[str, list[str]]]:
    return [parse_qs(request.query) for request in site.vendor.seen(f"events/{kind}")]


@pytest.mark.parametrize("stream", EVENTS)
def test_every_value_of_every_event_arrives_once(site: Site, stream: str) -> None:
    """Oldest day first, newest first inside a day, keys whole and different."""
    result = site.sync(stream)

    assert result.records(stream) == site.expected(stream)
    keys = result.of_type("SCHEMA", stream)[0]["key_properties"]
    found = Counter(tuple(record[key] for key in keys) for record in result.records(stream))
    assert set(found.values()) == {1}
    assert not any(None in key for key in found)


@pytest.mark.parametrize("envelope", ["top", "nested"])
@pytest.mark.parametrize("cursors", CURSORS)
def test_any_envelope_and_any_cursor(site: Site, envelope: Any, cursors: Any) -> None:
    """The sheet has two envelopes and no certainty about cursors."""
    site.vendor.envelope, site.vendor.cursors = envelope, cursors

    result = site.sync("course_actions")

    assert result.records("course_actions") == site.expected("course_actions")


def test_an_opaque_cursor_is_followed(site: Site) -> None:
    site.vendor.cursors = "opaque"

    site.sync("course_actions")

    assert any("cursor" in query for query in queries(site))


def test_asks_for_whole_days_in_milliseconds(site: Site) -> None:
    """Seconds would ask about 1970 and find nothing; a day that is cut would lose its rest."""
    site.sync("course_actions", max_parallel_windows=1, end_date="2026-01-03T12:00:00Z")

    starts = [int(query["startDate"][0]) for query in queries(site)]
    ends = [int(query["endDate"][0]) for query in queries(site)]
    days = [stamp(0, day) for day in (1, 2, 3)]
    assert list(dict.fromkeys(starts)) == [milliseconds(day) for day in days]
    assert ends[0] == milliseconds(days[1]) - 1
    assert max(ends) == milliseconds(days[2]) + 12 * 3600 * 1000


@pytest.mark.parametrize("cursors", CURSORS)
def test_neighbours_of_one_millisecond_at_a_page_border(site: Site, cursors: Any) -> None:
    """A cursor that is a time would pass over the fourth."""
    site.vendor.page_size, site.vendor.cursors = 3, cursors
    moments = [stamp(9), stamp(8), stamp(5), stamp(5), stamp(2)]
    site.vendor.events["courseAction"] = [event(n, moment) for n, moment in enumerate(moments)]

    result = site.sync("course_actions")

    assert ids(result) == Counter(f"{n:03}" for n in range(5))


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    crowds=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, max_size=12),
    page_size=st.integers(5, 9),
    cursors=st.sampled_from(CURSORS),
)
def test_nothing_lost_and_nothing_doubled(
    site: Site, crowds: list[tuple[int, int]], page_size: int, cursors: Any
) -> None:
    """Wherever the borders of pages fall among events of the same millisecond."""
    moments = sorted(dict(crowds).items(), reverse=True)  # each has fewer events than a page
    times = [stamp(moment) for moment, count in moments for _ in range(count)]
    site.vendor.events["courseAction"] = [event(n, time) for n, time in enumerate(times)]
    site.vendor.page_size, site.vendor.cursors = page_size, cursors

    result = site.sync("course_actions", end_date="2026-01-02")

    assert ids(result) == Counter(f"{n:03}" for n in range(len(times)))


@pytest.mark.parametrize("cursors", ["time", "plain", "none"])
def test_more_events_in_a_millisecond_than_a_page_holds(site: Site, cursors: Any) -> None:
    """They cannot be asked for: nothing is left out without a word."""
    site.vendor.page_size, site.vendor.cursors = 3, cursors
    moments = [stamp(9), *[stamp(5)] * 5, stamp(4), stamp(1)]
    site.vendor.events["courseAction"] = [event(n, moment) for n, moment in enumerate(moments)]

    sentence = site.fail("course_actions")
    skipped = site.sync("course_actions", crowded_millisecond="skip")

    assert "course_actions, day 2026-01-01" in sentence
    assert "crowded_millisecond" in sentence
    assert set(ids(skipped)) == {"000", "001", "002", "003", "006", "007"}


def test_an_opaque_cursor_passes_a_crowded_millisecond(site: Site) -> None:
    site.vendor.page_size, site.vendor.cursors = 3, "opaque"
    site.vendor.events["courseAction"] = [event(n, stamp(5)) for n in range(8)]

    assert len(ids(site.sync("course_actions"))) == 8


def test_equal_keys_are_one_row_wherever_the_pages_end(site: Site) -> None:
    """Else the row that stays would hang on the page size, and a re-run would change it."""
    twice = [event(1, stamp(5), event="first"), event(1, stamp(5), event="second")]
    site.vendor.events["login"] = [
        event(0, stamp(9)), event(3, stamp(8)), *twice, event(2, stamp(1)),
    ]  # fmt: skip
    found = []
    for page_size in (3, 4, 5):
        site.vendor.page_size = page_size
        found.append(site.sync("logins").records("logins"))

    assert found[0] == found[1] == found[2]
    assert [record.get("event") for record in found[0]] == [None, None, "first", None]


def test_a_user_who_is_gone_has_an_empty_id_in_the_key(site: Site) -> None:
    """Keys must not be null."""
    site.vendor.events["login"] = [
        {"timestamp": stamp(5), "userDetail": None},
        {"timestamp": stamp(4), "userDetail": {"id": None}},
    ]

    assert [record["user_id"] for record in site.sync("logins").records("logins")] == ["", ""]


def test_an_event_without_the_id_of_its_stream(site: Site) -> None:
    site.vendor.events["courseAction"] = [event(1, stamp(5), id=None)]

    assert "course_actions: an event of 2026-01-01 has no id" in site.fail("course_actions")


@pytest.mark.parametrize("moment", ["yesterday", None])
def test_an_event_without_a_time(site: Site, moment: Any) -> None:
    site.vendor.events["courseAction"] = []
    body = '{"events": [{"id": "1", "timestamp": null}]}'
    site.vendor.faults.add(
        path="courseAction", status=200, body=body.replace("null", f'"{moment}"')
    )

    assert "the timestamp of an event is no date" in site.fail("course_actions")


@pytest.mark.parametrize(
    ("moments", "sentence"),
    [
        ([stamp(1), stamp(2)], "did not come newest first"),
        ([stamp(1, day=9)], "later than endDate"),
    ],
)
def test_answers_that_the_walk_cannot_rely_on(
    site: Site, moments: list[str], sentence: str
) -> None:
    """Both would lose events, or put them into another day's rows."""
    rows = ",".join(f'{{"id": "{n}", "timestamp": "{m}"}}' for n, m in enumerate(moments))
    site.vendor.faults.add(path="courseAction", status=200, body=f'{{"events": [{rows}]}}')

    assert sentence in site.fail("course_actions")


def test_a_cursor_that_leads_back_to_itself(site: Site) -> None:
    body = f'{{"events": [{{"id": "1", "timestamp": "{stamp(1)}"}}], "pageInfo": '
    body += '{"hasMore": true, "cursor": "again"}}'
    site.vendor.faults.add(path="courseAction", times=2, status=200, body=body)

    assert "would never end" in site.fail("course_actions", max_parallel_windows=1)


@pytest.mark.parametrize("about", ['{"hasMore": true}', '{"hasMore": true, "cursor": "x"}'])
def test_no_events_and_more_of_them(site: Site, about: str) -> None:
    """An empty page is the end, unless it says itself that it is not."""
    body = f'{{"events": [], "pageInfo": {about}}}'
    site.vendor.faults.add(path="courseAction", status=200, body=body)

    assert "no events and says that there are more" in site.fail("course_actions")
