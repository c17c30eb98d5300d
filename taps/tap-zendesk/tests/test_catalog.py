"""The discovered catalog is committed, so that a change of columns shows in review.

After a change that is meant, write it anew: `CATALOGS=write` before the command of this test.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tap_zendesk import schemas
from tap_zendesk.tap import TapZendesk

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-zendesk.json"


def test_tap_zendesk_discovers_what_was_reviewed() -> None:
    """Without a login: the columns are known."""
    tap = TapZendesk(config={"subdomain": "any"})
    found = json.loads(tap.catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())


def test_every_schema_has_a_stream_and_every_column_a_description() -> None:
    files = list(Path(schemas.__path__[0]).glob("*.json"))
    streams = TapZendesk(config={"subdomain": "any"}).streams

    assert {path.stem for path in files} == set(streams)
    for path in files:
        for column in json.loads(path.read_text())["properties"].values():
            assert column["description"].endswith(".")
