"""The discovered catalog is committed, so that a change of schema shows in review.

After a change that is meant, write it anew: `CATALOGS=write make test ARGS=taps/tap-adaptive`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_adaptive.tap import TapAdaptive

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-adaptive.json"


def test_discovers_what_was_reviewed_without_a_credential() -> None:
    tap = TapAdaptive(config={}, validate_config=False)
    found = json.loads(tap.catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())


def test_every_property_has_a_description() -> None:
    for entry in json.loads(CATALOG.read_text())["streams"]:
        for name, definition in entry["schema"]["properties"].items():
            assert definition["description"], (entry["stream"], name)
