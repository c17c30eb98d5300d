"""exportData of the stand-in: cells that any process makes alike, and its refusals."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from sandbox.vendors.adaptive_data import LEVEL_COUNT, PRODUCT_COUNT, SPAN_YEARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml import etree

    from sandbox.vendors.adaptive_data import Node

LEAVES = (("4000", "Product revenue"), ("NetARR", "Net ARR"), ("6100", "R&D cost"),
          ("Secret", "Deal in preparation"))  # fmt: skip
MONTHS = [f"{month:02d}/{year}" for year in SPAN_YEARS for month in range(1, 13)]


class RefusedError(Exception):
    """An answer with success="false": its message's key and text."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key, self.text = key, text


@dataclass
class Plan:
    """The cells of all versions.

    Attributes:
        rows: Rows of a version, by version; else `default_rows`.
        default_rows: Rows of a version, at most as many as there are accounts x levels x products.
        changes: Texts of single cells by version, row and period, instead of those made.
        level_codes: Whether the answer has the column Level Code.
        pad_months: Whether January is 01/2025 rather than 1/2025.
    """

    default_rows: int
    rows: dict[str, int] = field(default_factory=dict)
    changes: dict[tuple[str, int, str], str] = field(default_factory=dict)
    level_codes: bool = True
    pad_months: bool = True

    def cell(self, version: str, row: int, period: str) -> str:
        """A cell's text: a number, `B` or `I`."""
        changed = self.changes.get((version, row, period))
        if changed is not None:
            return changed
        seed = crc32(f"{version}|{row}|{period}".encode())
        if seed % 97 == 0:
            return "I"
        if seed % 13 == 0:
            return "B"
        return f"{(seed % 2_000_000 - 1_000_000) / 64}"

    def described(self, row: int) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
        """Account, level and product of a row: code and name of each."""
        account = LEAVES[row % len(LEAVES)]
        place = row // len(LEAVES)
        level, product = place % LEVEL_COUNT + 1, place // LEVEL_COUNT % (PRODUCT_COUNT + 1)
        member = (f"P{product}", f"Widget {product}") if product else ("None", "None")
        return account, (str(100 * level), f"Level {level}"), member

    def export(self, call: etree._Element, trees: dict[str, list[Node]]) -> tuple[str, int]:
        """The CSV that a call asks for, and its number of rows.

        Raises:
            RefusedError: it names something that does not exist, or too much or little.
        """
        version = _version(call, trees)
        accounts = _accounts(call, trees)
        levels = _levels(call, trees)
        with_products = _dimensions(call)
        periods = _periods(call)
        _check_currency(call)
        count = self.rows.get(version, self.default_rows)
        found = [
            row for row in range(count)
            if self.described(row)[0][0] in accounts
            and (not levels or self.described(row)[1][1] in levels)
        ]  # fmt: skip
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        shown = [p if self.pad_months else p.lstrip("0") for p in periods]
        columns = ["Account Name", "Account Code"]
        columns += ["Level Code", "Level Name"] if self.level_codes else ["Level Name"]
        columns += ["Product Code", "Product Name"] * with_products
        if found:
            writer.writerow([*columns, *shown])
        for row in found:
            account, level, product = self.described(row)
            cells = [self.cell(version, row, period) for period in periods]
            place = [account[1], account[0], *level] if self.level_codes else [
                account[1], account[0], level[1]]  # fmt: skip
            writer.writerow([*place, *(product if with_products else ()), *cells])
        return text.getvalue(), len(found)


def _version(call: etree._Element, trees: dict[str, list[Node]]) -> str:
    named = call.find("version")
    name = None if named is None else named.get("name")
    for node in _all(trees["exportVersions"], "version"):
        if node.attributes["name"] == name and node.attributes["type"] != "VERSION_FOLDER":
            return str(name)
    raise RefusedError("error-invalid-version", f"The version {name} is not valid.")


def _accounts(call: etree._Element, trees: dict[str, list[Node]]) -> set[str]:
    """The codes asked for; every account when there is no filter, as at the vendor."""
    asked = call.findall("filters/accounts/account")
    known = {node.attributes["code"]: node for node in _all(trees["exportAccounts"], "account")}
    if not asked:
        return set(known)
    codes: set[str] = set()
    for account in asked:
        node = known.get(account.get("code", ""))
        if node is None:
            text = f"The account code {account.get('code')} is not valid."
            raise RefusedError("error-invalid-account", text)
        codes.add(node.attributes["code"])
        if account.get("includeDescendants") == "true":
            codes |= {inner.attributes["code"] for inner, _ in node.walk("account")}
    return codes


def _levels(call: etree._Element, trees: dict[str, list[Node]]) -> set[str]:
    known = {node.attributes["name"]: node for node in _all(trees["exportLevels"], "level")}
    names: set[str] = set()
    for level in call.findall("filters/levels/level"):
        node = known.get(level.get("name", ""))
        if node is None:
            raise RefusedError("error-invalid-level", f"No level {level.get('name')}.")
        names.add(node.attributes["name"])
        if level.get("includeDescendants") == "true":
            names |= {inner.attributes["name"] for inner, _ in node.walk("level")}
    return names


def _dimensions(call: etree._Element) -> bool:
    names = [dimension.get("name") for dimension in call.findall("dimensions/dimension")]
    if strange := [name for name in names if name != "Product"]:
        raise RefusedError("error-invalid-dimension", f"No dimension {strange[0]}.")
    return bool(names)


def _periods(call: etree._Element) -> list[str]:
    span = call.find("filters/timeSpan")
    if span is None:
        return MONTHS
    ends = [span.get("start", ""), span.get("end", "")]
    if not all(re.fullmatch(r"\d\d/\d{4}", end) and end in MONTHS for end in ends):
        raise RefusedError("error-invalid-timespan", f"The time span {ends} is not valid.")
    return MONTHS[MONTHS.index(ends[0]) : MONTHS.index(ends[1]) + 1]


def _check_currency(call: etree._Element) -> None:
    currency = call.find("rules/currency")
    if currency is None or len(currency.attrib) != 1:
        raise RefusedError("error-invalid-currency", "Exactly one currency is needed.")


def _all(roots: list[Node], tag: str) -> Iterator[Node]:
    return (node for root in roots for node, _ in root.walk(tag))
