"""A stand-in of Zendesk for each test, and the tap on one of its accounts."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.zendesk import Zendesk
from tap_zendesk.tap import TapZendesk
from tapsupport.testing import SyncResult, run_tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.vendors.zendesk import Tenant

FAST = 1_000_000  # requests a minute, so that limits play no part


@cache
def discovered(settings: str) -> str:
    """The catalog as JSON text; the same settings give the same one."""
    return TapZendesk(config={"subdomain": "any", **json.loads(settings)}).catalog_json_text


def catalog_of(*names: str, **settings: Any) -> dict[str, Any]:
    """A catalog that selects these streams alone."""
    catalog: dict[str, Any] = json.loads(discovered(json.dumps(settings)))
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = entry["tap_stream_id"] in names
    return catalog


@dataclass
class Source:
    """The stand-in, its address, the sleeps wanted so far, and the account that the tap reads."""

    zendesk: Zendesk
    url: str
    naps: list[float]
    subdomain: str = "tributary"

    @property
    def tenant(self) -> Tenant:
        return self.zendesk.tenants[self.subdomain]

    def config(self, **settings: Any) -> dict[str, Any]:
        access = self.tenant.access
        login = {"client_id": access.client_id, "client_secret": access.client_secret}
        if settings.keys() & {"api_token", "access_token"}:
            login = {}
        return {
            "subdomain": self.subdomain,
            "api_url": f"{self.url}/{{subdomain}}",
            "export_requests_per_minute": FAST,
            **login,
            **settings,
        }

    def catalog(self, *names: str, **settings: Any) -> dict[str, Any]:
        return catalog_of(*names, **settings)

    def sync(self, *names: str, state: dict[str, Any] | None = None, **settings: Any) -> SyncResult:
        """Run the tap with these streams, or those that are selected by default."""
        private = {k: v for k, v in settings.items() if k.startswith(("hash", "drop", "exclude"))}
        catalog = catalog_of(*names, **private) if names else None
        return run_tap(TapZendesk, self.config(**settings), state=state, catalog=catalog)


@pytest.fixture
def open_source(naps: list[float]) -> Iterator[Callable[..., Source]]:
    """Open a stand-in with so many tickets; nobody sleeps."""
    with ExitStack() as stack:

        def open_(size: int = 12, **options: Any) -> Source:
            zendesk = Zendesk(size, **{"per_minute": FAST, "exports": FAST, **options})
            return Source(zendesk, stack.enter_context(serve(zendesk)), naps)

        yield open_


@pytest.fixture
def make_source(naps: list[float]) -> Callable[[Zendesk, str], Source]:
    """The tap on a stand-in that runs already."""
    return lambda zendesk, url: Source(zendesk, url, naps)


@pytest.fixture
def source(open_source: Callable[..., Source]) -> Source:
    return open_source()
