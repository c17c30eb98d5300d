"""The BI views: their keys, and the columns that discovery offers ("zuora_revenue.md", section 10).

The columns are those of one tenant's release. A run takes names and order from the file's header.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

REPLICATION_KEY = "INCR_UPDT_DT"
KINDS = {
    "s": "Text.",
    "n": "Number, as the file writes it.",
    "d": "Date and time, as the file writes it.",
    "p": "Accounting period, YYYYMM.",
}


@dataclass(frozen=True)
class View:
    """One BI view.

    Attributes:
        name: As in the API's path, and the stream's name.
        entity: What a row is, in the vendor's words.
        keys: Columns that tell its rows apart; none where no source says.
        selected: Whether it is read unless the catalog says otherwise.
    """

    name: str
    entity: str
    keys: tuple[str, ...]
    selected: bool = True

    def json_schema(self) -> dict[str, Any]:
        """The schema to offer before any file was read: every column nullable text."""
        listed = json.loads(resources.files(__package__).joinpath("columns.json").read_text())
        named = (column.split() for column in listed[self.name])
        properties = {
            name: {"type": ["string", "null"], "description": KINDS[kind]} for name, kind in named
        }
        return {"type": "object", "description": f"{self.entity}.", "properties": properties}


# Those that are long in most tenants first: they decide when a run ends.
VIEWS = (
    View("BI3_RC_SCHD", "Schedules", ("SCHD_ID", "ACCTG_TYPE")),
    View(
        "BI3_RI_ACCT_SUMM",
        "Accounting pre-summary",
        (
            "PRD_ID",
            "LINE_ID",
            "ROOT_LINE_ID",
            "RC_ID",
            "ACCT_TYPE_ID",
            "ACCTG_SEGS",
            "SCHD_TYPE",
        ),
    ),
    View("BI3_RC_LNS", "Lines", ("ID",)),
    View("BI3_RC_BILL", "Bill", ("ID",)),
    View("BI3_RC_POB", "Performance obligations", ("RC_POB_ID",)),
    View("BI3_RC_HEAD", "Header", ("ID",)),
    View("BI3_MJE", "Manual journal entries", ("JE_LINE_ID",)),
    View("BI3_RC_SCHD_DEL", "Deleted schedules", ("SCHD_ID",)),
    View("BI3_RC_HOLD", "Holds", ("RC_HOLD_ID",)),
    View("BI3_APPR_DTL", "Approvals", ("RC_APPR_ID", "APPROVER_SEQUENCE", "APPROVAL_RULE_ID")),
    View("BI3_RC_LN_COST", "Cost", ()),
    View("BI3_ACCT_TYPE", "Account type", ("ID",)),
    View("BI3_BOOK", "Book", ("ID",)),
    View("BI3_CALENDAR", "Calendar and period", ("ID",)),
    View("BI3_ORG", "Org", ("ID",)),
    View("BI3_LN_ACCT_SUMM", "Account summary, derived", (), selected=False),
    View(
        "BI3_WF_SUMM",
        "Waterfall, derived; our SQL view does it better",
        ("AS_OF_PRD_ID", "SCHD_ID", "ACCTG_TYPE_ID"),
        selected=False,
    ),
)
