"""What the client makes of each answer that the API, or what stands before it, can give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import ConfigValidationError

from sandbox.vendors.adaptive import PASSWORD, Adaptive, Stalled, csv_answer, failure, success
from sandbox.vendors.server import serve
from tap_adaptive.tap import TapAdaptive
from tapsupport.errors import TapError
from tapsupport.testing import run_tap

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from conftest import Source

GROUP = success('<groups><group id="1" name="A"/></groups>')
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE response ['
    '<!ENTITY a0 "boom">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    + ']><response success="true"><output>&a9;</output></response>'
)
HEADER = "Account Name,Account Code,Level Name,01/2025\n"
REPORT = HEADER + "Net ARR,NetARR,Sales,1\n"


def test_a_wrong_password_is_tried_once(source: Source) -> None:
    """Repeated refusals can lock the user; the answer's status is 200."""
    with pytest.raises(TapError, match=r"refused the login .*Authentication failed") as error:
        source.sync(password="wrong-secret")

    assert "instance_code" in str(error.value)
    assert "wrong-secret" not in str(error.value)
    assert source.vendor.refused_logins == len(source.vendor.requests) == 1


def test_a_wrong_instance_is_a_refused_login(source: Source) -> None:
    source.sync("groups", instance_code="EXAMPLE1")
    with pytest.raises(TapError, match="Check login, password and instance_code"):
        source.sync("groups", instance_code="OTHER")


def test_a_login_that_ends_in_the_middle_of_a_run(source: Source) -> None:
    """Else every method left would try it again; a permission that is missing has the same key."""
    source.vendor.calls_until_changed = 3

    with pytest.raises(TapError, match="refused the login at exportVersions"):
        source.sync()

    assert source.vendor.refused_logins == 2


def test_the_first_method_may_be_the_only_one_that_is_refused(source: Source) -> None:
    source.vendor.forbidden = {"exportUsers"}

    with pytest.raises(TapError, match="the API user lacks the permission User Admin"):
        source.sync("users")


@pytest.mark.parametrize("status", [302, 307])
def test_a_password_follows_no_redirect(source: Source, status: int) -> None:
    """The body holds it, and 307 would send the body on, to whatever host."""
    other = Adaptive(1)
    with serve(other) as elsewhere:
        moved = {"Location": f"{elsewhere}/api/v40"}
        source.vendor.faults.add(status=status, headers=moved)

        with pytest.raises(TapError, match=f"POST /api/v40 answered {status}"):
            source.sync("groups")

    assert other.requests == []


def test_the_password_reaches_no_output(
    source: Source, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not a log line, not a message, not an error, at any level."""
    caplog.set_level("DEBUG")
    source.vendor.forbidden = {"exportUsers"}

    with pytest.raises(TapError) as error:
        source.sync()

    out, err = capfd.readouterr()
    assert PASSWORD not in f"{out}{err}{caplog.text}{error.value}"
    assert "p&amp;ss" not in f"{out}{err}{caplog.text}{error.value}"


def test_a_refusal_shows_the_vendors_words(source: Source) -> None:
    source.vendor.instead["exportGroups"] = [failure("error-x", "No <groups> today.").encode()]

    with pytest.raises(TapError, match=r"exportGroups failed: No <groups> today. \(error-x\)"):
        source.sync("groups")


def test_messages_beside_a_success_are_logged(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    message = '<messages><message key="warning-x" type="WARNING">Soon gone</message></messages>'
    source.vendor.instead["exportGroups"] = [success("", message).encode()]

    source.sync("groups")

    assert "exportGroups: the vendor says: Soon gone (warning-x)" in caplog.text


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (GROUP[:-20], "not whole XML"),
        (GROUP.replace("<groups>", "<groups"), "not whole XML"),
        ("", "not whole XML"),
        ("<html><body>Proxy</body></html>", "is a <html> and not a <response>"),
        (GROUP.replace(' success="true"', ""), "neither that it succeeded nor that it failed"),
    ],
    ids=["cut", "malformed", "nothing", "proxy", "no-status"],
)
def test_an_answer_that_is_not_whole_is_asked_for_again(
    source: Source, naps: list[float], answer: str, found: str
) -> None:
    """Twice more; then the run fails, and nothing of it was sent."""
    source.vendor.instead["exportGroups"] = [answer.encode()]

    assert len(source.sync("groups").records("groups")) == 2
    assert len(naps) == 1

    source.vendor.instead["exportGroups"] = [answer.encode()] * 3
    with pytest.raises(TapError, match=found):
        source.sync("groups")

    assert len(source.vendor.called("exportGroups")) == 2 + 3


def test_an_entity_bomb_is_refused_at_once(source: Source, naps: list[float]) -> None:
    """The API sends no document type, so none is read."""
    source.vendor.instead["exportGroups"] = [BOMB.encode()]

    with pytest.raises(TapError, match="declares a document type"):
        source.sync("groups")

    assert naps == []


def test_a_stream_that_says_at_its_end_that_it_failed(source: Source) -> None:
    """In stream mode the flag of success follows the data."""
    failed = csv_answer(REPORT, 1).replace('success="true"', 'success="false"')
    source.vendor.instead["exportData"] = [failed.encode()]

    with pytest.raises(TapError, match="exportData failed: the vendor gives no reason"):
        source.sync("data")


def test_a_failure_in_either_place_counts(source: Source) -> None:
    """The root says that it failed, the trailer that it went well."""
    answer = csv_answer(REPORT, 1).replace("<response>", '<response success="false">')
    source.vendor.instead["exportData"] = [answer.encode()]

    with pytest.raises(TapError, match="exportData failed"):
        source.sync("data")


def test_a_count_of_rows_that_is_no_number(source: Source, naps: list[float]) -> None:
    answer = csv_answer(REPORT, 1).replace('"1"', '"1,000"')
    source.vendor.instead["exportData"] = [answer.encode()] * 3

    with pytest.raises(TapError, match="count of rows is no number"):
        source.sync("data")

    assert len(naps) == 2


@pytest.mark.parametrize("announced", [0, 2])
def test_a_wrong_row_count_is_never_loaded(
    source: Source, naps: list[float], announced: int
) -> None:
    source.vendor.instead["exportData"] = [csv_answer(REPORT, announced).encode()] * 3

    with pytest.raises(TapError, match=f"announces {announced} rows and holds 1"):
        source.sync("data")

    assert len(naps) == 2
    source.vendor.instead["exportData"] = [
        csv_answer(REPORT, announced).encode(),
        csv_answer(REPORT, 1).encode(),
    ]
    assert len(source.sync("data").records("data")) == 1


def test_an_error_that_breaks_off_is_an_error_all_the_same(
    source: Source, naps: list[float]
) -> None:
    """A gateway in trouble announces a page of 100 bytes, and sends ten."""

    async def gateway(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        length = (b"content-length", b"100")
        await send({"type": "http.response.start", "status": 503, "headers": [length]})
        await send({"type": "http.response.body", "body": b"<response>"})

    with serve(gateway) as url, pytest.raises(TapError, match="answered 503"):
        source.sync("groups", api_url=url)

    assert len(naps) == 5


def test_a_broken_connection_is_tried_again(source: Source, naps: list[float]) -> None:
    source.vendor.faults.add(cut_after=100)

    assert len(source.sync("groups").records("groups")) == 2
    assert len(naps) == 1


def test_a_time_out_in_mid_body_is_tried_again(source: Source, naps: list[float]) -> None:
    """A server that rests in the middle of an answer, not before it."""
    half = Stalled(GROUP[:60].encode(), 30)
    source.vendor.instead["exportGroups"] = [half]

    assert len(source.sync("groups", timeout_seconds=0.2).records("groups")) == 2
    assert len(naps) == 1

    source.vendor.instead["exportGroups"] = [half] * 3
    with pytest.raises(TapError, match=r"the answer broke off .*timeout_seconds"):
        source.sync("groups", timeout_seconds=0.2)


def test_waits_as_long_as_the_vendor_asks(source: Source, naps: list[float]) -> None:
    source.vendor.faults.add(status=429, headers={"Retry-After": "7"})
    source.vendor.faults.add(status=503)

    assert len(source.sync("groups").records("groups")) == 2
    assert naps[0] == 7
    assert len(naps) == 2


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (403, "answered 403 Forbidden.*Check login, password and instance_code"),
        (400, "POST /api/v40 answered 400 Bad Request: Too odd"),
    ],
)
def test_a_refused_request_fails_at_once(
    source: Source, naps: list[float], status: int, found: str
) -> None:
    source.vendor.faults.add(status=status, body=failure("error-x", "Too odd"))

    with pytest.raises(TapError, match=found):
        source.sync("groups")

    assert naps == []


def test_an_unknown_version_of_the_api(source: Source) -> None:
    with pytest.raises(TapError, match="POST /api/v99 answered 404"):
        source.sync("groups", api_version="v99")


def test_the_connection_test_reads_every_stream(source: Source) -> None:
    """`--test`, which selects every stream, and fails when one fails."""
    assert TapAdaptive(config=source.config()).run_connection_test()

    source.vendor.forbidden = {"exportUsers"}
    with pytest.raises(TapError, match="User Admin"):
        TapAdaptive(config=source.config()).run_connection_test()


def test_a_state_is_untouched_by_methods(source: Source) -> None:
    """There is nothing to remember: every run reads all."""
    first = source.sync("groups", "accounts")
    second = source.sync("groups", "accounts", state=first.state)

    assert second.records("accounts") == first.records("accounts")
    assert all(not entry for entry in second.state["bookmarks"].values())


@pytest.mark.parametrize(
    "setting",
    [
        {"api_url": "api.example.com"},
        {"timeout_seconds": 0},
        {"months_per_call": -1},
        {"max_pending_files": 0},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_a_setting_out_of_its_range_is_refused(source: Source, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigValidationError) as error:
        source.sync("reports", **setting)

    assert f"config['{next(iter(setting))}']" in str(error.value.errors)


def test_nothing_is_asked_before_the_settings_are_right(source: Source) -> None:
    with pytest.raises(TapError, match="account_codes is empty"):
        run_tap(TapAdaptive, source.config(account_codes=[]))

    assert source.vendor.requests == []
