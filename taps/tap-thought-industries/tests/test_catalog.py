"""The discovered catalog is committed, so that a change of schema shows in review.

After a change that is meant, write it anew: `CATALOGS=write python -m pytest` with this file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_thought_industries import schemas
from tap_thought_industries.tap import TapThoughtIndustries

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-thought-industries.json"


def test_discovers_what_was_reviewed() -> None:
    """Without any setting: the schemas are static."""
    tap = TapThoughtIndustries(config={}, validate_config=False)
    found = json.loads(tap.catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())


def test_every_property_is_described() -> None:
    folder = Path(str(schemas.__file__)).parent
    names = set()
    for path in folder.glob("*.json"):
        names.add(path.stem)
        for name, schema in json.loads(path.read_text())["properties"].items():
            assert schema.get("description"), f"{path.stem}.{name}"

    assert names == set(TapThoughtIndustries(config={}, validate_config=False).streams)
