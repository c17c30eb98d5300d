"""What arrives in the warehouse, value by value, and what becomes of people who left."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.testing import Warehouse
    from sandbox.vendors.clari import Clari

    Load = Callable[[list[bytes]], list[Any]]

BOTH = ["net_arr", "net_arr_ps_summary"]
TYPES = ["forecast", "forecast_updated", "quota"]
SETTINGS = {
    "forecast_ids": BOTH,
    "time_periods": ["previous", "current", "next"],
    "types_to_export": TYPES,
    "keep_snapshots": True,
}
ENTRIES, USERS = ("forecast_entries",), ("forecast_users",)
EXPORTED = dt.datetime(2025, 5, 15, 12, 1, tzinfo=dt.UTC)


def table(warehouse: Warehouse, name: str, columns: str) -> list[tuple[Any, ...]]:
    rows = warehouse.query(f"SELECT {columns} FROM {warehouse.schema}.{name}")
    return sorted((tuple(row.values()) for row in rows), key=repr)


def parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def exports(clari: Clari) -> list[tuple[str, str, dict[str, Any]]]:
    """Forecast, quarter and what an export of it shows now, for all that the tests ask for."""
    return [
        (forecast_id, quarter, clari.forecasts.shown(forecast_id, quarter, TYPES))
        for forecast_id in BOTH
        for quarter in clari.forecasts.quarters[1:]
    ]


def numbered(answer: dict[str, Any]) -> dict[str, int]:
    ids = sorted(frame["timeFrameId"] for frame in answer["timeFrames"])
    return {frame_id: number for number, frame_id in enumerate(ids)}


def instant(milliseconds: int | None) -> dt.datetime | None:
    return None if milliseconds is None else dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def exact(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def test_every_value_arrives(source: Any, clari: Clari, warehouse: Warehouse, load: Load) -> None:
    """Two forecasts, three quarters, all streams; each table equals the vendor's data."""
    load(source.run(**SETTINGS).lines)

    entry_columns = (
        "FORECAST_ID, TIME_PERIOD_ID, FORECAST_PERIOD, TIME_FRAME_ID, USER_ID, FIELD_ID,"
        " WEEK_NUMBER, FORECAST_VALUE, QUOTA_VALUE, CURRENCY, IS_UPDATED, UPDATED_BY, UPDATED_ON,"
        " EXTRA"
    )
    expected_entries = [
        (
            forecast_id, quarter, f"{forecast_id}:{quarter}", e["timeFrameId"], e["userId"],
            e["fieldId"], numbered(answer)[e["timeFrameId"]], exact(e.get("forecastValue")),
            exact(e.get("quotaValue")), e.get("currency"), e.get("isUpdated"), e.get("updatedBy"),
            instant(e.get("updatedOn")),
            {"unheardOf": e["unheardOf"]} if "unheardOf" in e else None,
        )
        for forecast_id, quarter, answer in exports(clari)
        for e in answer["entries"]
    ]  # fmt: skip
    for name in ("FORECAST_ENTRIES", "FORECAST_SNAPSHOTS"):
        found = [
            (*row[:9], parsed(row[9]), *row[10:13], parsed(row[13]))
            for row in table(warehouse, name, entry_columns)
        ]
        assert sorted(found, key=repr) == sorted(expected_entries, key=repr)
    assert {row[0] for row in table(warehouse, "FORECAST_SNAPSHOTS", "SNAPSHOT_DATE")} == {
        dt.date(2025, 5, 15)
    }
    user_properties = (
        "userId", "name", "email", "crmId", "hierarchyId", "hierarchyName", "parentHierarchyId",
        "parentHierarchyName",
    )  # fmt: skip
    columns = (
        "FORECAST_ID, TIME_PERIOD_ID, USER_ID, NAME, EMAIL, CRM_ID, HIERARCHY_ID, HIERARCHY_NAME,"
        " PARENT_HIERARCHY_ID, PARENT_HIERARCHY_NAME"
    )
    assert table(warehouse, "FORECAST_USERS", columns) == expected(clari, "users", user_properties)
    scopes = {parsed(row[0]) for row in table(warehouse, "FORECAST_USERS", "SCOPE_ID")}
    assert scopes == {
        user["scopeId"] for _, _, answer in exports(clari) for user in answer["users"]
    }
    assert table(
        warehouse,
        "FORECAST_FIELDS",
        "FORECAST_ID, TIME_PERIOD_ID, FIELD_ID, FIELD_NAME, FIELD_TYPE",
    ) == expected(clari, "fields", ("fieldId", "fieldName", "fieldType"))
    assert table(
        warehouse,
        "TIME_PERIODS",
        'FORECAST_ID, TIME_PERIOD_ID, "TYPE", LABEL, "YEAR", START_DATE::VARCHAR,'
        " END_DATE::VARCHAR, CRM_ID",
    ) == expected(clari, "timePeriods", ("type", "label", "year", "startDate", "endDate", "crmId"))
    weeks = table(
        warehouse,
        "TIME_FRAMES",
        "FORECAST_ID, TIME_PERIOD_ID, TIME_FRAME_ID, START_DATE::VARCHAR, END_DATE::VARCHAR,"
        " WEEK_NUMBER",
    )
    assert [row[:5] for row in weeks] == expected(
        clari, "timeFrames", ("timeFrameId", "startDate", "endDate")
    )
    for forecast_id, quarter, answer in exports(clari):
        mine = {row[2]: row[5] for row in weeks if row[:2] == (forecast_id, quarter)}
        assert mine == numbered(answer)
    assert table(warehouse, "FORECAST_EXPORTS", "JOB_ID, FORECAST_ID, ENTRIES, EXPORTED_AT") == [
        (job.id, job.forecast_id, len(job.content["entries"]), EXPORTED + dt.timedelta(seconds=n))
        for n, job in enumerate(clari.jobs)
    ]


def expected(clari: Clari, array: str, properties: tuple[str, ...]) -> list[tuple[Any, ...]]:
    rows = [
        (forecast_id, quarter, *(row.get(name) for name in properties))
        for forecast_id, quarter, answer in exports(clari)
        for row in answer[array]
    ]
    return sorted(rows, key=repr)


def test_a_week_of_two_quarters_is_two_weeks(source: Any) -> None:
    """The same id ends one quarter and begins the next; only with the period is it a key."""
    weeks = source.sync(time_periods=["previous", "current"]).records("time_frames")

    ids = [week["time_frame_id"] for week in weeks]
    (shared,) = {i for i in ids if ids.count(i) > 1}
    assert [w["week_number"] for w in weeks if w["time_frame_id"] == shared] == [13, 0]


def test_audit_and_limits(source: Any, clari: Clari, warehouse: Warehouse, load: Load) -> None:
    """Events have no id and, of jobs, no session: none of them is lost."""
    load(source.run().lines)

    people = {"280001": "Person 0", "280002": "Person 1", "280003": "Person 2"}
    columns = "EVENT_TIMESTAMP, ACTOR_ID, ACTOR_NAME, SESSION_ID, EVENT, EVENT_PARAMETERS"
    found = [(*row[:5], parsed(row[5])) for row in table(warehouse, "AUDIT_EVENTS", columns)]
    assert sorted(found, key=repr) == sorted(
        (
            (
                dt.datetime.fromisoformat(e["eventTimestamp"]), e["actorId"],
                people.get(e["actorId"]), e.get("sessionId"), e["event"], e["eventParameters"],
            )
            for e in clari.events
        ),
        key=repr,
    )  # fmt: skip
    limits = table(
        warehouse,
        "EXPORT_LIMITS",
        "MONTHLY_QUOTA, AVAILABLE_MONTHLY_QUOTA, CONCURRENT_LIMIT, RUNNING_JOB_IDS",
    )
    assert [(*row[:3], parsed(row[3])) for row in limits] == [(1000, 999, 3, [])]


@pytest.mark.parametrize("keep_departed", [True, False])
def test_someone_leaves(
    source: Any, clari: Clari, warehouse: Warehouse, load: Load, keep_departed: Any
) -> None:
    """Clari shows the person's numbers no more, in no quarter; by default they stay."""
    settings = {"keep_departed": keep_departed, "only": ENTRIES + USERS}
    load(source.run(**settings).lines)
    gone = clari.forecasts.data["net_arr", clari.forecasts.current]["users"][1]["userId"]
    theirs = f"FORECAST_ENTRIES WHERE USER_ID = '{gone}'"
    before = table(warehouse, theirs, "*")
    others = table(warehouse, "FORECAST_ENTRIES", "USER_ID, FIELD_ID, FORECAST_VALUE")
    clari.forecasts.departed.add(gone)

    load(source.run(**settings).lines)

    assert before
    assert table(warehouse, theirs, "*") == (before if keep_departed else [])
    left = [row for row in others if keep_departed or row[0] != gone]
    assert table(warehouse, "FORECAST_ENTRIES", "USER_ID, FIELD_ID, FORECAST_VALUE") == left
    users = {row[0] for row in table(warehouse, "FORECAST_USERS", "USER_ID")}
    assert (gone in users) == keep_departed


@pytest.mark.parametrize("is_named", [True, False])
def test_an_export_without_rows(
    source: Any, clari: Clari, warehouse: Warehouse, load: Load, is_named: Any
) -> None:
    """Without keep_departed it empties its quarter, but only if it says which one it is."""
    settings = {"keep_departed": False, "time_periods": ["previous", "current"], "only": ENTRIES}
    load(source.run(**settings).lines)
    data = clari.forecasts.data["net_arr", clari.forecasts.current]
    for name in data:
        data[name] = data[name] if is_named and name == "timePeriods" else []

    load(source.run(**settings).lines)

    quarters = {row[0] for row in table(warehouse, "FORECAST_ENTRIES", "TIME_PERIOD_ID")}
    assert quarters == set(clari.forecasts.quarters[1 : 2 if is_named else 3])


def test_one_export_replaces_only_its_own_rows(
    source: Any, clari: Clari, warehouse: Warehouse, load: Load
) -> None:
    """Without keep_departed: another forecast of the same quarter stays as it is."""
    load(source.run(forecast_ids=BOTH, keep_departed=False, only=ENTRIES).lines)
    before = table(warehouse, "FORECAST_ENTRIES", "FORECAST_ID, USER_ID, FIELD_ID, WEEK_NUMBER")
    gone = before[0][1]
    clari.forecasts.departed.add(gone)

    load(source.run(keep_departed=False, only=ENTRIES).lines)

    after = table(warehouse, "FORECAST_ENTRIES", "FORECAST_ID, USER_ID, FIELD_ID, WEEK_NUMBER")
    assert after == [row for row in before if row[:2] != ("net_arr", gone)]
    assert any(row[1] == gone for row in after)


def test_an_older_export_never_replaces_a_newer_one(
    source: Any, clari: Clari, warehouse: Warehouse, load: Load
) -> None:
    """A run that died goes on with its job after another run has loaded newer numbers."""
    older = source.run(only=ENTRIES).lines
    entry = clari.forecasts.data["net_arr", clari.forecasts.current]["entries"][1]
    entry["forecastValue"] = 1234.5
    load(source.run(only=ENTRIES).lines)

    load(older)

    where = f"USER_ID = '{entry['userId']}' AND FIELD_ID = '{entry['fieldId']}' AND WEEK_NUMBER = 0"
    assert table(warehouse, f"FORECAST_ENTRIES WHERE {where}", "FORECAST_VALUE") == [
        (Decimal("1234.5"),)
    ]


def test_snapshots_stay_by_day(source: Any, clari: Clari, warehouse: Warehouse, load: Load) -> None:
    """One day more is one copy more; the same day again is the same copy."""
    settings = {"keep_snapshots": True, "keep_departed": False, "only": ("forecast_snapshots",)}
    lines = source.run(**settings).lines + source.run(**settings).lines
    clari.today += dt.timedelta(days=1)
    clari.forecasts.departed.add(
        clari.forecasts.data["net_arr", clari.forecasts.current]["users"][1]["userId"]
    )

    load(lines + source.run(**settings).lines)

    counts = warehouse.query(
        f"SELECT SNAPSHOT_DATE, COUNT(*) AS N FROM {warehouse.schema}.FORECAST_SNAPSHOTS"
        " GROUP BY 1 ORDER BY 1"
    )
    assert [row["N"] for row in counts] == [27, 18]


def test_snapshots_are_not_offered_unless_asked_for(source: Any) -> None:
    assert source.sync().of_type("SCHEMA", "forecast_snapshots") == []


def test_values_of_one_key_in_several_entries(source: Any, clari: Clari) -> None:
    """Types may come as entries of their own: none of them overwrites another."""
    data = clari.forecasts.data["net_arr", clari.forecasts.current]
    first = data["entries"][0]
    key = {name: first[name] for name in ("timePeriodId", "timeFrameId", "userId", "fieldId")}
    data["entries"] = [
        {**key, "forecastValue": 0.1234567894999},
        {**key, "quotaValue": 7, "adjustmentValue": 3.5},
    ]

    (row,) = source.sync(types_to_export=TYPES).records("forecast_entries")

    assert (row["forecast_value"], row["quota_value"]) == (Decimal("0.123456789"), 7)
    assert row["extra"] == {"adjustmentValue": Decimal("3.5")}
    data["entries"].append({**key, "forecastValue": 2})
    run = source.run(types_to_export=TYPES, time_periods=["current", "next"])
    assert "two entries of one week, user and field that differ in fore" in str(run.error)
    periods = {row["time_period_id"] for row in run.result.records("forecast_entries")}
    assert periods == {clari.forecasts.quarters[3]}


@pytest.mark.parametrize("value", ["2025-05-15T09:00:00Z", {}, 10**30])
def test_a_time_that_is_none(source: Any, clari: Clari, value: Any) -> None:
    data = clari.forecasts.data["net_arr", clari.forecasts.current]
    data["entries"][0]["updatedOn"] = value

    with pytest.raises(TapError, match="no number of milliseconds since 1970"):
        source.sync()


def test_a_time_as_text_or_fraction(source: Any, clari: Clari) -> None:
    data = clari.forecasts.data["net_arr", clari.forecasts.current]
    key = {name: data["entries"][0][name] for name in ("timePeriodId", "timeFrameId", "userId")}
    data["entries"] = [
        {**key, "fieldId": str(number), "updatedOn": value}
        for number, value in enumerate(["1738771200000", 1738771200000.0, 1738771200000])
    ]

    found = {row["updated_on"] for row in source.sync().records("forecast_entries")}

    assert found == {"2025-02-05T16:00:00+00:00"}


@pytest.mark.parametrize("body", ['{"entries": []}', "[]", '{"cells": []}', "nothing", "{"])
def test_a_file_without_its_arrays(source: Any, clari: Clari, body: str) -> None:
    """Never an empty quarter."""
    clari.faults.add(path="/results", status=200, body=body)

    with pytest.raises(TapError, match="not an object with the arrays entries, users"):
        source.sync()


def test_audit_events_page_by_page(
    source: Any, clari: Clari, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last page too, and a second run begins at the newest event."""
    monkeypatch.setattr("tap_clari.client.AUDIT_PAGE_SIZE", 5)

    first = source.sync()
    clari.events.insert(0, {**clari.events[0], "eventTimestamp": "2025-05-15T09:00:00Z"})
    second = source.sync(first.state)

    sent = [row["event_parameters"]["number"] for row in first.records("audit_events")]
    assert sent == list(range(12))
    times = [row["event_timestamp"][11:16] for row in second.records("audit_events")]
    assert times == ["09:00", "07:30", "07:30"]


def test_a_page_of_events_without_its_list(source: Any, clari: Clari) -> None:
    clari.faults.add(path="/audit/events", status=200, body='{"actors": []}')

    with pytest.raises(TapError, match="/audit/events answered without items"):
        source.sync()


@pytest.mark.parametrize("when", [None, "yesterday"])
def test_an_event_without_a_time(source: Any, clari: Clari, when: str | None) -> None:
    clari.events[0]["eventTimestamp"] = when
    clari.faults.add(path="/audit/events", status=200, body=json.dumps({"items": clari.events}))

    with pytest.raises(TapError, match="eventTimestamp is missing or is no ISO 8601"):
        source.sync()


@pytest.mark.parametrize("name", ["items", "activities"])
def test_events_under_either_name(source: Any, clari: Clari, name: str) -> None:
    body = json.dumps({name: clari.events[:1]})
    clari.faults.add(path="/audit/events", status=200, body=body)

    assert len(source.sync().records("audit_events")) == 1


def test_a_link_to_another_server_is_not_followed(source: Any, clari: Clari) -> None:
    """It would be sent the token."""
    link = "http://127.0.0.1:9/v4/audit/events"
    clari.faults.add(path="/audit", status=200, body=json.dumps({"items": [], "nextLink": link}))

    with pytest.raises(TapError, match="leads to another server than api_url"):
        source.sync()


def test_a_link_that_leads_back(source: Any, clari: Clari) -> None:
    link = f"{source.url}/v4/audit/events"
    body = json.dumps({"items": [], "nextLink": link})
    clari.faults.add(path="/audit", status=200, body=body, times=2)

    with pytest.raises(TapError, match="gives the same nextLink again"):
        source.sync()
