"""What the tap sends: every value, then only what changed, or the keys alone."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_zengrc.streams import NAMES, PERSONAL, SCHEMAS
from tap_zengrc.tap import TapZenGRC
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from tapsupport.testing import SyncResult

    from .conftest import Source


def by_id(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {record["id"]: record for record in records}


def exact(value: Any) -> Any:
    """As the tap's output is decoded: fractions as Decimal."""
    return json.loads(json.dumps(value), parse_float=Decimal)


def expected(source: Source, name: str, without: set[str]) -> dict[int, dict[str, Any]]:
    columns = SCHEMAS.get_schema(name)["properties"].keys() - without
    return {
        found["id"]: {
            **{column: exact(found.get(column)) for column in columns},
            "_sdc_deleted_at": None,
        }
        for found in source.read(name)
    }


def turned(value: Any) -> Any:
    """The same JSON with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def sent(result: SyncResult) -> dict[str, int]:
    """How many records of each stream, where there are any."""
    counts = {name: len(result.records(name)) for name in NAMES}
    return {name: count for name, count in counts.items() if count}


def test_every_value_of_every_list(source: Source) -> None:
    result = source.sync(personal_columns=True)

    for name in NAMES:
        assert by_id(result.records(name)) == expected(source, name, without=set())


def test_personal_columns_are_left_out_by_default(source: Source) -> None:
    """They are in no SCHEMA either, whatever a catalog selects."""
    result = source.sync()

    for name, personal in PERSONAL.items():
        assert by_id(result.records(name)) == expected(source, name, without=personal)
        (schema,) = result.of_type("SCHEMA", name)
        assert not personal & schema["schema"]["properties"].keys()


def test_properties_without_a_column(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has seen all there are; they are named in the log, or kept."""
    source.read("systems")[0]["tier"] = {"of": 1.5}

    ignored = source.sync("systems", "people")
    kept = source.sync("systems", "people", other_properties="keep")

    assert "systems: ZenGRC sends tier, which" in caplog.text
    assert "other_properties" not in ignored.records("systems")[0]
    assert kept.records("systems")[0]["other_properties"] == {"tier": {"of": Decimal("1.5")}}
    others = [set(person["other_properties"]) for person in kept.records("people")]
    assert others == [{"phone_number"}] * 2  # and neither name nor email


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (1.10, "1.1"),
        (True, "true"),
        ({"id": 3, "title": "High"}, '{"id":3,"title":"High"}'),
        ([0.1], "[0.1]"),
        ("", ""),
    ],
)
def test_what_is_no_text_becomes_text(source: Source, value: Any, text: str) -> None:
    """The sheet knows most types only from casts in somebody's warehouse."""
    source.read("vendors")[0]["risk_rating"] = value

    assert source.sync("vendors").records("vendors")[0]["risk_rating"] == text


def test_a_second_run_sends_nothing_again(source: Source) -> None:
    """In whatever order the lists come then, and with their SCHEMA all the same."""
    first = source.sync()
    for objects in source.vendor.objects.values():
        objects.reverse()
        objects[:] = map(turned, objects)

    second = source.sync(state=first.state)

    assert sent(second) == {}
    assert len(second.of_type("SCHEMA")) == len(NAMES)
    assert second.state == first.state


def test_a_change_counts_whether_updated_at_moves_or_not(source: Source) -> None:
    """It is not known whether a link or a custom attribute moves it."""
    state = source.sync().state
    source.read("requests")[4]["custom_attributes"]["70"] = {"id": 70, "title": "x", "value": 1}
    source.read("audits")[1]["mapped"]["markets"] = [{"id": 1, "title": "m", "type": "Market"}]
    source.read("controls")[2]["description"] = None
    source.read("controls")[2]["title"] = "Renamed"

    result = source.sync(state=state)

    assert sent(result) == {"requests": 1, "audits": 1, "controls": 1}
    assert result.records("controls")[0]["title"] == "Renamed"


def test_skip_unchanged_can_be_turned_off(source: Source) -> None:
    """And on again: the run in between is remembered."""
    first = source.sync("risks")
    source.read("risks")[0]["title"] = "In between"
    second = source.sync("risks", state=first.state, skip_unchanged=False)
    assert sent(second) == {"risks": 4}
    source.read("risks")[0]["title"] = first.records("risks")[0]["title"]

    third = source.sync("risks", state=second.state)

    assert sent(third) == {"risks": 1}


def test_other_columns_make_records_new(source: Source) -> None:
    """A column that is selected later must reach rows that never change."""
    state = source.sync("vendors").state

    assert sent(source.sync("vendors", state=state, personal_columns=True)) == {"vendors": 4}


def test_an_object_that_comes_back_is_sent(source: Source) -> None:
    first = source.sync("risks")
    gone = source.read("risks").pop(1)
    second = source.sync("risks", state=first.state)
    source.read("risks").append(gone)

    assert sent(second) == {}
    assert [r["id"] for r in source.sync("risks", state=second.state).records("risks")] == [
        gone["id"]
    ]


def test_after_a_run_that_died_everything_is_sent(
    source: Source, naps: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    """An object that changed, was sent, and changed back would else stay wrong for ever."""
    first = source.sync("requests")
    source.vendor.faults.add(path="some_cursor", times=100, status=500)
    tap = TapZenGRC(config=source.config(), state=deepcopy(first.state))
    with pytest.raises(TapError):
        tap.streams["requests"].sync()
    assert naps
    messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    states = [message["value"] for message in messages if message["type"] == "STATE"]
    kinds = [message["type"] for message in messages]
    assert "RECORD" not in kinds[: kinds.index("STATE")]
    source.vendor.faults.clear()

    assert sent(source.sync("requests", state=states[-1])) == {"requests": 20}


def test_what_is_remembered_is_bounded(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """The loader puts a bookmark into a statement, and Snowflake's have a megabyte."""
    first = source.sync("requests", max_remembered=5)

    second = source.sync("requests", max_remembered=5, state=first.state)

    assert len(first.state["bookmarks"]["requests"]["fingerprints"]) == 5 * 8
    assert sent(second) == {"requests": 15}
    assert "15 objects are more than max_remembered" in caplog.text


Change = tuple[str, int, int]
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), st.integers(0, 5), st.integers(0, 2)), max_size=6
)


@given(runs=st.lists(CHANGES, min_size=1, max_size=4), page=st.integers(1, 4))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_upserting_what_is_sent_follows_the_source(
    source: Source, runs: list[list[Change]], page: int
) -> None:
    """After any changes, each living object is in the copy with its latest content."""
    source.vendor.page_size = page
    living: dict[int, dict[str, Any]] = {}
    copy: dict[int, str] = {}
    state: dict[str, Any] = {}
    for changes in runs:
        for action, number, content in changes:
            living.pop(number, None)
            if action == "put":
                living[number] = {"id": number, "title": f"content {content}"}
        source.vendor.objects["risks"] = list(living.values())

        result = source.sync("risks", state=state)

        state = result.state
        copy |= {record["id"]: record["title"] for record in result.records("risks")}
        assert {n: copy[n] for n in living} == {n: o["title"] for n, o in living.items()}


@pytest.mark.parametrize("fingerprints", [5, ["a"], {"a": 1}, None])
def test_a_state_of_somebody_else_is_refused(source: Source, fingerprints: Any) -> None:
    state = {"bookmarks": {"risks": {"fingerprints": fingerprints}}}

    with pytest.raises(TapError, match="risks: the state's fingerprints"):
        source.sync("risks", state=state)
    assert source.vendor.requests == []


def test_keys_stand_between_two_markers(source: Source) -> None:
    result = source.sync(load_type="deletes", max_deleted_share=0.5)

    for name in NAMES:
        schema, *rest = [m for m in result.messages if m.get("stream") == name]
        assert list(schema["schema"]["properties"]) == ["id"]
        assert schema["schema"]["x-load-method"] == "mark-deleted"
        assert schema["schema"]["x-deleted-at-column"] == "_sdc_deleted_at"
        assert schema["schema"]["x-max-deleted-share"] == Decimal("0.5")
        kinds = [message["type"] for message in rest]
        assert kinds[0] == kinds[-1] == "ACTIVATE_VERSION"
        assert len({message["version"] for message in rest}) == 1
        assert [m["record"] for m in rest[1:-1]] == [{"id": o["id"]} for o in source.read(name)]


def test_keys_that_are_not_whole_have_no_second_marker(
    source: Source, naps: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    """Else rows on the pages that failed would be marked."""
    source.vendor.faults.add(path="some_cursor", times=100, status=500)
    tap = TapZenGRC(config=source.config(load_type="deletes"))

    with pytest.raises(TapError):
        tap.streams["requests"].sync()
    assert naps
    kinds = [json.loads(line)["type"] for line in capfd.readouterr().out.splitlines()]
    assert kinds == ["SCHEMA", "ACTIVATE_VERSION", "RECORD", "RECORD", "RECORD"]
