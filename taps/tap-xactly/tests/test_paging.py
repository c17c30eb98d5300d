"""No row is lost, whatever its date and id, and however the server limits a result."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Source

DAY = dt.datetime(2026, 1, 5, 8)  # noqa: DTZ001 - as the stand-in stores dates
NUMBERS, TEXTS = "xc_quota", "xc_quota_relationship"
KEYS = {NUMBERS: "QUOTA_ID", TEXTS: "QUOTA_RELATIONSHIP_ID"}
# A few dates, many ties; some with fractions of a second.
DATES = st.integers(0, 12).map(lambda n: DAY + dt.timedelta(seconds=n * 0.5))
NUMBER_IDS = st.integers(-(2**40), 2**62)
TEXT_IDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="\\"))
ROWS = st.one_of(
    st.tuples(st.just(NUMBERS), st.dictionaries(NUMBER_IDS, DATES, max_size=40)),
    st.tuples(st.just(TEXTS), st.dictionaries(TEXT_IDS, DATES, max_size=40)),
)


def fill(source: Source, table: str, rows: dict[Any, dt.datetime]) -> None:
    source.vendor.data.run(f"DELETE FROM {table}")
    source.vendor.data.insert(
        table, [{KEYS[table]: key, "MODIFIED_DATE": date} for key, date in rows.items()]
    )


def narrow(source: Source, table: str, **settings: Any) -> dict[str, Any]:
    """A catalog with two columns, so that many runs take little time."""
    catalog = source.catalog(table, **settings)
    entry = next(e for e in catalog["streams"] if e["tap_stream_id"] == table)
    for item in entry["metadata"]:
        name = item["breadcrumb"][-1] if item["breadcrumb"] else KEYS[table]
        item["metadata"]["selected"] = name in (KEYS[table], "MODIFIED_DATE")
    return catalog


def ids(source: Source, table: str, **options: Any) -> list[Any]:
    catalog = narrow(source, table)
    found = source.sync(catalog=catalog, **options).records(table)
    return [row[KEYS[table]] for row in found]


@pytest.mark.parametrize("paging", ["keyset", "windows"])
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, limit=st.integers(2, 9), page=st.integers(1, 5))
def test_each_row_arrives_once(
    source: Source, paging: str, rows: tuple[str, dict[Any, dt.datetime]], limit: int, page: int
) -> None:
    table, dates = rows
    source.vendor.takes_or = paging == "keyset"
    fill(source, table, dates)

    found = ids(
        source, table, statement_rows=limit, result_rows=page, paging=paging,
        start_date=DAY.isoformat(),
    )  # fmt: skip

    assert sorted(found) == sorted(dates)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.dictionaries(st.integers(1, 1000), DATES, min_size=1, max_size=30),
    late=st.dictionaries(st.integers(1001, 2000), DATES, max_size=8),
    when=st.integers(1, 6),
    sign=st.sampled_from([1, -1]),
)
def test_rows_inserted_during_a_run_come_with_it_or_the_next(
    source: Source,
    rows: dict[int, dt.datetime],
    late: dict[int, dt.datetime],
    when: int,
    sign: int,
) -> None:
    """Before, at and behind the cursor, by smaller and by larger ids."""
    fill(source, NUMBERS, rows)
    late = {sign * key: date for key, date in late.items()}
    source.vendor.commands.clear()

    def insert(statement: int) -> None:
        if statement == when:
            items = late.items()
            rows = [{"QUOTA_ID": key, "MODIFIED_DATE": date} for key, date in items]
            source.vendor.data.insert(NUMBERS, rows)

    source.vendor.before_statement = insert
    catalog = narrow(source, NUMBERS)
    first = source.sync(catalog=catalog, statement_rows=7, result_rows=3)
    insert(when if len(source.vendor.commands) < when else 0)
    source.vendor.before_statement = lambda _: None
    second = source.sync(catalog=catalog, statement_rows=7, state=first.state)

    found = {row["QUOTA_ID"] for run in (first, second) for row in run.records(NUMBERS)}
    assert found == {*rows, *late}


@pytest.mark.parametrize("table", [NUMBERS, TEXTS])
@pytest.mark.parametrize("paging", ["keyset", "windows"])
def test_ten_thousand_rows_with_one_date(source: Source, table: str, paging: str) -> None:
    """The public tap loses rows here: it moves the id and not the date."""
    kind = "i * 7 % 10007" if table == NUMBERS else "md5(CAST(i AS VARCHAR))"
    source.vendor.data.run(f"DELETE FROM {table}")
    source.vendor.data.run(
        f"INSERT INTO {table} ({KEYS[table]}, MODIFIED_DATE)"
        f" SELECT {kind}, TIMESTAMP '2026-01-05 08:00:00' FROM range(10000) t(i)"
    )
    source.vendor.takes_or = paging == "keyset"

    found = ids(
        source, table, statement_rows=1500, result_rows=1000, paging=paging,
        start_date="2026-01-01T00:00:00Z",
    )  # fmt: skip

    assert len(found) == len(set(found)) == 10_000


def test_a_limit_of_the_servers_own_loses_nothing(source: Source) -> None:
    """A statement that brings fewer rows than its LIMIT is no proof of the end."""
    source.vendor.most_result_rows = 17

    assert len(ids(source, NUMBERS)) == 60


def test_pages_that_the_server_makes_smaller_lose_nothing(source: Source) -> None:
    """The stand-in cuts pages at 1000 rows, whatever is asked for; the table has no key."""
    source.vendor.data.size = 1500

    result = source.sync("xc_quota_summary", result_rows=5000)

    assert len(result.records("xc_quota_summary")) == 1500


@pytest.mark.parametrize("table", ["xc_credit", "xc_quota_hist"])
def test_full_reload_without_or(source: Source, table: str) -> None:
    source.vendor.takes_or = False
    catalog = source.catalog(table, method="FULL_TABLE")

    result = source.sync(catalog=catalog, paging="windows", statement_rows=7)

    assert len(result.records(table)) == 60


def test_windows_are_halved_until_they_fit(source: Source) -> None:
    """No window that is sent was full, except one of a second, which goes by the key."""
    fill(source, NUMBERS, {n: DAY + dt.timedelta(hours=n) for n in range(48)})

    found = ids(
        source, NUMBERS, paging="windows", statement_rows=10, start_date="2026-01-01T00:00:00Z"
    )

    assert sorted(found) == list(range(48))
    assert all(" OR " not in command for command in source.vendor.commands)


def test_a_key_that_is_not_unique_is_seen(source: Source) -> None:
    """The history tables' keys are inferred; the first contact must tell when one is wrong."""
    source.vendor.data.run("UPDATE xc_quota_hist SET QUOTA_ID = 5, OBJECT_ID = 5")

    _, error = source.fail("xc_quota_hist", full_reload=["xc_quota_hist"])

    assert "two rows share the key QUOTA_ID, OBJECT_ID" in error
    assert "setting keys" in error


def test_a_longer_key_by_setting(source: Source) -> None:
    source.vendor.data.run("UPDATE xc_quota_hist SET OBJECT_ID = 5")
    source.vendor.data.run("UPDATE xc_quota_hist SET VERSION = rowid")
    keys = {"xc_quota_hist": ["QUOTA_ID", "OBJECT_ID", "VERSION"]}

    result = source.sync("xc_quota_hist", keys=keys, statement_rows=9)

    (schema,) = result.of_type("SCHEMA")
    assert schema["key_properties"] == keys["xc_quota_hist"]
    assert len(result.records("xc_quota_hist")) == 60


def test_a_server_that_ignores_the_cursor_is_no_endless_loop(source: Source) -> None:
    page = '{"data": {"rows": [[1, "2026-01-05T08:00:00Z"]], "totalRows": 1}}'
    source.page_once(page, times=5)
    catalog = narrow(source, NUMBERS)

    _, error = source.fail(catalog=catalog)

    assert "would never end" in error
    assert len(source.vendor.commands) == 2
