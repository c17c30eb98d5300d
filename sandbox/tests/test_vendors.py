"""What every vendor's stand-in has: its place on the one server, faults, the log of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.vendors import server
from sandbox.vendors.server import serve
from sandbox.vendors.vendor import Seen, Vendor

if TYPE_CHECKING:
    from starlette.requests import Request


class Harbour(Vendor):
    name = "harbour"

    def routes(self) -> list[Route]:
        return [Route("/v1/boats", self.boats)]

    async def boats(self, request: Request) -> Response:
        return JSONResponse({"next": str(request.url_for("boats")), "boats": self.size})


def test_a_vendor_answers_at_the_root_of_its_own_server() -> None:
    harbour = Harbour(size=7)
    with serve(harbour) as url:
        found = requests.get(f"{url}/v1/boats", params={"page": 2}, timeout=5).json()

        assert found == {"next": f"{url}/v1/boats", "boats": 7}
        assert harbour.requests == [Seen("GET", "/v1/boats", "page=2")]


def test_on_the_sandboxs_server_it_answers_below_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the addresses that it gives out, and its faults."""
    monkeypatch.setattr(server, "VENDORS", (Harbour,))
    with serve(server.all_vendors()) as url:
        mine = f"{url}/harbour"
        assert requests.get(f"{url}/sandbox/health", timeout=5).json() == {"vendors": ["harbour"]}
        assert requests.get(f"{mine}/v1/boats", timeout=5).json()["next"] == f"{mine}/v1/boats"

        fault = {"path": "boats", "status": 429, "headers": {"Retry-After": "3"}, "skip": 1}
        requests.post(f"{mine}/sandbox/faults", json=fault, timeout=5).raise_for_status()
        statuses = [requests.get(f"{mine}/v1/boats", timeout=5).status_code for _ in range(3)]
        assert statuses == [200, 429, 200]


def test_a_fault_can_break_the_connection() -> None:
    harbour = Harbour()
    harbour.faults.add(cut_after=5)
    with serve(harbour) as url:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(f"{url}/v1/boats", timeout=5)
        assert requests.get(f"{url}/v1/boats", timeout=5).ok


def test_an_unknown_fault_is_refused_and_faults_can_be_cleared() -> None:
    with serve(Harbour()) as url:
        faults = f"{url}/sandbox/faults"
        assert requests.post(faults, json={"explode": 1}, timeout=5).status_code == 400
        assert len(requests.post(faults, json={"status": 500}, timeout=5).json()) == 1
        assert requests.delete(faults, timeout=5).json() == []
        assert requests.get(f"{url}/v1/boats", timeout=5).ok
