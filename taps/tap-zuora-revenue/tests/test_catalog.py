"""The discovered catalog is committed, so that a change shows in review.

After a change that is meant, write it anew: `CATALOGS=write pytest <this file>`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_zuora_revenue.tap import TapZuoraRevenue

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-zuora-revenue.json"
# How many columns the fact sheet lists; 1 where it knows the update stamp only.
COLUMNS = {
    "BI3_ACCT_TYPE": 27, "BI3_APPR_DTL": 45, "BI3_BOOK": 25, "BI3_CALENDAR": 17,
    "BI3_LN_ACCT_SUMM": 1, "BI3_MJE": 102, "BI3_ORG": 12, "BI3_RC_BILL": 196, "BI3_RC_HEAD": 79,
    "BI3_RC_HOLD": 58, "BI3_RC_LN_COST": 1, "BI3_RC_LNS": 337, "BI3_RC_POB": 99,
    "BI3_RC_SCHD": 85, "BI3_RC_SCHD_DEL": 8, "BI3_RI_ACCT_SUMM": 9, "BI3_WF_SUMM": 22,
}  # fmt: skip


def test_discovery_without_credentials_offers_what_was_reviewed() -> None:
    tap = TapZuoraRevenue(config={"api_url": "http://localhost"})
    found = json.loads(tap.catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())
    streams = {stream["tap_stream_id"]: stream for stream in found["streams"]}
    assert {n: len(s["schema"]["properties"]) for n, s in streams.items()} == COLUMNS
    selected = {name for name, stream in tap.streams.items() if stream.selected}
    assert set(COLUMNS) - selected == {"BI3_WF_SUMM", "BI3_LN_ACCT_SUMM"}
    assert all(
        p["description"] for s in streams.values() for p in s["schema"]["properties"].values()
    )
