"""A stand-in of its own for each test, and the tap on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.zengrc import PASSWORD, USERNAME, ZenGRC
from tap_zengrc.tap import TapZenGRC
from tapsupport.testing import SyncResult, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Source:
    """A stand-in with pages of 3, served below `url`, and the tap on it."""

    vendor: ZenGRC
    url: str

    def config(self, **settings: Any) -> dict[str, Any]:
        base = {"username": USERNAME, "password": PASSWORD, "base_url": f"{self.url}/api/v2"}
        return base | settings

    def sync(self, *only: str, state: dict[str, Any] | None = None, **settings: Any) -> SyncResult:
        """Run the tap on some streams, or all; settings may be given as None to leave them out."""
        config = {k: v for k, v in self.config(**settings).items() if v is not None}
        tap = TapZenGRC(config=config, validate_config=False)
        catalog = tap.catalog_dict if only else None
        for entry in catalog["streams"] if catalog else []:
            entry["metadata"][-1]["metadata"]["selected"] = entry["stream"] in only
        return run_tap(TapZenGRC, config, state=state, catalog=catalog)

    def read(self, name: str) -> list[dict[str, Any]]:
        return self.vendor.objects[name]


@pytest.fixture
def source() -> Iterator[Source]:
    vendor = ZenGRC(size=20)
    vendor.page_size = 3
    with serve(vendor) as url:
        yield Source(vendor, url)
