"""A stand-in of Xactly for each test, and the tap on it by either way in."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.xactly import CLIENT_ID, CONSUMER, PASSWORD, USERNAME, Xactly
from sandbox.vendors.xactly_java import Java
from tap_xactly.tap import TapXactly
from tapsupport.errors import TapError
from tapsupport.testing import SyncResult, parse_messages, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# The settings that change what is discovered.
SHAPING = ("keys", "extra_columns", "full_reload", "text_columns", "decimal_scale", "time_zone")


@cache
def static_catalog(settings: str) -> str:
    """The catalog discovered with some settings, which takes a tenth of a second."""
    return TapXactly(config=json.loads(settings)).catalog_json_text


@dataclass
class Source:
    """A stand-in that is being served, and the tap on it."""

    vendor: Xactly
    url: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def config(self, lane: str = "records", **settings: Any) -> dict[str, Any]:
        config = {
            "api_url": f"{self.url}/api",
            "username": USERNAME,
            "password": PASSWORD,
            "client_id": CLIENT_ID,
            "consumer": CONSUMER,
            "max_pending_files": 1000,
        }
        if lane == "arrow":
            storage = {"root": str(self.folder / "batches")}
            config["batch_config"] = {"encoding": {"format": "parquet"}, "storage": storage}
        return config | self.settings | settings

    def catalog(self, *streams: str, method: str | None = None, **settings: Any) -> dict[str, Any]:
        """The discovered catalog with only some streams selected, with another method if asked."""
        config = self.config(**settings)
        shaping = {name: config[name] for name in SHAPING if name in config}
        catalog: dict[str, Any] = json.loads(
            TapXactly(config=config).catalog_json_text
            if config.get("discover_columns")
            else static_catalog(json.dumps(shaping))
        )
        for entry in catalog["streams"]:
            root = next(m for m in entry["metadata"] if m["breadcrumb"] == [])
            root["metadata"]["selected"] = entry["tap_stream_id"] in streams
            if method:
                entry["replication_method"] = method
                entry["replication_key"] = "MODIFIED_DATE" if method == "INCREMENTAL" else None
        return catalog

    def sync(
        self,
        *streams: str,
        lane: str = "records",
        state: dict[str, Any] | None = None,
        catalog: dict[str, Any] | None = None,
        **settings: Any,
    ) -> SyncResult:
        config = self.config(lane, **settings)
        catalog = catalog or self.catalog(*streams, **settings)
        return run_tap(TapXactly, config, state=state, catalog=catalog)

    def fail(self, *streams: str, **options: Any) -> tuple[SyncResult, str]:
        """Run to the error that must come: what was sent before it, and what it says."""
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        state, catalog = options.pop("state", None), options.pop("catalog", None)
        catalog = catalog or self.catalog(*streams, **options)
        tap = TapXactly(config=self.config(**options), state=state, catalog=catalog)
        with redirect_stdout(output), pytest.raises(TapError) as caught:
            tap.sync_all()
        output.flush()
        return parse_messages(output.buffer.getvalue()), str(caught.value)

    def page_once(self, text: str, **fault: Any) -> None:
        """Answer one request for a page of a result with a text of the test's own."""
        self.vendor.faults.add(path="/results/", status=200, body=text, **fault)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """Sixty rows in each table, and pages of 25."""
    vendor = Xactly(60)
    with serve(vendor) as url:
        yield Source(vendor, url, tmp_path, {"result_rows": 25})


@pytest.fixture
def java(source: Source, monkeypatch: pytest.MonkeyPatch) -> Java:
    """The vendor's driver, played on the same data: see `sandbox.vendors.xactly_java`.

    What any JDBC driver shows is tested with a real one, in test_jdbc_driver.py.
    """
    jar = source.folder / "driver.jar"
    jar.write_bytes(b"")
    played = Java(source.vendor, str(jar))
    for name, module in played.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    source.settings |= {"backend": "jdbc", "jdbc_driver_path": str(jar)}
    return played
