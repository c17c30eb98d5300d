"""The discovered catalog is committed, so that a change of schema shows in review.

After a change that is meant, write it anew: `CATALOGS=write make test ARGS=taps/tap-oci`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_oci.tap import TapOCI

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-oci.json"


def test_discovers_what_was_reviewed_without_a_credential() -> None:
    found = json.loads(TapOCI(config={}).catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())
