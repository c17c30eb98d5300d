"""What arrives: every value of every table, by both ways in and in both lanes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.xactly_tables import TABLES

if TYPE_CHECKING:
    from conftest import Source
    from tapsupport.testing import SyncResult

FEW = ("xc_credit", "xc_quota_hist", "xc_quota_relationship", "xc_quota_summary")


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of either lane with date-times that can be compared, whatever their form."""

    def moment(name: str, value: Any) -> Any:
        if isinstance(value, str) and name.endswith(("_DATE", "_DT")):
            value = dt.datetime.fromisoformat(value)
        return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value

    return {name: moment(name, value) for name, value in row.items()}


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((plain(row) for row in rows), key=repr)


def in_vendor(source: Source, table: str) -> list[dict[str, Any]]:
    standard = [column.split()[0] for column in TABLES[table].split(", ")]
    rows = source.vendor.data.rows(table)
    return in_order([{name: row[name] for name in standard} for row in rows])


def sent(result: SyncResult, lane: str, stream: str) -> list[dict[str, Any]]:
    return in_order(
        result.records(stream) if lane == "records" else result.table(stream).to_pylist()
    )


def as_numbers(rows: list[dict[str, Any]]) -> list[str]:
    """For comparing 1.50 with 1.5000: every number without its trailing zeros."""
    return sorted(
        repr({n: v.normalize() if isinstance(v, Decimal) else v for n, v in row.items()})
        for row in rows
    )


def test_every_value_of_all_42_tables_arrives(source: Source) -> None:
    """Over HTTPS, as records: no column, row or digit differs from what the vendor stores."""
    result = source.sync(*TABLES)

    assert len(TABLES) == 42
    for table in TABLES:
        assert as_numbers(sent(result, "records", table)) == as_numbers(in_vendor(source, table))


@pytest.mark.parametrize("lane", ["records", "arrow"])
@pytest.mark.parametrize("way", ["https", "jdbc"])
def test_both_ways_and_both_lanes_agree(
    source: Source, request: pytest.FixtureRequest, way: str, lane: str
) -> None:
    if way == "jdbc":
        request.getfixturevalue("java")

    result = source.sync(*FEW, lane=lane)

    for table in FEW:
        assert as_numbers(sent(result, lane, table)) == as_numbers(in_vendor(source, table))


def test_big_amounts_keep_every_digit(source: Source) -> None:
    amounts = {row["AMOUNT"] for row in source.sync("xc_credit").records("xc_credit")}

    assert Decimal("12345678901234567.89") in amounts


def test_recalculated_tables_are_replaced_as_a_whole(source: Source) -> None:
    """Between two markers, so that a loader can publish all or nothing; a deleted row is gone."""
    source.sync("xc_credit")
    source.vendor.data.run("DELETE FROM xc_credit WHERE CREDIT_ID = 1")

    result = source.sync("xc_credit")

    (schema,) = result.of_type("SCHEMA")
    kinds = [message["type"] for message in result.messages]
    assert schema["schema"]["x-load-method"] == "overwrite"
    assert kinds[1] == kinds[-2] == "ACTIVATE_VERSION"
    assert len({m["version"] for m in result.messages if "version" in m}) == 1
    assert 1 not in {row["CREDIT_ID"] for row in result.records("xc_credit")}


def test_a_second_run_reads_changes_only(source: Source) -> None:
    """From the last change less the overlap; rows before it are not read again."""
    first = source.sync("xc_quota")
    source.vendor.data.run(
        "UPDATE xc_quota SET NAME = 'new', MODIFIED_DATE = '2026-02-01' WHERE QUOTA_ID = 1"
    )

    second = source.sync("xc_quota", state=first.state, overlap_minutes=0)

    (schema,) = second.of_type("SCHEMA")
    assert schema["schema"]["x-load-method"] == "upsert"
    assert {row["NAME"] for row in second.records("xc_quota") if row["QUOTA_ID"] == 1} == {"new"}
    # The sixty rows have two dates; the ten of the later one, which was the bookmark, come again.
    assert len(second.records("xc_quota")) == 11


def test_runs_without_news_leave_the_bookmark_where_it_was(source: Source) -> None:
    """The overlap must not add up from run to run."""
    state = source.sync("xc_quota").state
    bookmark = state["bookmarks"]["xc_quota"]["modified_date"]
    source.vendor.data.run("DELETE FROM xc_quota")

    for _ in range(3):
        state = source.sync("xc_quota", state=state).state

    assert state["bookmarks"]["xc_quota"]["modified_date"] == bookmark == "2026-01-05T08:01:00Z"


def test_a_date_in_the_future_does_not_hide_what_comes_before_it(source: Source) -> None:
    """The bookmark never passes the moment at which the reading began."""
    source.vendor.data.insert(
        "xc_quota",
        [{"QUOTA_ID": -1, "MODIFIED_DATE": dt.datetime(2999, 1, 1)}],  # noqa: DTZ001 - as stored
    )

    state = source.sync("xc_quota").state["bookmarks"]["xc_quota"]

    assert state["modified_date"] == state["read_at"]


def test_start_date_is_where_the_first_run_begins(source: Source) -> None:
    result = source.sync("xc_quota", start_date="2026-01-05T08:01:00Z")

    assert len(result.records("xc_quota")) == 10


def test_tenant_columns_by_setting(source: Source) -> None:
    columns = {"INVOICE__DATE": "date-time", "ARR__BASIS": "number", "segment": "text"}
    result = source.sync("xc_participant", extra_columns={"xc_participant": columns})

    rows = {row["PARTICIPANT_ID"]: row for row in result.records("xc_participant")}
    for row in source.vendor.data.rows("xc_participant"):
        found = rows[row["PARTICIPANT_ID"]]
        assert found["ARR__BASIS"] == row["ARR__BASIS"]
        assert found["SEGMENT"] == row["SEGMENT"]
        assert found["INVOICE__DATE"].startswith(row["INVOICE__DATE"].isoformat())
