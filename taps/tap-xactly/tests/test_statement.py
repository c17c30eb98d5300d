"""Only a SELECT of named columns can be sent, whatever the settings, the catalog and the state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_xactly.statement import Select, literal, select
from tap_xactly.tables import Column
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

BAD_NAMES = ["a; DROP TABLE xactly.xc_credit", "a FROM x --", "*", "a/**/", "(show pipelines)", ""]
STATE = {"bookmarks": {"xc_quota": {"started_at": "2026-01-05T08:00:00Z"}}}


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM xactly.xc_credit",
        "UPDATE xactly.xc_credit SET AMOUNT = 1",
        "INSERT INTO xactly.xc_credit (A) VALUES (1)",
        "DROP TABLE xactly.xc_credit",
        "CREATE TABLE xactly.a AS SELECT A FROM b",
        "SHOW pipelines",
        "INVOKE pipeline p",
        "SET a = 1",
        "SELECT A FROM t; DELETE FROM t",
        "SELECT A FROM t;",
        "SELECT A INTO b FROM t",
        "SELECT * FROM t",
        "SELECT B FROM t",
        "SELECT A FROM (show pipelines)",
        "SELECT A FROM (SELECT A FROM t)",
        "SELECT A FROM t UNION SELECT A FROM t",
        "SELECT A FROM t WHERE A = delete_all()",
        "SELECT A FROM t WHERE A = :variable",
        "SELECT A FROM t -- comment",
        "SELECT A /* comment */ FROM t",
        "select A from t",
        "WITH x AS (DELETE FROM t RETURNING A) SELECT A FROM x",
        "SELECT A FROM t FOR UPDATE",
        "'",
        "",
    ],
)
def test_anything_but_a_plain_select_is_refused(text: str) -> None:
    with pytest.raises(TapError, match="was not sent"):
        Select(text, ("A",), "t")


@given(st.text())
def test_text_in_a_literal_stays_text(value: str) -> None:
    """Whatever an id holds, the statement has one condition on one column, or is not made."""
    column = Column("A", "text", "", 0)
    if re.search(r"[\\\x00-\x1f\x7f]", value):
        with pytest.raises(TapError, match="Going on after a value of A"):
            literal(column, value)
        return

    made = select("s.t", [column], conditions=[f"A > {literal(column, value)}"])

    assert made.text == "SELECT A FROM s.t WHERE A > '" + value.replace("'", "''") + "'"


def sends_only_selects(source: Source) -> None:
    assert all(command.startswith("SELECT ") for command in source.vendor.commands)
    assert len(source.vendor.data.rows("xc_credit")) == 60


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "settings",
    [
        lambda name: {"default_schema": name},
        lambda name: {"extra_columns": {"xc_quota": {name: "text"}}},
        lambda name: {"extra_columns": {name: {"A": "text"}}},
        lambda name: {"extra_columns": {"xc_quota": {"A": name}}},
        lambda name: {"keys": {"xc_quota": [name]}},
        lambda name: {"full_reload": [name]},
        lambda name: {"time_zone": name},
    ],
)
def test_hostile_settings_fail_before_anything_is_sent(
    source: Source, settings: Any, name: str
) -> None:
    with pytest.raises(TapError):
        source.sync("xc_quota", catalog={"streams": []}, **settings(name))

    assert source.vendor.requests == []


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_hostile_catalog_adds_nothing(source: Source, name: str) -> None:
    """Streams, columns and keys that the tap does not know never reach a statement."""
    catalog = source.catalog("xc_credit", "xc_quota")
    for entry in catalog["streams"]:
        entry["schema"]["properties"][name] = {"type": ["string", "null"]}
        entry["key_properties"] = [name]
    stranger = {**catalog["streams"][0], "tap_stream_id": name, "stream": name, "table_name": name}
    catalog["streams"].append(stranger)

    result = source.sync(catalog=catalog)

    assert len(result.records("xc_quota")) == 60
    assert all(name not in row for row in result.records("xc_quota"))
    sends_only_selects(source)


@pytest.mark.parametrize(
    "bookmark",
    [
        {"cursor": ["2026-01-05T08:00:00Z' OR '1' = '1", 1]},
        {"cursor": ["2026-01-05T08:00:00Z", "1 OR 1 = 1"]},
        {"cursor": ["2026-01-05T08:00:00Z", "1); DROP TABLE xactly.xc_quota"]},
        {"cursor": [{"a": 1}, []]},
        {"cursor": "x"},
        {"modified_date": "2026'; DROP TABLE xactly.xc_quota --"},
        {"modified_date": 5},
        {"started_at": "yesterday"},
        {"read_at": "never"},
    ],
)
def test_a_hostile_state_is_refused(source: Source, bookmark: dict[str, Any]) -> None:
    state = {"bookmarks": {"xc_quota": {**STATE["bookmarks"]["xc_quota"], **bookmark}}}

    _, error = source.fail("xc_quota", state=state)

    assert "bookmark" in error
    sends_only_selects(source)


def test_a_hostile_replication_key_is_refused(source: Source) -> None:
    catalog = source.catalog("xc_quota", method="INCREMENTAL")
    for entry in catalog["streams"]:
        entry["replication_key"] = "NAME"

    _, error = source.fail(catalog=catalog)

    assert "INCREMENTAL by MODIFIED_DATE" in error
