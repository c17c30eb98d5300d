"""Cron expressions by the rules of Kubernetes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from orchestrate.cron import FIELDS, CronError, Field, parse

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone


def parts(field: Field) -> st.SearchStrategy[tuple[str, set[int]]]:
    """A part of a field, and the numbers that it means."""
    number = st.integers(field.lowest, field.highest)
    ranges = st.tuples(number, number).map(sorted)
    steps = st.integers(1, field.highest)
    everything = set(range(field.lowest, field.highest + 1))
    return st.one_of(
        st.just(("*", everything)),
        st.just(("?", everything)),
        number.map(lambda n: (str(n), {n})),
        ranges.map(lambda r: (f"{r[0]}-{r[1]}", set(range(r[0], r[1] + 1)))),
        steps.map(lambda s: (f"*/{s}", set(range(field.lowest, field.highest + 1, s)))),
        st.tuples(number, steps).map(
            lambda p: (f"{p[0]}/{p[1]}", set(range(p[0], field.highest + 1, p[1])))
        ),
        st.tuples(ranges, steps).map(
            lambda p: (f"{p[0][0]}-{p[0][1]}/{p[1]}", set(range(p[0][0], p[0][1] + 1, p[1])))
        ),
    )


def fields(field: Field) -> st.SearchStrategy[tuple[str, set[int]]]:
    return st.lists(parts(field), min_size=1, max_size=3).map(
        lambda found: (",".join(t for t, _ in found), set().union(*(n for _, n in found)))
    )


EXPRESSIONS = st.tuples(*map(fields, FIELDS))


@given(EXPRESSIONS)
def test_every_field_means_the_numbers_that_its_parts_name(
    drawn: tuple[tuple[str, set[int]], ...],
) -> None:
    try:
        cron = parse(" ".join(text for text, _ in drawn))
    except CronError:
        assume(False)  # noqa: FBT003 - such as 31 February

    found = (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)
    assert [set(numbers) for numbers in found] == [numbers for _, numbers in drawn]


@given(EXPRESSIONS, MOMENTS)
def test_next_and_previous_are_each_others_opposite(
    drawn: tuple[tuple[str, set[int]], ...], moment: datetime
) -> None:
    try:
        cron = parse(" ".join(text for text, _ in drawn))
    except CronError:
        assume(False)  # noqa: FBT003 - such as 31 February

    following = cron.next(moment)

    assert following > moment
    assert cron.previous(following) == following
    assert cron.previous(following - timedelta(seconds=1)) <= moment
    assert cron.next(cron.previous(moment)) == following


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 */8 * * *", "2026-11-26T16:00", "2026-11-27T00:00"),
        ("5 8 1 2,5,8,11 *", "2026-11-26T00:00", "2027-02-01T08:05"),
        ("0 5 29 2 *", "2096-03-01T00:00", "2104-02-29T05:00"),
        ("0 0 13 * fri", "2026-11-26T00:00", "2026-11-27T00:00"),
        ("0 0 13 * *", "2026-11-26T00:00", "2026-12-13T00:00"),
        ("0 0 13 * */1", "2026-11-26T00:00", "2026-12-13T00:00"),
        ("0 0 13 * */2", "2026-11-26T00:00", "2026-11-28T00:00"),
        ("0 0 ?/1 * mon", "2026-11-26T00:00", "2026-11-30T00:00"),
        ("0 0 * * MON-wed", "2026-11-26T00:00", "2026-11-30T00:00"),
        ("0 0 */10 * mon", "2026-11-26T00:00", "2026-11-30T00:00"),
        ("0 12 1 JAN ?", "2026-11-26T00:00", "2027-01-01T12:00"),
        ("@weekly", "2026-11-26T00:00", "2026-11-29T00:00"),
    ],
)
def test_moments(expression: str, after: str, expected: str) -> None:
    """Of two restricted day fields either is enough; a star leaves it to the other."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)

    assert parse(expression).next(moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 * * 5#2",
        "0 0 * * 7",
        "0 0 * * fri-mon",
        "0 22-4 * * *",
        "99,5 2 * * *",
        "5,,7 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "*/0 * * * *",
        "/5 * * * *",
        "1-2-3 * * * *",
        "-5 * * * *",
        "٣ * * * *",
        "0 0 * * * *",
        "0 0 * *",
        "",
        "@every 1h",
        "@reboot",
        "TZ=UTC 0 0 * * *",
        "0 0 30 2 *",
    ],
)
def test_what_kubernetes_would_refuse_is_refused(expression: str) -> None:
    """Meltano lets several of these pass ("kubernetes.md", section 1, Cron trap)."""
    with pytest.raises(CronError):
        parse(expression)
