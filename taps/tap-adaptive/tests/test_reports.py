"""exportData: every shared version, once, cell by cell, and nothing that was not allowed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.vendors.adaptive import csv_answer
from sandbox.vendors.adaptive_data import n
from tap_adaptive.report_request import ReportRequest
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Source
    from tapsupport.testing import SyncResult

PLAN, NESTED = "FY25 Plan", 'FY24 "R&D" <Plan>'
ALLOWED = ["4000", "NetARR"]
MONTHS = [f"{month:02d}/{year}" for year in (2025, 2026) for month in range(1, 13)]
BOTH = ("reports", "processed")
HEADER = "Account Name,Account Code,Level Name,01/2025"


def cells(result: SyncResult, version: str, stream: str = "reports") -> list[tuple[Any, ...]]:
    found = [
        (
            r["account_code"], r["level_name"], r["dimensions"].get("Product", {}).get("code"),
            r["period_code"], None if r["value"] is None else r["value"], r["mark"],
        )
        for r in result.records(stream)
        if r["version_name"] == version
    ]  # fmt: skip
    return sorted(found, key=_order)


def _order(cell: tuple[Any, ...]) -> str:
    return str((*cell[:4], cell[5]))


def expected(source: Source, version: str, periods: list[str]) -> list[tuple[Any, ...]]:
    return sorted(source.cells_of(version, ALLOWED, periods), key=_order)


def read(source: Source) -> list[str | None]:
    """The names of the versions that exportData was called for."""
    bodies = source.vendor.called("exportData")
    return [body.find("version").get("name") for body in bodies]  # type: ignore[union-attr]


def shared_folder(source: Source) -> Any:
    return source.vendor.outputs["exportVersions"][0].children[1]


def test_every_cell_of_every_shared_version(source: Source) -> None:
    """In nested folders too; folders and versions elsewhere are not asked for."""
    result = source.sync(*BOTH, dimensions=["Product"])

    assert read(source) == [PLAN, NESTED]
    for version in (PLAN, NESTED):
        assert cells(result, version) == expected(source, version, MONTHS)
    assert {r["version_id"] for r in result.records("reports")} == {41, 43}
    first = result.records("reports")[0]
    assert (first["period_code"], first["year"], first["month"]) == ("01/2025", 2025, 1)
    processed = {r["version_name"]: r["rows"] for r in result.records("processed")}
    assert processed == {v: len(cells(result, v)) for v in (PLAN, NESTED)}


def test_data_is_the_default_version_or_the_one_named(source: Source) -> None:
    result = source.sync("data", dimensions=["Product"])
    assert cells(result, "FY26 Plan", "data") == expected(source, "FY26 Plan", MONTHS)

    result = source.sync("data", dimensions=["Product"], version_name="Worst case")
    assert cells(result, "Worst case", "data") == expected(source, "Worst case", MONTHS)


def test_the_instance_has_no_default_version(source: Source) -> None:
    del source.vendor.outputs["exportVersions"][0].children[2]

    with pytest.raises(
        TapError, match=r"no default version\. Name one in the setting version_name"
    ):
        source.sync("data")


def test_a_version_is_one_snapshot_of_its_own(source: Source) -> None:
    """So that one which fails takes no other with it."""
    result = source.sync("reports")

    markers = [m["version"] for m in result.of_type("ACTIVATE_VERSION", "reports")]
    assert len(markers) == 4
    assert markers[0] == markers[1] < markers[2] == markers[3]
    (schema, *_) = result.of_type("SCHEMA", "reports")
    assert schema["schema"]["x-load-method"] == "replace-slice"
    assert schema["schema"]["x-slice-column"] == "version_name"


def test_both_lanes_carry_the_same(source: Source, tmp_path: Path) -> None:
    storage = {"root": str(tmp_path)}
    arrow = {"batch_config": {"encoding": {"format": "parquet"}, "storage": storage}}
    records = source.sync("reports", dimensions=["Product"]).records("reports")

    batches = source.sync("reports", dimensions=["Product"], **arrow)

    rows = batches.table("reports").to_pylist()
    assert batches.records("reports") == []
    assert [{**row, "dimensions": json.loads(row["dimensions"])} for row in rows] == records


def test_the_request_names_exactly_what_the_settings_allow(source: Source) -> None:
    source.sync(
        "data", dimensions=["Product"], levels=["Total Company", "Level 1"],
        time_span_start="11/2025", time_span_end="02/2026", currency="EUR",
    )  # fmt: skip

    bodies = source.vendor.called("exportData")
    (body,) = bodies
    assert [dict(a.attrib) for a in body.iterfind("filters/accounts/account")] == [
        {"code": code, "isAssumption": "false", "includeDescendants": "false"} for code in ALLOWED
    ]
    assert [a.get("name") for a in body.iterfind("filters/levels/level")] == [
        "Total Company", "Level 1",
    ]  # fmt: skip
    assert [dict(a.attrib) for a in body.iterfind("filters/timeSpan")] == [
        {"start": "11/2025", "end": "02/2026"}
    ]
    assert [dict(a.attrib) for a in body.iterfind("rules/currency")] == [{"override": "EUR"}]
    assert [a.get("name") for a in body.iterfind("dimensions/dimension")] == ["Product"]
    assert body.get("stream") == "true"


def test_long_spans_are_asked_for_in_parts(source: Source) -> None:
    whole = source.sync("reports", dimensions=["Product"], months_per_call=0,
                        time_span_start="01/2025", time_span_end="12/2026")  # fmt: skip
    calls = len(read(source))
    parts = source.sync("reports", dimensions=["Product"], months_per_call=5,
                        time_span_start="01/2025", time_span_end="12/2026")  # fmt: skip

    assert calls == 2
    assert len(read(source)) - calls == 2 * 5
    for version in (PLAN, NESTED):
        assert cells(parts, version) == cells(whole, version)


@given(start=st.integers(2020 * 12, 2030 * 12), months=st.integers(1, 90), size=st.integers(1, 40))
def test_parts_of_a_span_join_without_gap_or_overlap(start: int, months: int, size: int) -> None:
    def code(month: int) -> str:
        return f"{month % 12 + 1:02d}/{month // 12}"

    request = ReportRequest(
        ("A",), False, (), False, (), code(start), code(start + months - 1), size, "local"  # noqa: FBT003 - in the order of the fields
    )  # fmt: skip
    covered = []
    for span in request.spans():
        assert span
        first, last = ((int(end[3:]) * 12 + int(end[:2]) - 1) for end in span)
        assert 0 <= last - first < size
        covered += range(first, last + 1)

    assert covered == list(range(start, start + months))


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("01/2025", "", "time_span_start and time_span_end only one"),
        ("12/2026", "01/2025", "time_span_start, 12/2026, is later than time_span_end, 01/2025"),
        ("01/2025", "13/2025", "13/2025, which is no month"),
        ("00/2025", "Q1-2026", "00/2025, which is no month"),
    ],
)
def test_a_time_span_that_is_none_is_refused(
    source: Source, start: str, end: str, found: str
) -> None:
    """It would ask for nothing, and replace every version by nothing."""
    with pytest.raises(TapError, match=found):
        source.sync("reports", time_span_start=start, time_span_end=end)

    assert source.vendor.requests == []


# Once, and again when something changed


def test_a_version_is_read_once(source: Source) -> None:
    first = source.sync(*BOTH)
    second = source.sync(*BOTH, state=first.state)

    assert read(source) == [PLAN, NESTED]
    assert second.records("reports") == second.records("processed") == []
    assert {m["stream"] for m in second.of_type("SCHEMA")} == {"reports", "processed"}
    assert second.state == first.state


def test_a_changed_version_is_read_again(source: Source) -> None:
    first = source.sync(*BOTH)
    shared_folder(source).children[0].attributes["isLocked"] = "false"

    second = source.sync(*BOTH, state=first.state)

    assert read(source)[2:] == [PLAN]
    assert {r["version_name"] for r in second.records("processed")} == {PLAN}


def test_other_settings_read_every_version_again(source: Source) -> None:
    """Else a new account would never have the old versions' values."""
    first = source.sync(*BOTH)
    source.sync(*BOTH, state=first.state, account_codes=["4000"])

    assert read(source)[2:] == [PLAN, NESTED]


def test_reload_versions_reads_an_unchanged_one(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    first = source.sync(*BOTH)
    source.sync(*BOTH, state=first.state, reload_versions=[NESTED, "FY19"])

    assert read(source)[2:] == [NESTED]
    assert "reload_versions names 'FY19', which is not in the folder" in caplog.text


def test_a_removed_version_is_reported_once(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows stay: no marker is sent for it."""
    first = source.sync(*BOTH)
    del shared_folder(source).children[0]

    second = source.sync(*BOTH, state=first.state)

    assert f"Version {PLAN} (id 41) was removed from the folder" in caplog.text
    assert second.of_type("ACTIVATE_VERSION", "reports") == []
    caplog.clear()
    source.sync(*BOTH, state=second.state)
    assert "was removed" not in caplog.text


def test_a_renamed_version_is_reported_and_read_under_its_new_name(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    first = source.sync(*BOTH)
    shared_folder(source).children[0].attributes["name"] = "FY25 Final"

    second = source.sync(*BOTH, state=first.state)

    assert f"Version {PLAN} (id 41) was renamed to FY25 Final" in caplog.text
    assert {r["version_name"] for r in second.records("reports")} == {"FY25 Final"}


def test_versions_that_share_a_name_do_not_replace_each_other(source: Source) -> None:
    """The API knows a name only, and the slice of a version is its name; the others are read."""
    shared_folder(source).children.append(n("version", id="46", name=PLAN, type="PLANNING"))

    with pytest.raises(TapError, match=f"holds 2 versions named {PLAN}"):
        source.sync(*BOTH)

    assert read(source) == [NESTED]


def test_versions_below_versions_and_folders_below_folders(source: Source) -> None:
    """Not every version with children is a folder; a folder, empty or not, is never asked for."""
    plan = shared_folder(source).children[0]
    plan.children.append(n("version", id="45", name="Deep", type="SCENARIO"))

    source.sync("reports")

    assert sorted(map(str, read(source))) == sorted([PLAN, NESTED, "Deep"])


def test_a_folder_that_is_not_there(source: Source) -> None:
    """Then nothing would be read, and nobody would know."""
    with pytest.raises(TapError, match=r"no folder named 'Shared'\. Correct the setting"):
        source.sync(*BOTH, versions_folder="Shared")


def test_an_empty_folder_makes_empty_tables(source: Source) -> None:
    result = source.sync(*BOTH, versions_folder="Empty")

    assert {m["stream"] for m in result.of_type("SCHEMA")} == {"reports", "processed"}
    assert read(source) == []


def test_versions_need_no_account_codes(source: Source) -> None:
    assert len(source.sync("versions", account_codes=[]).records("versions")) == 9


def test_processed_alone_is_refused(source: Source) -> None:
    with pytest.raises(TapError, match="Select both, or neither"):
        source.sync("processed")


# Only what is allowed


@pytest.mark.parametrize("codes", [[], [""]])
def test_no_account_code_is_an_error_and_not_everything(source: Source, codes: list[str]) -> None:
    with pytest.raises(TapError, match="account_codes is empty"):
        source.sync("reports", account_codes=codes)

    assert source.vendor.requests == []


def test_a_catalog_may_ask_for_less_but_not_for_more(source: Source) -> None:
    """A code that the settings do not allow is refused before the first call."""
    result = source.sync("reports", codes=["NetARR"])
    assert {r["account_code"] for r in result.records("reports")} == {"NetARR"}
    before = len(source.vendor.requests)

    with pytest.raises(TapError, match="asks the stream reports for the account codes Secret"):
        source.sync("reports", codes=["NetARR", "Secret"])

    assert len(source.vendor.requests) == before


@pytest.mark.parametrize("codes", [[], [None]])
def test_a_catalog_that_asks_for_no_account_does_not_get_everything(
    source: Source, codes: list[Any]
) -> None:
    """The vendor takes no account for all of them."""
    with pytest.raises(TapError, match="asks the stream reports for no account code"):
        source.sync("reports", codes=codes, account_descendants=True)

    assert source.vendor.requests == []


@pytest.mark.parametrize(
    ("allowed", "codes"), [(["4000", "4000"], None), (["4000", "6100"], ["4000", None, "4000"])]
)
def test_a_code_that_is_named_twice_is_asked_for_once(
    source: Source, allowed: list[str], codes: list[Any] | None
) -> None:
    source.sync("reports", account_codes=allowed, codes=codes)

    (body, _) = source.vendor.called("exportData")
    assert [a.get("code") for a in body.iterfind("filters/accounts/account")] == ["4000"]


def test_an_account_that_was_not_asked_for_is_not_sent(source: Source) -> None:
    """Whatever the vendor answers; figures that are not public stay where they are."""
    answer = csv_answer(f"{HEADER}\nSecret deal,Secret,Sales,1\n", 1)
    source.vendor.instead["exportData"] = [answer.encode()]

    with pytest.raises(TapError, match="not among account_codes, such as Secret"):
        source.sync("data")


def test_accounts_below_one_come_only_when_that_is_set(source: Source) -> None:
    result = source.sync("data", account_codes=["Revenue"], account_descendants=True)
    assert {r["account_code"] for r in result.records("data")} == {"4000"}

    assert source.sync("data", account_codes=["Revenue"]).records("data") == []


def test_an_unknown_account_code(source: Source) -> None:
    with pytest.raises(TapError, match="The account code 4711 is not valid"):
        source.sync("data", account_codes=["4000", "4711"])


# Answers that cannot be loaded


def test_a_version_that_vanishes_between_list_and_export(source: Source) -> None:
    """The others are loaded; the run fails at its end, and reads the lost one next time."""
    gone = (
        b'<response success="false"><messages><message key="k">Gone</message></messages></response>'
    )
    source.vendor.instead["exportData"] = [gone]

    with pytest.raises(TapError, match=rf"\[reports of version {PLAN}\] .*Gone") as error:
        source.sync(*BOTH)

    assert "1 part of the run failed" in str(error.value)
    assert read(source) == [PLAN, NESTED]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{HEADER},01/2025\nA,4000,S,1,2\n", "has the column 01/2025 more than once"),
        (f'{HEADER}\nA,4000,S,"1,234.50"\n', "in row 1 of column 01/2025, a text that is no"),
        (f"{HEADER}\nA,4000,S,1\nA,4000,T,NaN\n", "in row 2 of column 01/2025"),
        (f"{HEADER}\nA,4000,S,0.1234567890123456789\n", "18 behind the point"),
        (f"{HEADER}\nA,4000,S\n", "has 3 columns, but its header 4"),
        (f"{HEADER}\nA,4000,S,1\nA,4000,S,2\n", "two rows of the same account"),
        ("Account Name,Level Name,01/2025\nA,S,1\n", "has no column for Account Code"),
        ("Account Code,Level Name\n4000,S\n", "has no column for any period"),
        (f'{HEADER}\nA,4000,"S,1\n', "ends inside of a quoted value"),
        (f"{HEADER},\nA,4000,S,1,\n", "a column without a name"),
        (f"{HEADER}\n{'A' * (1 << 21)},4000,S,1\n", "cannot be read; it may hold a row longer"),
    ],
    ids=["column-twice", "thousands", "nan", "digits", "ragged", "row-twice", "no-account",
         "no-period", "open-quote", "no-name", "long"],
)  # fmt: skip
def test_a_csv_that_cannot_be_loaded(
    source: Source, naps: list[float], text: str, found: str
) -> None:
    """Nothing is rounded, guessed or dropped, and no value stands in the message."""
    rows = text.count("\n") - 1
    source.vendor.instead["exportData"] = [csv_answer(text, rows).encode()] * 3

    with pytest.raises(TapError, match=found) as error:
        source.sync("data")

    assert "234.50" not in str(error.value)
    assert len(naps) in (0, 2)


def test_a_period_that_comes_in_two_answers(source: Source) -> None:
    """A vendor that ignores the time span would double every value."""
    answer = csv_answer(f"{HEADER}\nA,4000,S,1\n", 1).encode()
    source.vendor.instead["exportData"] = [answer, answer]

    with pytest.raises(TapError, match="brings the periods 01/2025 more than once"):
        source.sync("data", time_span_start="01/2025", time_span_end="12/2026")


def test_a_dimension_that_does_not_come(source: Source) -> None:
    source.vendor.instead["exportData"] = [csv_answer(f"{HEADER}\nA,4000,S,1\n", 1).encode()]

    with pytest.raises(TapError, match="has no column for Product"):
        source.sync("data", dimensions=["Product"])


# Cells


def test_cells_of_every_kind(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """Exact to the last digit; blank and invalid are null, and told apart.

    White space around the CSV is no row.
    """
    texts = ["1200.0", "B", "I", "", "-0.000000000000000001", "12345678901234567890.5", "1.5E-7"]
    header = HEADER.removesuffix(",01/2025") + "".join(f",{i}/2026" for i in range(1, 8))
    text = f'\n{header}\n"R&D,\n cost",4000,Sales,{",".join(texts)}\n\n'
    answer = csv_answer(text, 1).replace("</output>", "\n  </output>")
    source.vendor.instead["exportData"] = [answer.encode()]

    found = source.sync("data").records("data")

    assert [(r["value"], r["mark"]) for r in found] == [
        (Decimal("1200.0"), None), (None, "B"), (None, "I"), (None, None),
        (Decimal("-0.000000000000000001"), None), (Decimal("12345678901234567890.5"), None),
        (Decimal("1.5E-7"), None),
    ]  # fmt: skip
    assert {r["account_name"] for r in found} == {"R&D,\n cost"}
    assert [(r["period_code"], r["month"]) for r in found][:2] == [("1/2026", 1), ("2/2026", 2)]
    assert "1 cells of version FY26 Plan are invalid" in caplog.text


def test_a_period_that_is_no_month_keeps_its_code(source: Source) -> None:
    text = "Account Name,Account Code,Level Name,Q1-2025\nA,4000,S,1\n"
    source.vendor.instead["exportData"] = [csv_answer(text, 1).encode()]

    (record,) = source.sync("data").records("data")

    assert (record["period_code"], record["year"], record["month"]) == ("Q1-2025", None, None)


def test_an_answer_without_level_codes_and_with_short_months(source: Source) -> None:
    """Columns are found by name, and either form of a month is one."""
    source.vendor.plan.level_codes = source.vendor.plan.pad_months = False

    found = source.sync("data").records("data")

    assert {r["level_code"] for r in found} == {None}
    assert {r["month"] for r in found} == set(range(1, 13))


def test_a_version_without_rows_is_loaded_and_said(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.vendor.plan.rows[PLAN] = 0

    result = source.sync(*BOTH)

    assert {r["version_name"]: r["rows"] for r in result.records("processed")}[PLAN] == 0
    assert f"Version {PLAN} has no rows for what is asked; rows loaded before are" in caplog.text


def test_a_header_alone_is_a_version_without_rows(source: Source) -> None:
    source.vendor.instead["exportData"] = [csv_answer(f"{HEADER}\n", 0).encode()]

    result = source.sync(*BOTH)

    assert result.records("processed")[0]["rows"] == 0
    assert len(result.of_type("ACTIVATE_VERSION", "reports")) == 4


@given(values=st.lists(
    st.decimals(min_value=-(10**20) + 1, max_value=10**20 - 1, places=18), min_size=1, max_size=24
))  # fmt: skip
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_decimal_arrives_with_all_its_digits(source: Source, values: list[Decimal]) -> None:
    header = HEADER.removesuffix(",01/2025") + "".join(f",P{i}" for i in range(len(values)))
    text = f"{header}\nA,4000,S,{','.join(format(value, 'f') for value in values)}\n"
    source.vendor.instead["exportData"] = [csv_answer(text, 1).encode()]

    assert [r["value"] for r in source.sync("data").records("data")] == values
