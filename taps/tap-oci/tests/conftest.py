"""A stand-in for Oracle Cloud, the tap's settings for it, and what its rows must become."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.oci_reports import FINGERPRINT, OCI, TENANCY, USER, write_key
from sandbox.vendors.server import serve
from tap_oci.columns import column_name
from tap_oci.tap import TapOCI
from tapsupport.testing import SyncResult, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from sandbox.vendors.oci_reports import StoredObject


@dataclass
class Oracle:
    """The vendor, and how to reach it."""

    vendor: OCI
    config: dict[str, Any]

    def sync(self, *streams: str, state: dict[str, Any] | None = None, **config: Any) -> SyncResult:
        """Run the tap; of all streams, or of some."""
        settings = self.config | config
        catalog = selecting(settings, *streams) if streams else None
        return run_tap(TapOCI, settings, state=state, catalog=catalog)

    def reads(self) -> list[str]:
        """Names of the objects that were read, without their folder."""
        return [s.path.rpartition("/")[2] for s in self.vendor.requests if s.path.endswith("gz")]

    def properties(self, stream: str) -> dict[str, Any]:
        properties: dict[str, Any] = TapOCI(config=self.config).streams[stream].schema["properties"]
        return properties

    def expected(self, stream: str, prefix: str) -> list[dict[str, Any]]:
        """The rows of every file below a prefix, read by the standard library alone."""
        properties = self.properties(stream)
        files = [
            self.vendor.objects[n] for n in sorted(self.vendor.objects) if n.startswith(prefix)
        ]
        return [row for file in files for row in expected(file, properties)]

    def compared(self, stream: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Rows that were sent, or stand in a table, in the form of `expected`, without NULLs."""
        properties = self.properties(stream)
        found = [{n: converted(v, properties.get(n, {})) for n, v in row.items()} for row in rows]
        return [without_nulls(row) for row in found]


def without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def selecting(config: dict[str, Any], *streams: str) -> dict[str, Any]:
    catalog = TapOCI(config=config).catalog_dict
    entries = catalog["streams"]
    for entry in entries:
        root = next(m for m in entry["metadata"] if not m["breadcrumb"])
        root["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return dict(catalog)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("oci") / "key.pem"
    write_key(path)
    return path


@pytest.fixture
def oracle(key_file: Path) -> Iterator[Oracle]:
    """Eight days of reports; the last cost report has two parts."""
    vendor = OCI(size=20, days=8)
    with serve(vendor) as url:
        config = {
            "tenancy": TENANCY,
            "user": USER,
            "fingerprint": FINGERPRINT,
            "key_file": str(key_file),
            "service_endpoint": url,
            "max_pending_files": 100,
        }
        yield Oracle(vendor, config)


def expected(stored: StoredObject, properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a file, with the stream's columns."""
    text = io.StringIO(gzip.decompress(stored.body).decode(), newline="")
    rows = []
    for number, found in enumerate(csv.DictReader(text), 1):
        row: dict[str, Any] = dict.fromkeys(properties)
        tags = {}
        for header, value in found.items():
            if header.startswith("tags/") and value:
                tags[header.removeprefix("tags/")] = value
            elif not header.startswith("tags/"):
                name = column_name(header)
                row[name] = converted(value, properties.get(name, {}))
        row["tags"] = tags or row["tags"]
        row |= {"file_name": stored.name, "line_number": number}
        row |= {"file_created_at": stored.created, "file_size_bytes": len(stored.body)}
        rows.append(without_nulls(row))
    return rows


def converted(value: Any, definition: Mapping[str, Any]) -> Any:
    """A value as it is compared: exact numbers, moments, parsed JSON, text."""
    if value in ("", None):
        return None
    if "x-sql-datatype" in definition:
        return Decimal(str(value))
    if definition.get("format") == "date-time":
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if "object" in definition.get("type", ()):
        return json.loads(value) if isinstance(value, str) else value
    return value
