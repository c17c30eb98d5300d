"""What is tried again, how long a wait is, and how a refusal reads: over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from requests.auth import AuthBase
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.vendors.server import serve
from sandbox.vendors.vendor import Vendor
from tapsupport.errors import TapError
from tapsupport.http import HttpSession, RetriableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from starlette.requests import Request


class Harbour(Vendor):
    name = "harbour"

    def routes(self) -> list[Route]:
        return [Route("/boats", self.boats, methods=["GET", "POST"])]

    async def boats(self, _: Request) -> Response:
        return JSONResponse({"boats": list(range(self.size))})


@pytest.fixture
def harbour() -> Harbour:
    return Harbour(size=1000)


@pytest.fixture
def http(harbour: Harbour) -> Iterator[HttpSession]:
    with serve(harbour) as url:
        yield HttpSession(url, "Harbour", "token", tries=3)


def test_an_answer_comes_as_it_is(http: HttpSession) -> None:
    assert len(http.get("/boats").json()["boats"]) == 1000


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(
    http: HttpSession, harbour: Harbour, naps: list[float], status: int
) -> None:
    harbour.faults.add(status=status, times=2)

    assert http.get("/boats").status_code == 200
    assert len(naps) == 2
    assert 1 <= naps[0] < naps[1] + 1


def test_it_waits_as_long_as_the_server_asks(
    http: HttpSession, harbour: Harbour, naps: list[float]
) -> None:
    """In seconds, or until a moment."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    harbour.faults.add(status=429, headers={"Retry-After": "7"})
    harbour.faults.add(status=429, headers={"Retry-After": later})

    http.get("/boats")

    assert naps == [7, pytest.approx(90, abs=5)]


def test_a_connection_that_breaks_is_tried_again(
    http: HttpSession, harbour: Harbour, naps: list[float]
) -> None:
    """In the middle of a body, and before the first byte of it."""
    harbour.faults.add(cut_after=100)
    harbour.faults.add(cut_after=0)

    assert len(http.get("/boats").json()["boats"]) == 1000
    assert len(naps) == 2


def test_tries_are_bounded(http: HttpSession, harbour: Harbour, naps: list[float]) -> None:
    harbour.faults.add(status=503, times=9, body='{"message": "maintenance until noon"}')

    with pytest.raises(
        RetriableError,
        match=r"^Harbour: GET /boats answered 503 Service Unavailable: maintenance until noon\.",
    ):
        http.get("/boats")

    assert len(harbour.requests) == 3
    assert len(naps) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_setting(http: HttpSession, harbour: Harbour, status: int) -> None:
    harbour.faults.add(status=status)

    with pytest.raises(TapError, match=rf"answered {status} .*Check token\.$"):
        http.get("/boats")

    assert len(harbour.requests) == 1


def test_what_is_not_understood_fails_at_once(http: HttpSession, harbour: Harbour) -> None:
    harbour.faults.add(status=422, body='{"error": {"message": "no such boat"}}')

    with pytest.raises(TapError, match=r"POST /boats answered 422 .*: no such boat\. Check"):
        http.post("/boats", params={"token": "secret"})

    assert len(harbour.requests) == 1


def test_the_caller_knows_what_else_may_pass(
    http: HttpSession, harbour: Harbour, naps: list[float]
) -> None:
    harbour.faults.add(status=400, body='{"message": "not yet"}')
    harbour.faults.add(status=404)

    found = http.request("GET", "/boats", accept=(404,), retry=lambda r: r.status_code == 400)

    assert found.status_code == 404
    assert len(naps) == 1


def test_a_server_that_is_not_there_reads_as_a_sentence(naps: list[float]) -> None:
    http = HttpSession("http://127.0.0.1:9", "Harbour", "token", tries=2)

    with pytest.raises(RetriableError, match=r"^Harbour: GET /boats got no whole answer"):
        http.get("/boats", params={"token": "secret"})

    assert len(naps) == 1


class Key(AuthBase):
    """Puts a text of the user's into a header."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["apikey"] = self.text
        return request


@pytest.mark.parametrize("key", ["hush\n", "hush\u2603"])
def test_a_key_that_no_header_can_hold_is_not_shown(http: HttpSession, key: str) -> None:
    http.auth = Key(key)

    with pytest.raises(TapError, match=r"could not be sent .*Check ") as caught:
        http.get("/boats")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("address", ["harbour.example", "http://[::1", "gopher://harbour.example"])
def test_an_address_that_is_none_reads_as_a_sentence(http: HttpSession, address: str) -> None:
    http.base_url = address

    with pytest.raises(TapError, match=r"could not be sent .* the address in the settings"):
        http.get("/boats")
