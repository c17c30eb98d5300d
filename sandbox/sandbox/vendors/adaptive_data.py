"""What the stand-in for Adaptive Planning holds: the elements below `<output>`, by method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAN_YEARS = (2025, 2026)
LEVEL_COUNT = 12
PRODUCT_COUNT = 4
SHARED_FOLDER = "Shared with Data"


@dataclass
class Node:
    """An element: its tag, its attributes as the vendor writes them, its children."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def xml(self) -> etree._Element:
        made = etree.Element(self.tag, self.attributes)
        made.extend(child.xml() for child in self.children)
        return made

    def walk(self, tag: str, *above: Node) -> Iterator[tuple[Node, tuple[Node, ...]]]:
        """Every node of a tag in here, with those of that tag around it, outermost first."""
        inner = above
        if self.tag == tag:
            yield self, above
            inner = (*above, self)
        for child in self.children:
            yield from child.walk(tag, *inner)


def n(tag: str, *children: Node, **attributes: str) -> Node:
    """A node in short."""
    return Node(tag.replace("_sheet", "-sheet"), attributes, list(children))


def outputs(size: int) -> dict[str, list[Node]]:
    """The answers of every method but those of CSV: so many accounts and users, at least."""
    return {
        "exportVersions": [versions()],
        "exportAccounts": [accounts(size)],
        "exportLevels": [levels()],
        "exportDimensions": [dimensions()],
        "exportAttributes": [attributes()],
        "exportActiveCurrencies": [currencies()],
        "exportTime": [time()],
        "exportUsers": [users(size)],
        "exportGroups": [n("groups", n("group", id="1", name="Finance", isGlobal="true",
                                       ownerId="7"),
                           n("group", id="2", name="Sales & more", isGlobal="false", ownerId=""))],
        "exportPermissionSets": [n("permission_sets", n("permission_set", id="1", name="Admin",
                                                        permissions="SHT,RPT,MOD"),
                                   n("permission_set", id="2", name="None", permissions=""))],
        "exportSheets": [
            n("standard_sheet", id="1", name="Income"),
            n("cube_sheet", id="2", name="Sales cube"),
            n("modeled_sheet", id="3", name='Personnel "EU" <1>', isUserAssigned="1"),
            n("modeled_sheet", id="4", name="Capital & assets"),
        ],
        "exportTransactionDefinition": [n("transaction", n("posting-date", id="1"),
                                          n("amount", id="2", name="Amount"), name="Ledger")],
        "exportDimensionFamilies": [n("dimensionFamilies", n(
            "dimensionFamily", n("accounts", n("account", id="10")), id="1", name="By product"))],
        "exportRoles": [n("roles", n("role", id="1", name="Planner"))],
        "exportInstances": [n("instances", n("instance", code="EXAMPLE1", name="Example",
                                             sessionTimeout="30", calendarType="fiscal",
                                             systemCurrency="USD", newFlag="1"))],
        "exportLocales": [n("locales", n("locale", code="en_US", name="English"),
                            n("locale", code="de_DE", name="Deutsch"))],
        "exportSecurityAudit": [n("audit", *(
            n("entry", timestamp=f"2025-01-0{day} 08:00:00", action="LOGIN", actor="ann",
              outcome="SUCCESS") for day in range(1, 4)))],
        "exportDimensionMapping": [n("mappings", n("mapping", source="Product", target="SKU"))],
        "exportCustomerLogo": [n("logo", url="https://logos.example.com/1.png")],
    }  # fmt: skip


def versions() -> Node:
    """As in the sheet: folders in folders, scenarios below plans, both forms of booleans."""
    return n("versions",
        n("version",
            n("version", id="5", name="Adjusted", type="ACTUALS", isVirtual="false",
              isLocked="false", isImportable="1"),
          id="1", name="Actuals", shortName="", type="ACTUALS", isVirtual="false",
          isDefaultVersion="false", isLocked="false", isImportable="0", startVer="2023",
          endVer="2027", completedValuesThru="03/2025"),
        n("version",
            n("version", id="41", name="FY25 Plan", type="PLANNING", isLocked="true",
              isImportable="0", startPlan="01/2025", endPlan="2027"),
            n("version",
                n("version", id="43", name='FY24 "R&D" <Plan>', type="PLANNING"),
              id="42", name="Old plans", type="VERSION_FOLDER"),
            n("version", id="44", name="Empty", type="VERSION_FOLDER"),
          id="40", name=SHARED_FOLDER, type="VERSION_FOLDER"),
        n("version",
            n("version", id="10", name="Worst case", type="SCENARIO", isPredictive="false"),
          id="2", name="FY26 Plan", type="PLANNING", isDefaultVersion="true"),
      seqNo="7")  # fmt: skip


def accounts(size: int) -> Node:
    """Revenue with an account below it, an account that is not public, and so many others."""
    others = [
        n("account", id=str(100 + i), code=f"5{i:03d}", name=f"Cost {i}",
          accountTypeCode="EXPENSE", isAssumption="0", decimalPrecision="2", owningSheetId="")
        for i in range(size)
    ]  # fmt: skip
    values = n("attributes", n("attribute", attributeId="3", name="Owner", valueId="31",
                               value="Ann & Bob"))  # fmt: skip
    return n("accounts",
        n("account",
            n("account", values, id="11", code="4000", name="Product revenue", isImportable="true",
              dataEntryType="STANDARD", isAssumption="0", newInV44="yes"),
          id="10", code="Revenue", name="Revenue", isDefaultRoot="1", isAssumption="false"),
        n("account", id="12", code="NetARR", name="Net ARR", isAssumption="0"),
        n("account", id="13", code="6100", name="R&D cost", isAssumption="0"),
        n("account", id="14", code="Secret", name="Deal in preparation", isAssumption="0"),
        *others,
      seqNo="12", displayNameType="NAME")  # fmt: skip


def levels() -> Node:
    """The company and the levels below it."""
    below = [
        n("level", id=str(i), code=str(100 * i), name=f"Level {i}", currency="USD",
          isImportable="1", isElimination="0", hasChildren="false", availableStart="01/2025")
        for i in range(1, LEVEL_COUNT + 1)
    ]  # fmt: skip
    return n("levels", n("level", *below, id="900", code="900", name="Total Company",
                         hasChildren="true", isLinked="0"), seqNo="3")  # fmt: skip


def dimensions() -> Node:
    """One dimension with members in two tiers, another with the same ids."""
    products = [
        n("dimensionValue", n("properties", n("property", name="Colour", value="red")),
          id=str(i), code=f"P{i}", name=f"Widget {i}", displayName=f"Widget no. {i}")
        for i in range(1, PRODUCT_COUNT + 1)
    ]  # fmt: skip
    return n("dimensions",
        n("dimension", n("dimensionValue", *products, id="9", code="ALL", name="All products"),
          id="1", name="Product", code="PRD", autoCreate="1", listDimension="0", keepSorted="true",
          useOnLevels="0", seqNo="4", property1="Colour"),
        n("dimension", n("dimensionValue", id="1", code="EU", name="Europe"), id="2",
          name="Region", autoCreate="0"),
      seqNo="5")  # fmt: skip


def attributes() -> Node:
    """An attribute of accounts and one of levels, with values in two tiers."""
    inner = n("attributeValue", id="32", code="A2", name="Bob")
    return n("attributes",
        n("attribute", n("attributeValue", inner, id="31", code="A1", name="Ann"), id="3",
          name="Owner", type="account", autoCreate="0", keepSorted="1", dimensionId="1"),
        n("attribute", id="4", name="Country", type="level", autoCreate="1"),
      seqNo="2")  # fmt: skip


def currencies() -> Node:
    """Two currencies."""
    return n("currencies",
        n("currency", id="1", code="USD", precision="2", isReportingCurrency="1",
          userDefined="0", description="US dollar"),
        n("currency", id="2", code="EUR", precision="2", isReportingCurrency="0",
          userDefined="0", description=""),
      seqNo="1")  # fmt: skip


def time() -> Node:
    """Years with their quarters and months; a period ends where the next one starts."""
    strata = n("stratum",
        n("stratum", n("stratum", id="3", code="month", label="Month", inUse="1", isDefault="1"),
          id="2", code="quarter", label="Quarter", inUse="1", isDefault="0"),
      id="1", code="year", label="Year", inUse="1", isDefault="0")  # fmt: skip
    return n("time", strata, *map(_year, SPAN_YEARS), isCustom="0", seqNo="1", qFirstMonth="0")


def _year(year: int) -> Node:
    quarters = [
        n("period", *(_month(year, month) for month in range(3 * q - 2, 3 * q + 1)),
          id=f"{year}0{q}", code=f"Q{q}-{year}", label=f"Q{q} {year}", stratumId="2",
          start=f"{year}-{3 * q - 2:02d}-01", end=_first_after(year, 3 * q))
        for q in range(1, 5)
    ]  # fmt: skip
    return n("period", *quarters, id=str(year), code=str(year), label=str(year), stratumId="1",
             end=f"{year + 1}-01-01")  # fmt: skip


def _month(year: int, month: int) -> Node:
    return n("period", id=f"{year}1{month:02d}", code=f"{month:02d}/{year}", label=f"M{month}",
             stratumId="3", timeslot=str(month), encodedTimePeriod=f"1::{month}",
             start=f"{year}-{month:02d}-01", end=_first_after(year, month))  # fmt: skip


def _first_after(year: int, month: int) -> str:
    return f"{year + month // 12}-{month % 12 + 1:02d}-01"


def users(size: int) -> Node:
    """So many users."""
    return n("users", *(
        n("user", n("subscriptions", planningNews="1", outages="0"), id=str(i), guid=f"guid-{i}",
          login=f"user{i}@example.com", email=f"user{i}@example.com", name=f"User {i}",
          permissionSetIds="1,2" if i % 2 else "", groupIds="1", failedAttempts="0",
          createdDate=f"2025-06-{i % 28 + 1:02d} 07:56:00.0", lastLogin="", locked="false")
        for i in range(1, size + 1)), seqNo="1")  # fmt: skip


SHEET_CSV = {
    'Personnel "EU" <1>': 'Name,"Start, date",Salary\n"Ann, ""A""",01/2025,"1,200.50"\nBob,,900\n',
    "Capital & assets": "Asset,Value\nServer,100\n",
}
"""exportConfigurableModelData's CSV, by sheet; the second one is an assumption sheet."""

ASSUMPTION_SHEETS = {"Capital & assets"}
