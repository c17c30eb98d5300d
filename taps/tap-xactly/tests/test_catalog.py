"""The discovered catalog is committed, so that a change of schema shows in review.

After a change that is meant, write it anew with `CATALOGS=write`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sandbox.vendors.xactly_tables import TABLES
from tap_xactly import schemas
from tap_xactly.tap import TapXactly

CATALOG = Path(__file__).parents[3] / "tests" / "catalogs" / "tap-xactly.json"


def test_tap_xactly_discovers_what_was_reviewed() -> None:
    """Without a credential, since the schema is static."""
    found = json.loads(TapXactly(config={}).catalog_json_text)
    if os.environ.get("CATALOGS") == "write":
        CATALOG.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(CATALOG.read_text())


def test_every_column_of_the_sheet_is_there_and_described() -> None:
    """And every stream has its schema file, and every file its stream."""
    streams = TapXactly(config={}).streams
    files = {path.stem for path in Path(str(schemas.__file__)).parent.glob("*.json")}

    assert set(streams) == files == set(TABLES)
    for table, text in TABLES.items():
        properties = streams[table].schema["properties"]
        assert list(properties) == [column.split()[0] for column in text.split(", ")]
        assert all(definition["description"] for definition in properties.values())
