"""Values in all forms in which they may arrive, and those that must not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Source

TABLE = "xc_credit_adjustment"  # CREDIT_ADJUSTMENT_ID, CREDIT_ID, ..., AMOUNT, ..., MODIFIED_DATE


def arriving(source: Source, raw: str, column: str, **settings: Any) -> Any:
    """Let one row arrive with a value, given as JSON text, in a column."""
    row = dict.fromkeys(json.loads(source_columns(source)), "null") | {
        "CREDIT_ADJUSTMENT_ID": "1",
        "MODIFIED_DATE": '"2026-01-05T08:00:00Z"',
        column: raw,
    }
    text = ",".join(row.values())
    source.page_once(f'{{"data":{{"rows":[[{text}]],"totalRows":1}}}}')
    source.page_once('{"data":{"rows":[],"totalRows":0}}')
    return source.sync(TABLE, **settings).records(TABLE)[0][column]


def source_columns(source: Source) -> str:
    catalog = source.catalog()
    entry = next(e for e in catalog["streams"] if e["tap_stream_id"] == TABLE)
    return json.dumps(list(entry["schema"]["properties"]))


@pytest.mark.parametrize(
    ("raw", "column", "value"),
    [
        ("9007199254740993", "CREDIT_ID", 9007199254740993),
        ("9007199254740993.0", "CREDIT_ID", 9007199254740993),
        ('"9007199254740993"', "CREDIT_ID", 9007199254740993),
        ("9.001E3", "CREDIT_ID", 9001),
        ("12345678901234567.89", "AMOUNT", Decimal("12345678901234567.89")),
        ('"-40.10"', "AMOUNT", Decimal("-40.10")),
        ("5", "AMOUNT", Decimal(5)),
        ('"1"', "IS_ACTIVE", "1"),
        ("1", "IS_ACTIVE", "1"),
        ("true", "IS_ACTIVE", "1"),
        ("null", "IS_ACTIVE", None),
    ],
)
def test_numbers_and_flags(source: Source, raw: str, column: str, value: Any) -> None:
    assert arriving(source, raw, column) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("2026-01-03T10:11:12Z", "2026-01-03T10:11:12.000000+00:00"),
        ("2026-01-03T10:11:12.5+02:00", "2026-01-03T08:11:12.500000+00:00"),
        ("2026-01-03T10:11-0500", "2026-01-03T15:11:00.000000+00:00"),
        ("2026-07-03T10:11Z[UTC]", "2026-07-03T10:11:00.000000+00:00"),
        ("2026-07-03T10:11:12.123456789", "2026-07-03T17:11:12.123456+00:00"),
        ("2026-07-03 10:11:12.0", "2026-07-03T17:11:12.000000+00:00"),
        ("2026-01-03T10:11", "2026-01-03T18:11:00.000000+00:00"),
        ("2026-01-03", "2026-01-03T08:00:00.000000+00:00"),
        ("4000-01-01T00:00:00Z", "4000-01-01T00:00:00.000000+00:00"),
    ],
)
def test_dates_with_and_without_zone(source: Source, raw: str, value: str) -> None:
    """Those without one are of the setting time_zone, summer time included."""
    found = arriving(source, f'"{raw}"', "CREATED_DATE", time_zone="America/Los_Angeles")

    assert found == value


@pytest.mark.parametrize(
    ("raw", "column"),
    [
        ("1.5", "CREDIT_ID"),
        ('"abc"', "CREDIT_ID"),
        ("99999999999999999999", "CREDIT_ID"),
        ('"NaN"', "AMOUNT"),
        ("1.4210854715202004E-14", "AMOUNT"),
        ("123456789012345678901234567890", "AMOUNT"),
        ('"soon"', "CREATED_DATE"),
        ('"2026-13-01"', "CREATED_DATE"),
    ],
)
def test_what_does_not_fit_fails_without_being_quoted(
    source: Source, raw: str, column: str
) -> None:
    with pytest.raises(Exception, match=rf"{TABLE}\.{column} holds a value") as caught:
        arriving(source, raw, column)

    assert raw.strip('"') not in str(caught.value)
    assert "text_columns" in str(caught.value)


def test_text_columns_takes_anything(source: Source) -> None:
    found = arriving(source, '"soon"', "CREATED_DATE", text_columns=["*.created_date"])

    assert found == "soon"


def test_beyond_the_scale_rounds_when_asked(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    raw = "0.12345678901234567891"

    found = arriving(source, raw, "AMOUNT", beyond_scale="round")

    assert found == Decimal("0.123456789012345679")
    assert f"{TABLE}.AMOUNT: 1 values were rounded." in caplog.text


def test_a_key_that_is_null_fails(source: Source) -> None:
    with pytest.raises(Exception, match="belongs to the key and is NULL"):
        arriving(source, "null", "CREDIT_ADJUSTMENT_ID")
