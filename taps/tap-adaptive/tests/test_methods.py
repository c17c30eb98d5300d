"""Every method but exportData: what arrives is what the vendor has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from sandbox.vendors.adaptive import success
from sandbox.vendors.adaptive_data import Node, n
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

METHODS = {
    "exportAccounts", "exportActiveCurrencies", "exportAttributes", "exportConfigurableModelData",
    "exportCustomerLogo", "exportData", "exportDimensionFamilies", "exportDimensions",
    "exportDimensionMapping", "exportGroups", "exportInstances", "exportLevels", "exportLocales",
    "exportModeledSheet", "exportRoles", "exportPermissionSets", "exportSecurityAudit",
    "exportSheetDefinition", "exportSheets", "exportTime", "exportTransactionDefinition",
    "exportUsers", "exportVersions",
}  # fmt: skip


def camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def test_every_attribute_of_every_row_arrives(source: Source, typed_value: Any) -> None:
    """Typed by the schema; what has no column is in `extra`."""
    catalog = {e["stream"]: e["schema"]["properties"] for e in source.catalog()["streams"]}

    result = source.sync(*source.trees)

    for stream in source.trees:
        found = {repr(record): record for record in result.records(stream)}
        rows = source.rows_of(stream)
        assert len(found) == len(rows), stream
        by_id: dict[Any, list[dict[str, Any]]] = {}
        for record in found.values():
            by_id.setdefault(str(record.get("id") or record.get("code")), []).append(record)
        for row in rows:
            candidates = by_id[str(row.get("id") or row.get("code"))]
            assert any(_same(row, record, catalog[stream], typed_value) for record in candidates), (
                stream,
                row,
            )


def _same(row: dict[str, Any], record: dict[str, Any], columns: dict[str, Any], typed: Any) -> bool:
    known = {camel_case(column): column for column in columns}
    extra = record.get("extra") or {}
    expected = {
        name: typed(text, columns[known[name]]) for name, text in row.items() if name in known
    }
    others = {name: text for name, text in row.items() if name not in known}
    return all(record[known[name]] == value for name, value in expected.items()) and all(
        extra[name] == text for name, text in others.items()
    )


def test_every_method_is_called_by_its_true_name(source: Source) -> None:
    """With the caller's name and the one locale whose numbers are safe to read."""
    source.sync(caller_name="night watch")

    assert {call.method for call in source.vendor.calls} == METHODS
    assert {(call.caller, call.locale) for call in source.vendor.calls} == {
        ("night watch", "en_US")
    }


def test_children_that_are_columns(source: Source) -> None:
    result = source.sync("accounts", "dimension_values", "users", "dimension_families")

    account = next(r for r in result.records("accounts") if r["code"] == "4000")
    assert account["attributes"] == [
        {"attribute_id": "3", "name": "Owner", "value_id": "31", "value": "Ann & Bob"}
    ]
    value = next(r for r in result.records("dimension_values") if r["code"] == "P1")
    assert value["properties"] == [{"name": "Colour", "value": "red"}]
    assert value["dimension_id"] == 1
    user = result.records("users")[0]
    assert user["subscriptions"] == {"planning_news": True, "outages": False}
    family = result.records("dimension_families")[0]
    assert family["extra"] == {"accounts": [{"account": [{"id": "10"}]}]}


def test_dimensions_come_without_their_values_even_if_the_vendor_sends_them(
    source: Source,
) -> None:
    """They would make rows of unbounded size, and they have a stream of their own."""
    output = [node.xml() for node in source.vendor.outputs["exportDimensions"]]
    source.vendor.instead["exportDimensions"] = [
        success("".join(etree.tostring(e, encoding="unicode") for e in output)).encode()
    ]

    records = source.sync("dimensions").records("dimensions")

    assert [r["extra"] for r in records] == [{"property1": "Colour"}, None]


def test_the_sheets_and_what_is_asked_of_each(source: Source) -> None:
    """A sheet's type is its tag; an assumption sheet is asked for a second time."""
    result = source.sync(
        "sheets", "sheet_definitions", "modeled_sheets", "modeled_sheet_rows", version_name="V"
    )

    assert [(r["id"], r["sheet_type"], r["extra"]) for r in result.records("sheets")] == [
        (1, "standard", None), (2, "cube", None), (3, "modeled", {"isUserAssigned": "1"}),
        (4, "modeled", None),
    ]  # fmt: skip
    definitions = result.records("sheet_definitions")
    assert [(r["sheet_id"], r["sheet_type"]) for r in definitions] == [
        (2, "cube"), (3, "modeled"), (4, "modeled"),
    ]  # fmt: skip
    assert definitions[0]["definition"] == {
        "cube-sheet": [{"name": "Sales cube", "column": [{"id": "1", "name": "A"}]}]
    }
    models = {r["sheet_name"]: r["model"] for r in result.records("modeled_sheets")}
    assert set(models) == {'Personnel "EU" <1>', "Capital & assets"}
    assert result.records("modeled_sheet_rows") == [
        {"version_name": "V", "sheet_name": 'Personnel "EU" <1>', "row_number": 1,
         "row": {"Name": 'Ann, "A"', "Start, date": "01/2025", "Salary": "1,200.50"}},
        {"version_name": "V", "sheet_name": 'Personnel "EU" <1>', "row_number": 2,
         "row": {"Name": "Bob", "Start, date": "", "Salary": "900"}},
        {"version_name": "V", "sheet_name": "Capital & assets", "row_number": 1,
         "row": {"Asset": "Server", "Value": "100"}},
    ]  # fmt: skip


def test_an_empty_cell_of_a_sheet_with_one_column_is_a_row(source: Source) -> None:
    source.vendor.sheet_csv["Capital & assets"] = "Asset\nA\n\nB\n"

    rows = source.sync("modeled_sheet_rows", version_name="V").records("modeled_sheet_rows")

    found = [r["row"] for r in rows if r["sheet_name"] == "Capital & assets"]
    assert found == [{"Asset": "A"}, {"Asset": ""}, {"Asset": "B"}]


def test_single_rows(source: Source) -> None:
    result = source.sync("customer_logo", "transaction_definition")

    assert result.records("customer_logo") == [{"url": "https://logos.example.com/1.png"}]
    assert result.records("transaction_definition") == [{"definition": {"transaction": [
        {"name": "Ledger", "posting-date": [{"id": "1"}], "amount": [{"id": "2", "name": "Amount"}]}
    ]}}]  # fmt: skip


def test_a_logo_that_is_text(source: Source) -> None:
    """No public source shows the shape of this answer."""
    source.vendor.instead["exportCustomerLogo"] = [
        success("<![CDATA[https://logos.example.com/2.png]]>").encode()
    ]

    records = source.sync("customer_logo").records("customer_logo")

    assert records == [{"url": "https://logos.example.com/2.png"}]


def test_a_row_without_a_container(source: Source) -> None:
    """Where the shape is not known, one row alone is a row too."""
    source.vendor.instead["exportRoles"] = [
        success('<role id="5" name="Planner"/><roles seqNo="1"/>').encode()
    ]

    assert [r["id"] for r in source.sync("roles").records("roles")] == [5]


def test_methods_without_data_make_empty_tables(source: Source) -> None:
    """A SCHEMA and both markers are sent, and nothing between."""
    empty = success("").encode()
    for method in METHODS - {"exportVersions", "exportSheets", "exportData"}:
        source.vendor.instead[method] = [empty] * 3
    source.vendor.plan.default_rows = 0
    source.vendor.outputs["exportSheets"] = []

    result = source.sync()

    assert {m["stream"] for m in result.of_type("SCHEMA")} == {
        e["tap_stream_id"] for e in source.catalog()["streams"]
    }
    filled = {m["stream"] for m in result.of_type("RECORD")}
    assert filled == {"versions", "processed"}
    for stream in ("accounts", "security_audit", "data", "sheets"):
        assert len(result.of_type("ACTIVATE_VERSION", stream)) == 2


def test_an_unexpected_container_is_no_empty_answer(source: Source) -> None:
    source.vendor.instead["exportGroups"] = [success('<teams><team id="1"/></teams>').encode()]

    with pytest.raises(TapError, match=r"<teams> where <groups> or <group> was expected"):
        source.sync("groups")


@pytest.mark.parametrize(
    ("stream", "method", "output"),
    [
        ("groups", "exportGroups", '<groups><team id="1"/></groups>'),
        ("sheets", "exportSheets", '<sheets><dashboard-sheet id="1"/></sheets>'),
    ],
)
def test_a_container_of_something_else_is_no_empty_answer(
    source: Source, stream: str, method: str, output: str
) -> None:
    source.vendor.instead[method] = [success(output).encode()]

    with pytest.raises(TapError, match=r"the output holds <(team|dashboard-sheet)> where"):
        source.sync(stream)


def test_what_is_new_beside_the_rows_is_told(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    """A new API version must not stop a load, nor may it go unseen."""
    output = '<groups><group id="1"/><team id="2"/></groups>'
    source.vendor.instead["exportGroups"] = [success(output).encode()]

    assert [r["id"] for r in source.sync("groups").records("groups")] == [1]

    assert "exportGroups: the answer also holds <team>" in caplog.text


def test_no_answer_of_the_sheet_is_called_strange(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.sync(*source.trees)

    assert "also holds" not in caplog.text


def test_comments_are_no_values(source: Source) -> None:
    output = '<groups><!-- a --><group id="1"><!-- b --><?c d?></group></groups>'
    source.vendor.instead["exportGroups"] = [success(output).encode()]

    (record,) = source.sync("groups").records("groups")

    assert (record["id"], record["extra"]) == (1, None)


DEEP = "<role>" * 300 + "</role>" * 300


@pytest.mark.parametrize(
    ("method", "output", "found"),
    [
        ("exportRoles", DEEP, "beyond what can be read safely"),
        ("exportCustomerLogo", DEEP, "beyond what can be read safely"),
        ("exportLevels", '<levels><level><level id="1"/></level></levels>', "no number as its id"),
        ("exportSheets", '<modeled-sheet name="A"/>', "no number as its id"),
    ],
    ids=["deep", "deep-tree", "parent", "sheet"],
)
def test_an_answer_that_cannot_be_used_does_not_stop_the_others(
    source: Source, method: str, output: str, found: str
) -> None:
    source.vendor.instead[method] = [success(output).encode()]

    with pytest.raises(TapError, match=rf"1 part of the run failed.*{found}"):
        source.sync("customer_logo", "levels", "modeled_sheets", "roles", "users")

    assert source.vendor.called("exportUsers")


def test_text_where_rows_are_expected_is_no_empty_answer(source: Source) -> None:
    source.vendor.instead["exportSecurityAudit"] = [success("time,actor\n1,ann").encode()]

    with pytest.raises(TapError, match="holds text where elements was expected"):
        source.sync("security_audit")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ('<group name="A"/>', "a <group> has no id"),
        ('<group id="x1"/>', "id holds a text that is no integer"),
        ('<group id="1" isGlobal="maybe"/>', "is_global holds a text that is no boolean"),
    ],
)
def test_a_row_that_cannot_be_stored(source: Source, row: str, found: str) -> None:
    """Neither its key nor its types are guessed, and its values stay out of the message."""
    source.vendor.instead["exportGroups"] = [success(f"<groups>{row}</groups>").encode()]

    with pytest.raises(TapError, match=found) as error:
        source.sync("groups")

    assert "maybe" not in str(error.value)


def test_a_method_that_is_refused_does_not_stop_the_others(source: Source) -> None:
    """The run fails at its end, and says what the API user needs; the old table stays."""
    source.vendor.forbidden = {"exportSheets", "exportDimensionMapping"}

    with pytest.raises(TapError, match=r"2 parts of the run failed.*sales-planning product") as e:
        source.sync("accounts", "dimension_mapping", "sheets", "users")

    assert "IMP or MOD" in str(e.value)
    assert source.vendor.called("exportUsers")
    assert source.vendor.refused_logins == 0


def test_a_body_of_the_operators_own(source: Source) -> None:
    """No public source knows what exportSecurityAudit can be asked."""
    own = '<range start="2025-01-01" label="a &amp; b"/>'

    source.sync("security_audit", method_bodies={"exportSecurityAudit": own})

    (body,) = source.vendor.called("exportSecurityAudit")
    assert [dict(child.attrib) for child in body] == [{"start": "2025-01-01", "label": "a & b"}]


def test_a_body_that_is_not_xml_fails_before_the_first_call(source: Source) -> None:
    with pytest.raises(TapError, match="method_bodies gives exportSecurityAudit"):
        source.sync(method_bodies={"exportSecurityAudit": "<range"})

    assert source.vendor.requests == []


trees = st.recursive(
    st.just([]),
    lambda inner: st.lists(
        st.tuples(st.text("ab&<\"'é/ ", min_size=1, max_size=4), inner), max_size=3
    ),
    max_leaves=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tree=trees)
def test_a_hierarchy_of_any_shape(source: Source, tree: list[Any]) -> None:
    """Each node once, with its parent, its depth and the names above it."""
    ids = iter(range(1, 1000))

    def nodes(items: list[Any]) -> list[Node]:
        return [n("level", *nodes(below), id=str(next(ids)), name=name) for name, below in items]

    source.vendor.outputs["exportLevels"] = [n("levels", *nodes(tree))]
    expected = [
        (row["name"], row["path"], int(row["depth"]), row["parentId"] and int(row["parentId"]))
        for row in source.rows_of("levels")
    ]

    found = source.sync("levels").records("levels")

    picked = [(r["name"], r["path"], r["depth"], r["parent_id"]) for r in found]
    assert sorted(picked, key=str) == sorted(expected, key=str)
