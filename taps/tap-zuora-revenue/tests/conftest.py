"""A tenant of Zuora Revenue for each test, the tap on it, and the loader behind."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.zuora_revenue import API, ZuoraRevenue
from snowflake_loader.target import TargetSnowflake
from tap_zuora_revenue.tap import TapZuoraRevenue
from tapsupport.testing import SyncResult, parse_messages, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.testing import Warehouse


@cache
def _catalog() -> str:
    return TapZuoraRevenue(config={"api_url": "http://localhost"}).catalog_json_text


@dataclass
class Tenant:
    """The stand-in, where it is served, and what a scheduler keeps between runs: the state."""

    vendor: ZuoraRevenue
    url: str
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    def config(self, **settings: Any) -> dict[str, Any]:
        storage = {"root": str(self.folder / "batches")}
        return {
            "api_url": f"{self.url}{API}",
            "username": self.vendor.username,
            "password": self.vendor.password,
            "page_size": 10,
            "batch_file_pages": 2,
            "max_pending_files": 1000,
            "batch_config": {"encoding": {"format": "parquet"}, "storage": storage},
        } | settings

    def catalog(self, *views: str, **entry: Any) -> dict[str, Any]:
        """A catalog that selects some views, with more keys for their entries."""
        found = json.loads(_catalog())
        for stream in found["streams"]:
            chosen = stream["tap_stream_id"] in views
            root = next(m for m in stream["metadata"] if not m["breadcrumb"])
            root["metadata"]["selected"] = chosen
            stream.update(entry)
        return dict(found)

    def sync(self, *views: str, state: dict[str, Any] | None = None, **settings: Any) -> SyncResult:
        """Run the tap in this process for some views; what it raises is raised here."""
        entry = settings.pop("entry", {})
        config = self.config(**settings)
        catalog = self.catalog(*views, **entry) if views else None
        return run_tap(TapZuoraRevenue, config, state=state, catalog=catalog)

    def fail(
        self, *views: str, state: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[SyncResult, str]:
        """Run the tap, which must fail; what it sent until then, and what it said."""
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        catalog = self.catalog(*views, **settings.pop("entry", {}))
        tap = TapZuoraRevenue(config=self.config(**settings), state=state, catalog=catalog)
        with redirect_stdout(output), pytest.raises(Exception) as caught:  # noqa: PT011 - any
            tap.sync_all()
        output.flush()
        return parse_messages(output.buffer.getvalue()), str(caught.value)

    def pages(self, view: str) -> list[str]:
        """The page numbers asked for, in order."""
        return [
            seen.query.partition("pagenum=")[2].partition("&")[0]
            for seen in self.vendor.requests
            if seen.path == f"{API}/v2/biviews/{view}"
        ]

    def expected(self, view: str) -> list[dict[str, str | None]]:
        """The view's rows as they should arrive."""
        return self.vendor.views[view].dicts()

    @staticmethod
    def sent(result: SyncResult, view: str) -> list[dict[str, Any]]:
        """What was sent, in either lane, by the last version if there were several."""
        versions = [message["version"] for message in result.of_type("ACTIVATE_VERSION", view)]
        messages = [
            message
            for message in result.messages
            if message.get("version", 0) in (0, *versions[-1:]) and message["type"] != "SCHEMA"
        ]
        last = SyncResult(messages)
        if records := last.records(view):
            return records
        return [row for path in last.batches(view) for row in pq.read_table(path).to_pylist()]

    @staticmethod
    def in_order(rows: list[dict[str, Any]]) -> list[list[str]]:
        """Rows without an order, to be compared; null and nothing are alike."""
        return sorted([str(value or "") for value in row.values()] for row in rows)


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    """A tenant with 40 rows in its long views and 4 in most others."""
    vendor = ZuoraRevenue(40)
    vendor.hold_seconds = 0.0
    with serve(vendor) as url:
        yield Tenant(vendor, url, tmp_path)


@pytest.fixture
def clock(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Whenever the tap would sleep, the server's clock goes on; how long, each time."""
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        tenant.vendor.clock.advance(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    return naps


@dataclass
class Loader:
    """The loader on a schema of its own, and the states that it printed last."""

    warehouse: Warehouse
    printed: list[str] = field(default_factory=list)

    def load(self, result: SyncResult) -> dict[str, Any]:
        """Load what the tap sent; the last state that the loader printed."""
        target = TargetSnowflake(config={**self.warehouse.config, "commit_seconds": 0})
        text = "".join(f"{json.dumps(message)}\n" for message in result.messages)
        output = io.StringIO()
        with redirect_stdout(output):
            try:
                target.listen(io.StringIO(text))
            except BaseException:
                target.abandon()
                raise
            finally:
                self.printed = output.getvalue().splitlines()
        return self.state

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.printed[-1]) if self.printed else {}

    def rows(self, view: str) -> list[dict[str, Any]]:
        return self.warehouse.query(f"SELECT * FROM {self.warehouse.schema}.{view}")

    def tables(self) -> set[str]:
        shown = self.warehouse.query(f"SHOW TABLES IN SCHEMA {self.warehouse.schema}")
        return {row["name"] for row in shown if not row["name"].startswith("_")}


@pytest.fixture
def loader(warehouse: Warehouse) -> Loader:
    return Loader(warehouse)
