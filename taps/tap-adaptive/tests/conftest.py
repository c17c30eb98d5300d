"""A stand-in of its own for each test, a tap that reads it, and what that must find.

The latter is worked out from the stand-in's data in another way than the tap does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.adaptive import LOGIN, PASSWORD, Adaptive
from sandbox.vendors.server import serve
from tap_adaptive.tap import TapAdaptive
from tapsupport.testing import SyncResult, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.vendors.adaptive_data import Node


# By stream: its method, the rows' tag, and whether rows know their place in a hierarchy.
TREES = {
    "accounts": ("exportAccounts", "account", True),
    "attribute_values": ("exportAttributes", "attributeValue", True),
    "attributes": ("exportAttributes", "attribute", False),
    "currencies": ("exportActiveCurrencies", "currency", False),
    "dimension_families": ("exportDimensionFamilies", "dimensionFamily", False),
    "dimension_values": ("exportDimensions", "dimensionValue", True),
    "dimensions": ("exportDimensions", "dimension", False),
    "groups": ("exportGroups", "group", False),
    "instances": ("exportInstances", "instance", False),
    "levels": ("exportLevels", "level", True),
    "locales": ("exportLocales", "locale", False),
    "permission_sets": ("exportPermissionSets", "permission_set", False),
    "roles": ("exportRoles", "role", False),
    "security_audit": ("exportSecurityAudit", "entry", False),
    "time_periods": ("exportTime", "period", True),
    "time_strata": ("exportTime", "stratum", True),
    "users": ("exportUsers", "user", False),
    "versions": ("exportVersions", "version", True),
}
BOOLEAN = {"1": True, "true": True, "0": False, "false": False}


def rows_of(vendor: Adaptive, stream: str) -> list[dict[str, Any]]:
    """Attributes by their names at the vendor, and the place of each row, of a method's answer."""
    method, tag, is_tree = TREES[stream]
    rows = []
    for root in vendor.outputs[method]:
        for node, above in root.walk(tag):
            row: dict[str, Any] = dict(node.attributes)
            if is_tree:
                row |= place(node, above)
            rows.append(row)
    return rows


def place(node: Node, above: Sequence[Node]) -> dict[str, Any]:
    names = [n.attributes.get("name") or n.attributes["code"] for n in (*above, node)]
    return {
        "parentId": above[-1].attributes["id"] if above else None,
        "depth": str(len(above)),
        "path": " / ".join(names),
    }


def typed(text: Any, definition: dict[str, Any]) -> Any:
    """An attribute as its column holds it."""
    if text in ("", None):
        return None
    kind = definition["type"][0]
    if kind == "boolean":
        return BOOLEAN[text]
    if kind == "integer":
        return int(text)
    if kind == "array":
        return [typed(part, definition["items"]) for part in text.split(",")]
    if definition.get("format") == "date-time":
        return text.replace(" ", "T").removesuffix(".0")
    return text


def cells_of(
    vendor: Adaptive, version: str, accounts: Sequence[str], periods: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Account, level, product, period, value and mark of every cell, sorted."""
    plan = vendor.plan
    found = []
    for row in range(plan.rows.get(version, plan.default_rows)):
        account, level, product = plan.described(row)
        if account[0] not in accounts:
            continue
        for period in periods:
            text = plan.cell(version, row, period)
            mark = text if text in ("B", "I") else None
            value = None if mark or not text else Decimal(text)
            found.append((account[0], level[1], product[0], period, value, mark))
    return sorted(found, key=str)


@cache
def discovered() -> str:
    return TapAdaptive(config={}, validate_config=False).catalog_json_text


@dataclass(frozen=True)
class Source:
    """A running stand-in: `vendor` at `url`."""

    vendor: Adaptive
    url: str
    trees = tuple(TREES)

    def config(self, **settings: Any) -> dict[str, Any]:
        return {
            "api_url": self.url,
            "login": LOGIN,
            "password": PASSWORD,
            "account_codes": ["4000", "NetARR"],
            **settings,
        }

    def catalog(self, *streams: str, codes: list[Any] | None = None) -> dict[str, Any]:
        """The discovered catalog with only these streams selected; `codes` narrows reports."""
        catalog: dict[str, Any] = json.loads(discovered())
        for entry in catalog["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
            if codes is not None and entry["tap_stream_id"] == "reports":
                entry["schema"]["properties"]["account_code"]["enum"] = codes
        return catalog

    def sync(
        self,
        *streams: str,
        state: dict[str, Any] | None = None,
        codes: list[Any] | None = None,
        **settings: Any,
    ) -> SyncResult:
        """Run the tap in this process on some streams, or on all."""
        catalog = self.catalog(*streams, codes=codes) if streams else None
        return run_tap(TapAdaptive, self.config(**settings), state=state, catalog=catalog)

    def rows_of(self, stream: str) -> list[dict[str, Any]]:
        return rows_of(self.vendor, stream)

    def cells_of(
        self, version: str, accounts: Sequence[str], periods: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        return cells_of(self.vendor, version, accounts, periods)


@pytest.fixture
def typed_value() -> Any:
    return typed


@pytest.fixture
def source() -> Iterator[Source]:
    vendor = Adaptive(16)
    with serve(vendor) as url:
        yield Source(vendor, url)
