"""What the tap does with each answer, over HTTP: pages, refusals, faults, other shapes."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from singer_sdk.exceptions import ConfigValidationError
from starlette.applications import Starlette
from starlette.routing import Mount

from sandbox.vendors.server import serve
from sandbox.vendors.zengrc import PASSWORD, ZenGRC
from tap_zengrc.tap import TapZenGRC
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Source


def ids(records: list[dict[str, Any]]) -> list[int]:
    return [record["id"] for record in records]


@pytest.mark.parametrize(
    "link",
    [
        lambda path, _: path,
        lambda path, origin: origin + path,
        lambda path, _: path.removeprefix("/api/v2"),
        lambda path, _: path[path.index("?") :],
        lambda path, origin: origin.removeprefix("http:") + path,
    ],
    ids=["root-relative", "absolute", "without the API's path", "query", "without scheme"],
)
def test_follows_links_of_any_form(source: Source, link: Callable[[str, str], str]) -> None:
    """The sheet says root-relative with the API's path; nobody has seen a live answer."""
    source.vendor.link = link

    found = source.sync("requests").records("requests")

    assert ids(found) == ids(source.read("requests"))
    assert len(source.vendor.seen("/api/v2/requests")) == 7


def test_follows_links_below_a_path(source: Source) -> None:
    """A base URL may have a path before the API's own, as the sandbox's has, and a slash behind."""
    with serve(Starlette(routes=[Mount("/zengrc", source.vendor)])) as url:
        found = source.sync("requests", base_url=f"{url}/zengrc/api/v2/").records("requests")
        source.vendor.link = lambda path, origin: origin + path
        again = source.sync("requests", base_url=f"{url}/zengrc/api/v2").records("requests")

    assert ids(found) == ids(again) == ids(source.read("requests"))


@given(count=st.integers(0, 12), page=st.integers(1, 5))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_object_comes_once(source: Source, count: int, page: int) -> None:
    source.vendor.page_size = page
    source.vendor.objects["risks"] = [{"id": number} for number in range(count)]

    found = source.sync("risks").records("risks")

    assert ids(found) == list(range(count))


@pytest.mark.parametrize("next_page", [{}, {"next": None}, {"next": {}}, {"next": {"href": ""}}])
def test_a_list_ends_without_a_link(source: Source, next_page: dict[str, Any]) -> None:
    body = json.dumps({"data": [{"id": 7}], "links": next_page})
    source.vendor.faults.add(path="/risks", status=200, body=body)

    assert ids(source.sync("risks").records("risks")) == [7]
    assert len(source.vendor.seen("/risks")) == 1


def test_an_empty_page_is_not_the_end(source: Source) -> None:
    """The link says whether there is more, not the number of objects."""
    link = {"next": {"href": "/api/v2/risks"}}
    source.vendor.faults.add(
        path="/risks?some_page", status=200, body=json.dumps({"data": [], "links": link})
    )
    source.vendor.parameters.add("some_page")

    found = source.sync("risks", list_parameters={"some_page": "1"}).records("risks")

    assert ids(found) == ids(source.read("risks"))


@pytest.mark.parametrize("loop", [1, 2, 5])
def test_links_in_a_circle_are_an_error(source: Source, loop: int) -> None:
    """Of any length, and back to the first page too."""
    for number in range(loop):
        target = f"/api/v2/risks?some_cursor={number + 1}" if number + 1 < loop else "/api/v2/risks"
        body = json.dumps({"data": [{"id": number}], "links": {"next": {"href": target}}})
        source.vendor.faults.add(path="/risks", status=200, body=body)

    with pytest.raises(TapError, match="a page that was read already"):
        source.sync("risks")
    assert len(source.vendor.seen("/risks")) == loop


def test_the_key_never_goes_to_another_server(source: Source) -> None:
    elsewhere = ZenGRC(size=1)
    with serve(elsewhere) as url:
        source.vendor.link = lambda path, _: url + path
        with pytest.raises(TapError, match="is not where base_url leads"):
            source.sync("requests")
        source.vendor.faults.add(status=302, headers={"Location": f"{url}/api/v2/requests"})
        with pytest.raises(TapError, match="GET /api/v2/requests answered 302"):
            source.sync("requests")

    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html>log in</html>", "not JSON"),
        ('{"data": ' + "[" * 100_000, "not JSON"),
        ('{"data": [{"id": ' + "9" * 5000 + "}]}", "not JSON"),
        (
            '{"data": [{"id": 7, "title": "\\ud83d cut off"}]}',
            "risks: object 7 holds text with half",
        ),
        ("[]", "without the list `data`"),
        ("{}", "without the list `data`"),
        ('{"data": {"id": 1}}', "without the list `data`"),
        ('{"data": null}', "without the list `data`"),
        ('{"data": [7]}', "without a whole number as `id`"),
        ('{"data": [{"title": "Confidential"}]}', "without a whole number as `id`"),
        ('{"data": [{"id": true}]}', "without a whole number as `id`"),
        ('{"data": [], "links": {"next": {"href": 7}}}', "is no text"),
        ('{"data": [], "links": [7]}', "is no text"),
        ('{"data": [], "links": {"next": {"href": "http://[x"}}}', "is no URL"),
        ('{"data": [], "links": {"next": {"href": "http://x:y/"}}}', "is no URL"),
    ],
)
def test_a_page_of_another_shape_is_an_error(source: Source, body: str, said: str) -> None:
    """Never an empty page; and nothing of the page stands in the message."""
    source.vendor.faults.add(status=200, body=body)

    with pytest.raises(TapError, match=said) as caught:
        source.sync("risks")
    assert "Confidential" not in str(caught.value)


def test_a_link_may_be_the_text_itself(source: Source) -> None:
    body = json.dumps({"data": [], "links": {"next": "/api/v2/risks?some_cursor="}})
    source.vendor.faults.add(status=200, body=body)
    source.vendor.faults.add(status=200, body='{"data": [{"id": 1}]}')

    assert ids(source.sync("risks").records("risks")) == [1]


def test_a_refused_key_is_an_error_at_once(source: Source) -> None:
    with pytest.raises(TapError, match=r"answered 401.*Check username and password") as caught:
        source.sync("requests", password="wrong-and-secret")

    assert len(source.vendor.requests) == 1
    assert "wrong-and-secret" not in str(caught.value)


@pytest.mark.parametrize(("refusal", "said"), [("forbidden", "403"), ("unlicensed", "404")])
def test_a_list_that_may_not_be_read_can_be_left_out(
    source: Source, refusal: str, said: str
) -> None:
    """The error names the stream, and the others can still be loaded without it."""
    getattr(source.vendor, refusal).add("people")

    with pytest.raises(TapError, match=f"{said}.*do not select people"):
        source.sync("people")
    assert len(source.vendor.requests) == 1
    assert source.sync("risks").records("risks")


def test_a_bad_parameter_is_an_error(source: Source) -> None:
    with pytest.raises(TapError, match=r"answered 400 Bad Request: Unknown parameter limit\."):
        source.sync("risks", list_parameters={"limit": "5"})


def test_list_parameters_go_with_the_first_page_only(source: Source) -> None:
    """A link has all that the server needs."""
    source.vendor.parameters.add("limit")

    source.sync("requests", list_parameters={"limit": "5"})

    queries = [request.query for request in source.vendor.requests]
    assert queries[0] == "limit=5"
    assert not any("limit" in query for query in queries[1:])


def test_waits_as_long_as_the_server_asks(source: Source, naps: list[float]) -> None:
    source.vendor.faults.add(status=429, headers={"Retry-After": "17"})

    found = source.sync("requests").records("requests")

    assert naps == [17]
    assert ids(found) == ids(source.read("requests"))


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 503}, {"status": 429}, {"cut_after": 20}]
)
def test_a_fault_in_mid_list_costs_nothing(
    source: Source, naps: list[float], fault: dict[str, int]
) -> None:
    source.vendor.faults.add(path="/requests", skip=3, times=2, **fault)

    found = source.sync("requests").records("requests")

    assert ids(found) == ids(source.read("requests"))
    assert len(naps) == 2


def test_a_hanging_server_is_asked_again(source: Source, naps: list[float]) -> None:
    source.vendor.faults.add(delay_seconds=0.6)

    found = source.sync("risks", timeout_seconds=0.2).records("risks")

    assert ids(found) == ids(source.read("risks"))
    assert len(naps) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut_after": 0}])
def test_gives_up_in_the_end(source: Source, naps: list[float], fault: dict[str, int]) -> None:
    """And leaves a state by which the next run sends everything."""
    source.vendor.faults.add(path="/risks", times=100, **fault)

    with pytest.raises(TapError, match="Run again later"):
        source.sync("risks")
    assert len(source.vendor.requests) == 6
    assert max(naps) <= 61


def test_pauses_between_pages_if_asked_to(source: Source, naps: list[float]) -> None:
    source.sync("requests", page_delay_seconds=1.5)

    assert naps == [1.5] * 6


def test_stops_between_two_pages(source: Source) -> None:
    """SIGTERM leaves whole lines, and exit code 143."""
    tap = TapZenGRC(config=source.config())
    tap._handle_termination(signal.SIGTERM, None)

    with pytest.raises(SystemExit) as caught:
        tap.sync_all()
    assert caught.value.code == 143
    assert source.vendor.requests == []


def test_discovery_needs_no_settings() -> None:
    assert len(TapZenGRC(config={}, validate_config=False).catalog_dict["streams"]) == 11


@pytest.mark.parametrize("url", [None, "", "acme.api.zengrc.com"])
def test_without_an_address_nothing_is_asked(source: Source, url: str | None) -> None:
    with pytest.raises(TapError, match="give base_url"):
        source.sync("risks", base_url=url)


def test_the_address_can_be_made_of_the_subdomain(source: Source) -> None:
    tap = TapZenGRC(config=source.config(base_url="", subdomain="acme"))

    assert tap.base_url == "https://acme.api.zengrc.com/api/v2"


@pytest.mark.parametrize(
    "subdomain", ["evil.example/", "evil.example#", "a@evil.example:1/x?", "a b"]
)
def test_a_subdomain_is_no_way_to_another_host(source: Source, subdomain: str) -> None:
    """The key would go there."""
    with pytest.raises(TapError, match="subdomain, such as acme"):
        source.sync("risks", base_url=None, subdomain=subdomain)


@pytest.mark.parametrize(
    "setting", [{"page_delay_seconds": -1}, {"timeout_seconds": 0}, {"max_remembered": -1}]
)
def test_a_setting_out_of_range_fails_before_the_first_request(
    source: Source, setting: dict[str, int]
) -> None:
    with pytest.raises(ConfigValidationError):
        TapZenGRC(config=source.config(**setting))


def test_missing_credentials_are_named() -> None:
    with pytest.raises(ConfigValidationError) as caught:
        TapZenGRC(config={"base_url": "http://127.0.0.1"})
    assert {"username", "password"} <= set(" ".join(caught.value.errors).split("'"))


def test_a_key_of_any_letters_is_sent_as_utf_8(source: Source) -> None:
    with pytest.raises(TapError, match="401"):
        source.sync("risks", username="kłucz")


def test_the_secret_is_never_shown(
    source: Source,
    naps: list[float],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither by the log, with every message of it, nor by what is sent."""
    caplog.set_level("DEBUG")
    source.vendor.faults.add(status=500, body=f"you said {PASSWORD}")
    source.vendor.faults.add(cut_after=3)

    result = source.sync()

    assert naps
    assert PASSWORD not in caplog.text + json.dumps(result.messages, default=str)
    TapZenGRC.print_about(output_format="json")
    assert PASSWORD not in capsys.readouterr().out
