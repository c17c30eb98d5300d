"""The streams of the methods that need no other method's answer.

Requests and shapes: the sheet "Workday Adaptive Planning - XML API", sections 5 and 6. Where it
knows no shape (its confidence C), whatever stands in the output's container is a row, and what has
no column goes into `extra`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_adaptive.documents import element
from tap_adaptive.method_stream import MethodStream
from tap_adaptive.rows import Row, Shape, as_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lxml import etree
    from singer_sdk.helpers.types import Context, Record


class Accounts(MethodStream):
    """The chart of accounts, a hierarchy."""

    name = "accounts"
    method = "exportAccounts"
    shape = Shape(containers=("accounts",), rows=("account",))
    primary_keys = ("id",)

    @override
    def body(self) -> list[etree._Element]:
        return [element("include", attributes="true")]


class Levels(MethodStream):
    """The organisation, a hierarchy."""

    name = "levels"
    method = "exportLevels"
    shape = Shape(containers=("levels",), rows=("level",))
    primary_keys = ("id",)


class Dimensions(MethodStream):
    """The dimensions without their values."""

    name = "dimensions"
    method = "exportDimensions"
    shape = Shape(containers=("dimensions",), rows=("dimension",), skipped=("dimensionValue",))
    primary_keys = ("id",)

    @override
    def body(self) -> list[etree._Element]:
        return [element("include", dimensionValues="false")]


class DimensionValues(MethodStream):
    """The members of all dimensions, a hierarchy in each."""

    name = "dimension_values"
    method = "exportDimensions"
    shape = Shape(containers=("dimensions",), rows=("dimensionValue",), owner="dimension")
    primary_keys = ("id", "dimension_id")

    @override
    def body(self) -> list[etree._Element]:
        return [element("include", dimensionValues="true", attributes="true")]

    @override
    def keyed(self, row: Row) -> Row:
        return _with_owner(row, "dimensionId")


class Attributes(MethodStream):
    """The custom attributes without their values."""

    name = "attributes"
    method = "exportAttributes"
    shape = Shape(containers=("attributes",), rows=("attribute",), skipped=("attributeValue",))
    primary_keys = ("id",)


class AttributeValues(MethodStream):
    """The values of all attributes, a hierarchy in each."""

    name = "attribute_values"
    method = "exportAttributes"
    shape = Shape(containers=("attributes",), rows=("attributeValue",), owner="attribute")
    primary_keys = ("id",)

    @override
    def keyed(self, row: Row) -> Row:
        return _with_owner(row, "attributeId")


class Currencies(MethodStream):
    """The active currencies."""

    name = "currencies"
    method = "exportActiveCurrencies"
    shape = Shape(containers=("currencies",), rows=("currency",))
    primary_keys = ("id",)


class TimeStrata(MethodStream):
    """The units of time: a year holds quarters, a quarter months."""

    name = "time_strata"
    method = "exportTime"
    shape = Shape(containers=("time",), rows=("stratum",), skipped=("period",))
    primary_keys = ("id",)


class TimePeriods(MethodStream):
    """The periods of all strata, a hierarchy."""

    name = "time_periods"
    method = "exportTime"
    shape = Shape(containers=("time",), rows=("period",), skipped=("stratum",))
    primary_keys = ("id",)


class Users(MethodStream):
    """The users."""

    name = "users"
    method = "exportUsers"
    shape = Shape(containers=("users",), rows=("user",))
    primary_keys = ("id",)

    @override
    def body(self) -> list[etree._Element]:
        return [element("include", groups="true", ownedLevels="true")]


class Groups(MethodStream):
    """The groups of users."""

    name = "groups"
    method = "exportGroups"
    shape = Shape(containers=("groups",), rows=("group",))
    primary_keys = ("id",)


class PermissionSets(MethodStream):
    """The permission sets; the method's name is plural, whatever lists say."""

    name = "permission_sets"
    method = "exportPermissionSets"
    shape = Shape(containers=("permission_sets",), rows=("permission_set",))
    primary_keys = ("id",)


class DimensionFamilies(MethodStream):
    """Families of dimensions and the accounts that use them."""

    name = "dimension_families"
    method = "exportDimensionFamilies"
    primary_keys = ("id",)


class Roles(MethodStream):
    """The roles."""

    name = "roles"
    method = "exportRoles"
    primary_keys = ("id",)


class Instances(MethodStream):
    """The instances of the user, with their settings."""

    name = "instances"
    method = "exportInstances"
    primary_keys = ("code",)


class Locales(MethodStream):
    """The locales."""

    name = "locales"
    method = "exportLocales"
    primary_keys = ("code",)


class Hashed(MethodStream):
    """Rows without an id: their own hash is their key."""

    primary_keys = ("row_hash",)

    @override
    def keyed(self, row: Row) -> Row:
        text = json.dumps(as_object(row.element), sort_keys=True)
        row.element.set("rowHash", hashlib.sha256(text.encode()).hexdigest())
        return row


class SecurityAudit(Hashed):
    """The audit trail of security; what its request may hold is for `method_bodies` to say."""

    name = "security_audit"
    method = "exportSecurityAudit"


class DimensionMapping(Hashed):
    """How dimensions map to each other; needs the sales-planning product."""

    name = "dimension_mapping"
    method = "exportDimensionMapping"


class TransactionDefinition(MethodStream):
    """The one definition of transactions. It has no key: there is one row, or none."""

    name = "transaction_definition"
    method = "exportTransactionDefinition"

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        with self._tap.client.call(self.method) as answer:
            output = answer.output()
            if output is not None and len(output):
                yield {"definition": as_object(output)}


class CustomerLogo(MethodStream):
    """The address of the customer's logo; one row, or none."""

    name = "customer_logo"
    method = "exportCustomerLogo"
    primary_keys = ("url",)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        with self._tap.client.call(self.method) as answer:
            output = answer.output()
            texts = [] if output is None else [*map(str, output.itertext())]
            for element in [] if output is None else output.iter():
                texts += [str(value) for value in element.attrib.values()]
            urls = [text.strip() for text in texts if "://" in text]
            yield from ({"url": url} for url in urls[:1])


def _with_owner(row: Row, attribute: str) -> Row:
    """Write the owner's id into the row, where its column looks for it."""
    if row.owner is not None:
        row.element.set(attribute, row.owner.get("id", ""))
    return row


STREAMS: tuple[Any, ...] = (
    Accounts, Attributes, AttributeValues, Currencies, CustomerLogo, DimensionFamilies,
    DimensionMapping, Dimensions, DimensionValues, Groups, Instances, Levels, Locales,
    PermissionSets, Roles, SecurityAudit, TimePeriods, TimeStrata, TransactionDefinition, Users,
)  # fmt: skip
