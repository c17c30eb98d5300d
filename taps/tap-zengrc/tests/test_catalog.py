"""The discovered catalog is committed, so that a change of schema shows in review.

After a change that is meant, write it anew: `CATALOGS=write make test ARGS=taps/tap-zengrc`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_zengrc.streams import NAMES
from tap_zengrc.tap import TapZenGRC

ROOT = Path(__file__).parents[3]
CATALOG = ROOT / "tests" / "catalogs" / "tap-zengrc.json"


def test_discovers_what_was_reviewed() -> None:
    tap = TapZenGRC(config={"personal_columns": True}, validate_config=False)
    found = json.loads(tap.catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())


def test_every_stream_has_a_schema_and_every_schema_a_stream() -> None:
    schemas = (ROOT / "taps" / "tap-zengrc" / "tap_zengrc" / "schemas").glob("*.json")

    assert {path.stem for path in schemas} == set(NAMES)
