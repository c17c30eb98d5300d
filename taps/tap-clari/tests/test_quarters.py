"""Which quarters are asked for, and that the answer is of the one asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import ConfigValidationError

from tap_clari.tap import TapClari
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from sandbox.vendors.clari import Clari

BASE = {"api_token": "t", "forecast_ids": ["a"]}


def asked(**settings: Any) -> list[str]:
    return [export.time_period_id for export in TapClari(config={**BASE, **settings}).exports]


@pytest.mark.parametrize(
    ("day", "month", "named_after", "expected"),
    [
        ("2020-02-01", 2, "end", ["2020_Q4", "2021_Q1", "2021_Q2"]),
        ("2020-04-30", 2, "end", ["2020_Q4", "2021_Q1", "2021_Q2"]),
        ("2021-01-31", 2, "end", ["2021_Q3", "2021_Q4", "2022_Q1"]),
        ("2021-01-31", 2, "start", ["2020_Q3", "2020_Q4", "2021_Q1"]),
        ("2021-01-31", 1, "end", ["2020_Q4", "2021_Q1", "2021_Q2"]),
        ("2021-12-31", 1, "start", ["2021_Q3", "2021_Q4", "2022_Q1"]),
        ("2021-11-30", 12, "end", ["2021_Q3", "2021_Q4", "2022_Q1"]),
        ("2021-12-01", 12, "end", ["2021_Q4", "2022_Q1", "2022_Q2"]),
    ],
)
def test_words_for_quarters(day: str, month: int, named_after: str, expected: list[str]) -> None:
    """In the first rows as the vendor's best known customer names its quarters."""
    found = asked(
        time_periods=["previous", "current", "next"],
        execution_date=day,
        fiscal_year_start_month=month,
        fiscal_year_named_after=named_after,
    )

    assert found == expected


def test_the_default_is_this_quarter_and_the_next() -> None:
    assert asked(execution_date="2025-12-31") == ["2025_Q4", "2026_Q1"]


def test_a_quarter_named_twice_is_exported_once() -> None:
    periods = ["2025_Q1", "current", "2024_Q2", "current"]

    assert asked(execution_date="2025-01-01", time_periods=periods) == ["2025_Q1", "2024_Q2"]


@pytest.mark.parametrize("wrong", ["2026-Q1", "2026_Q5", "now", ""])
def test_a_name_that_clari_would_not_know(wrong: str) -> None:
    """It would answer with the current quarter, and the export would be spent."""
    with pytest.raises(ConfigValidationError):
        TapClari(config={**BASE, "time_periods": [wrong]})


def test_the_answer_is_of_another_quarter(source: Any, clari: Clari) -> None:
    """Clari does not refuse a quarter it does not know; nothing of the answer is sent."""
    run = source.run(time_periods=["2031_Q1"])

    assert run.error
    assert f"answered with {clari.forecasts.current}, not with 2031_Q1" in str(run.error)
    assert run.result.of_type("RECORD") == []
    assert run.result.state["bookmarks"]["forecast_exports"]["jobs"] == []


def test_the_calendar_is_set_wrongly(source: Any, clari: Clari) -> None:
    """The name exists, but a year earlier: figures of the wrong year would pass for today's."""
    data = clari.forecasts.data["net_arr", clari.forecasts.current]
    data["timePeriods"] = [
        {**data["timePeriods"][0], "startDate": "2024-05-01", "endDate": "2024-07-31"}
    ]

    with pytest.raises(TapError, match=r"not the current quarter on 2025-05-15\. Correct fiscal_"):
        source.sync()


def test_a_quarter_without_days(source: Any, clari: Clari) -> None:
    data = clari.forecasts.data["net_arr", clari.forecasts.current]
    data["timePeriods"] = [{**data["timePeriods"][0], "startDate": "05/01/2025"}]

    with pytest.raises(TapError, match="startDate or endDate is no date"):
        source.sync()


def test_rows_that_name_no_quarter(source: Any, clari: Clari) -> None:
    """Then nothing can be compared, and nothing is believed."""
    for name in ("timePeriods", "entries"):
        clari.forecasts.data["net_arr", clari.forecasts.current][name] = []

    with pytest.raises(TapError, match="answered with no quarter at all"):
        source.sync()


@pytest.mark.parametrize("is_named", [True, False])
def test_an_empty_quarter(source: Any, clari: Clari, is_named: Any) -> None:
    """The next quarter, before anybody has entered anything."""
    data = clari.forecasts.data["net_arr", clari.forecasts.quarters[3]]
    for name in (
        "entries",
        "users",
        "fields",
        "timeFrames",
        *([] if is_named else ["timePeriods"]),
    ):
        data[name] = []

    result = source.sync(time_periods=["next"])

    assert result.records("forecast_entries") == []
    assert [export["entries"] for export in result.records("forecast_exports")] == [0]
    assert len(result.records("time_periods")) == is_named
    assert result.of_type("SCHEMA", "forecast_entries")
