"""Every vendor that the sandbox stands in for; a new one is its module and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.vendors.adaptive import Adaptive
from sandbox.vendors.clari import Clari
from sandbox.vendors.oci_reports import OCI
from sandbox.vendors.thought_industries import ThoughtIndustries
from sandbox.vendors.xactly import Xactly
from sandbox.vendors.zendesk import Zendesk
from sandbox.vendors.zengrc import ZenGRC
from sandbox.vendors.zuora_revenue import ZuoraRevenue

if TYPE_CHECKING:
    from sandbox.vendors.vendor import Vendor

VENDORS: tuple[type[Vendor], ...] = (
    Adaptive,
    Clari,
    OCI,
    ThoughtIndustries,
    Xactly,
    Zendesk,
    ZenGRC,
    ZuoraRevenue,
)
