"""Prints the catalog of singer-io's tap-zendesk, for the Python of its environment.

Its own discovery tries every endpoint first, some of them with a `start_time` of this moment, which
Zendesk is said to refuse and our stand-in does. The catalog here is made of the same schemas.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import singer

from tap_zendesk import streams
from tap_zendesk.discover import load_shared_schema_refs


def entry(stream: streams.Stream, shared: dict[str, object]) -> dict[str, object]:
    """A stream's entry in the catalog."""
    text = Path(streams.get_abs_path(f"schemas/{stream.name}.json")).read_text(encoding="utf-8")
    keys = {"table-key-properties": stream.key_properties, "selected": True}
    return {
        "stream": stream.name,
        "tap_stream_id": stream.name,
        "schema": singer.resolve_schema_references(json.loads(text), shared),
        "metadata": [{"breadcrumb": [], "metadata": keys}],
    }


if __name__ == "__main__":
    refs = load_shared_schema_refs()
    json.dump({"streams": [entry(found, refs) for found in streams.STREAMS.values()]}, sys.stdout)
