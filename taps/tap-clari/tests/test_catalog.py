"""The discovered catalog is committed, so that a change of schema shows in review.

After a change that is meant, write it anew: `CATALOGS=write make test ARGS=taps/tap-clari`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_clari.tap import TapClari

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-clari.json"


def test_discovers_what_was_reviewed() -> None:
    """All streams, without a credential."""
    tap = TapClari(config={"keep_snapshots": True}, validate_config=False)
    found = json.loads(tap.catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())


def test_every_property_is_described() -> None:
    tap = TapClari(config={"keep_snapshots": True}, validate_config=False)

    undescribed = {
        (name, column)
        for name, stream in tap.streams.items()
        for column, definition in stream.schema["properties"].items()
        if not definition.get("description")
    }
    assert undescribed == set()
