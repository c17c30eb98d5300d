"""Rows of made-up cost, usage and FOCUS reports, the same for the same report each time."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

TENANCY = "ocid1.tenancy.oc1..aaaaaaaasandboxsandboxsandboxsandboxsandboxsandboxsandboxsandbox"
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

# After so many days the reports change their columns, as Oracle's have ("oci.md", section 5).
CORRECTIONS_FROM_DAY = 1
ATTRIBUTED_FROM_DAY = 2
SKU_UNIT_FROM_DAY, READABLE_UNIT_UNTIL_DAY = 2, 4
NEW_COLUMN_FROM_DAY = 5
REVERSED_EVERY = 4  # every fourth report has its columns in the reverse order
CORRECTION_EVERY = 17  # rows

SERVICES = (
    ("COMPUTE", "B88317", "OCI - Compute, Standard - E4 - OCPU", "OCPU Per Hour"),
    ("BLOCK_STORAGE", "B91961", 'Block Volume "Balanced" - Storage', "Gigabyte Storage Per Month"),
    ("OBJECTSTORE", "B91628", "Object Storage - Storage", "Gigabyte Storage Per Month"),
    ("NETWORK", "B88327", "", "Gigabyte Outbound Data Transfer"),
    ("DATABASE", "B95702", "Autonomous Database\nTransaction Processing, ECPU", "ECPU Per Hour"),
)
COMPARTMENTS = ("production", "staging", "Büro Zürich", 'the "lab", old')
REGIONS = ("us-ashburn-1", "eu-frankfurt-1")
TEAMS = ("platform", "", "data, analytics", 'the "core" team', "ops\\infra", "東京\tTokyo", "")
CLUSTERS = ("", "", "blue", "green")


@dataclass(frozen=True)
class Report:
    """One report: its number, when it was made, and how many rows it has."""

    number: int
    created: datetime
    rows: int

    @property
    def day(self) -> int:
        return (self.created - FIRST_DAY).days

    def cost_file(self) -> bytes:
        """A cost report, gzip-compressed."""
        columns = self._cost_columns()
        if self.number % REVERSED_EVERY == REVERSED_EVERY - 1:
            columns = dict(reversed(columns.items()))
        return compressed(columns, zip(*columns.values(), strict=True))

    def usage_file(self) -> bytes:
        """A usage report, gzip-compressed."""
        cost = self._cost_columns()
        columns = {
            name: cost[name]
            for name in cost
            if not name.startswith("cost/") and name not in NOT_IN_USAGE
        }
        columns["product/resource"] = [f"PIC_{sku}" for sku in cost["cost/productSku"]]
        columns["usage/consumedQuantity"] = [f"{n * 60}" for n in range(self.rows)]
        columns["usage/consumedQuantityUnits"] = ["MS"] * self.rows
        columns["usage/consumedQuantityMeasure"] = ["OCPUS"] * self.rows
        return compressed(columns, zip(*columns.values(), strict=True))

    def focus_file(self) -> bytes:
        """A FOCUS report, gzip-compressed."""
        columns = self._focus_columns()
        return compressed(columns, zip(*columns.values(), strict=True))

    def reference(self, row: int) -> str:
        """The line identifier of a row."""
        seeded = hashlib.blake2b(f"{self.number}-{row}".encode(), digest_size=46).digest()
        return f"V2.{base64.b64encode(seeded).decode()}"

    def _cost_columns(self) -> dict[str, list[Any]]:
        choose = random.Random(self.number)  # noqa: S311 - nothing secret
        rows = range(self.rows)
        services = choose.choices(SERVICES, k=self.rows)
        starts = [self.created - timedelta(hours=1 + n % 6) for n in rows]
        quantities = [choose.randrange(10**9) for _ in rows]
        corrections = [n % CORRECTION_EVERY == CORRECTION_EVERY - 1 for n in rows]
        pool = [_ocid("instance", choose) for _ in range(min(2000, 1 + self.rows // 4))]
        compartments = {name: _ocid("compartment", choose) for name in COMPARTMENTS}
        places = choose.choices(COMPARTMENTS, k=self.rows)
        columns: dict[str, list[Any]] = {
            "lineItem/referenceNo": [self.reference(n) for n in rows],
            "lineItem/tenantId": [TENANCY] * self.rows,
            "lineItem/intervalUsageStart": [_minute(start) for start in starts],
            "lineItem/intervalUsageEnd": [_minute(s + timedelta(hours=1)) for s in starts],
            "product/service": [service for service, *_ in services],
            "product/compartmentId": [compartments[place] for place in places],
            "product/compartmentName": places,
            "product/region": choose.choices(REGIONS, k=self.rows),
            "product/availabilityDomain": [f"AD-{1 + n % 3}" for n in rows],
            "product/resourceId": choose.choices(pool, k=self.rows),
            "usage/billedQuantity": [f"{q // 1000}.{q % 1000:03}" for q in quantities],
            "usage/billedQuantityOverage": [""] * self.rows,
            "cost/subscriptionId": [f"SUB-{self.number % 7}"] * self.rows,
            "cost/productSku": [sku for _, sku, *_ in services],
            "product/Description": [description for _, _, description, _ in services],
            "cost/unitPrice": ["0.0255"] * self.rows,
            "cost/unitPriceOverage": ["0"] * self.rows,
            "cost/myCost": [
                f"{'-' if is_correction else ''}{q // 10**6}.{q % 10**6:06}{n % 10**6:06}"
                for n, (q, is_correction) in enumerate(zip(quantities, corrections, strict=True))
            ],
            "cost/myCostOverage": [""] * self.rows,
            "cost/currencyCode": ["USD"] * self.rows,
            "cost/billingUnitReadable": [unit for *_, unit in services],
            "cost/skuUnitDescription": [unit for *_, unit in services],
            "cost/overageFlag": ["N"] * self.rows,
            "lineItem/isCorrection": [str(c).lower() for c in corrections],
            "lineItem/backreferenceNo": [self._corrected(n) if c else "" for n, c in
                                         enumerate(corrections)],
            "cost/attributedCost": ["0.5"] * self.rows,
            "usage/attributedUsage": ["1E-7"] * self.rows,
            "product/availabilityZone": [f"zone {n % 2}" for n in rows],
            **self._tags(choose),
        }  # fmt: skip
        return {name: values for name, values in columns.items() if not self._lacks(name)}

    def _corrected(self, row: int) -> str:
        """The line of the report before that a row corrects."""
        return Report(self.number - 1, self.created, self.rows).reference(row)

    def _tags(self, choose: random.Random) -> dict[str, list[str]]:
        people = [f"oracleidentitycloudservice/person.{n}@example.com" for n in range(40)]
        days = [_minute(FIRST_DAY - timedelta(days=7 * n)) for n in range(30)]
        tags = {
            "tags/Oracle-Tags.CreatedBy": choose.choices([*people, ""], k=self.rows),
            "tags/Oracle-Tags.CreatedOn": choose.choices([*days, ""], k=self.rows),
            "tags/orcl-cloud.free-tier-retained": ["" if n % 5 else "true"
                                                   for n in range(self.rows)],
        }  # fmt: skip
        if self.number % 2 == 0:
            tags["tags/Finance.team"] = choose.choices(TEAMS, k=self.rows)
        if self.number % 3 == 0:
            tags["tags/OKEclusterName"] = choose.choices(CLUSTERS, k=self.rows)
        return tags

    def _lacks(self, name: str) -> bool:
        first = {
            "lineItem/isCorrection": CORRECTIONS_FROM_DAY,
            "lineItem/backreferenceNo": CORRECTIONS_FROM_DAY,
            "cost/attributedCost": ATTRIBUTED_FROM_DAY,
            "usage/attributedUsage": ATTRIBUTED_FROM_DAY,
            "cost/skuUnitDescription": SKU_UNIT_FROM_DAY,
            "product/availabilityZone": NEW_COLUMN_FROM_DAY,
        }
        gone = name == "cost/billingUnitReadable" and self.day >= READABLE_UNIT_UNTIL_DAY
        return gone or self.day < first.get(name, 0)

    def _focus_columns(self) -> dict[str, list[Any]]:
        cost = self._cost_columns()
        month = FIRST_DAY.replace(day=1)
        columns: dict[str, list[Any]] = {name: [""] * self.rows for name in FOCUS_COLUMNS}
        columns |= {
            "AvailabilityZone": cost["product/availabilityDomain"],
            "BilledCost": cost["cost/myCost"],
            "BillingAccountId": cost["lineItem/tenantId"],
            "BillingCurrency": cost["cost/currencyCode"],
            "BillingPeriodStart": [_minute(month)] * self.rows,
            "BillingPeriodEnd": [_minute(month + timedelta(days=31))] * self.rows,
            "ChargeDescription": cost["product/Description"],
            "ChargePeriodStart": cost["lineItem/intervalUsageStart"],
            "ChargePeriodEnd": cost["lineItem/intervalUsageEnd"],
            "PricingQuantity": cost["usage/billedQuantity"],
            "Provider": ["Oracle"] * self.rows,
            "Region": cost["product/region"],
            "ResourceId": cost["product/resourceId"],
            "ServiceName": cost["product/service"],
            "Tags": self._focus_tags(),
            "oci_ReferenceNumber": cost["lineItem/referenceNo"],
            "oci_CompartmentName": cost["product/compartmentName"],
        }
        if self.day >= NEW_COLUMN_FROM_DAY:
            columns["InvoiceId"] = [f"INV-{self.number}"] * self.rows
        return columns

    def _focus_tags(self) -> list[str]:
        choose = random.Random(self.number)  # noqa: S311 - nothing secret
        teams = choose.choices(TEAMS, k=self.rows)
        return [json.dumps({"Finance.team": team}) if team else "" for team in teams]


def compressed(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """A header and rows as gzip-compressed CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def _ocid(kind: str, choose: random.Random) -> str:
    unique = base64.b32encode(choose.randbytes(35)).decode().lower()
    return f"ocid1.{kind}.oc1.iad.{unique}"


NOT_IN_USAGE = {
    "product/Description",
    "usage/billedQuantityOverage",
    "usage/attributedUsage",
    "product/availabilityZone",
}
FOCUS_HEADER = (
    "AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType "
    "BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeDescription "
    "ChargeFrequency ChargePeriodEnd ChargePeriodStart ChargeSubcategory "
    "CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName "
    "CommitmentDiscountType EffectiveCost InvoiceIssuer ListCost ListUnitPrice PricingCategory "
    "PricingQuantity PricingUnit Provider Publisher Region ResourceId ResourceName ResourceType "
    "ServiceCategory ServiceName SkuId SkuPriceId SubAccountId SubAccountName Tags UsageQuantity "
    "UsageUnit oci_ReferenceNumber oci_CompartmentId oci_CompartmentName oci_OverageFlag "
    "oci_UnitPriceOverage oci_BilledQuantityOverage oci_CostOverage oci_AttributedUsage "
    "oci_AttributedCost oci_BackReferenceNumber"
)
FOCUS_COLUMNS = FOCUS_HEADER.split()
